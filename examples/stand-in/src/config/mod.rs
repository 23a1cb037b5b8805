//! OpenClaw's own configuration file, as far as the stand-in acts on it.
//!
//! Plain JSON; OpenClaw also takes JSON5, which no manager writes.

mod include;
mod keys;
pub(crate) mod watch;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use crate::exit::Exit;
use crate::settings::Settings;

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuthMode {
    None,
    Token,
    Password,
    TrustedProxy,
}

/// `gateway` of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Gateway {
    mode: Option<String>,
    bind: Option<String>,
    custom_bind_host: Option<IpAddr>,
    port: Option<u16>,
    trusted_proxies: Vec<String>,
    pub(crate) allow_real_ip_fallback: bool,
    auth: Auth,
    pub(crate) control_ui: ControlUi,
    pub(crate) terminal: Terminal,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Auth {
    mode: Option<AuthMode>,
    /// A string, or a reference to a secret that the stand-in does not resolve.
    token: Option<Value>,
    password: Option<Value>,
    identity_scopes: BTreeMap<String, Vec<String>>,
    trusted_proxy: Option<TrustedProxy>,
}

/// `gateway.auth.trustedProxy`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TrustedProxy {
    pub(crate) user_header: String,
    pub(crate) required_headers: Vec<String>,
    pub(crate) allow_users: Vec<String>,
    pub(crate) allow_loopback: bool,
    pub(crate) device_auto_approve: DeviceAutoApprove,
}

/// `gateway.auth.trustedProxy.deviceAutoApprove`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeviceAutoApprove {
    pub(crate) enabled: bool,
    pub(crate) scopes: Vec<String>,
}

/// `gateway.controlUi`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ControlUi {
    pub(crate) enabled: bool,
    /// Without a trailing slash; empty for the root.
    pub(crate) base_path: String,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) dangerously_allow_host_header_origin_fallback: bool,
}

impl Default for ControlUi {
    fn default() -> Self {
        Self {
            enabled: true,
            base_path: String::new(),
            allowed_origins: Vec::new(),
            dangerously_allow_host_header_origin_fallback: false,
        }
    }
}

/// `gateway.terminal`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Terminal {
    pub(crate) enabled: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// One accepted configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) gateway: Gateway,
    pub(crate) auth_mode: AuthMode,
    pub(crate) token: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) trusted_proxy: TrustedProxy,
    pub(crate) identity_scopes: BTreeMap<String, Vec<String>>,
    /// Sockets that were admitted under another policy are closed.
    pub(crate) policy: Value,
    /// The whole file with everything included.
    pub(crate) merged: Value,
    /// Every file that was read; a change of one means to load again.
    pub(crate) files: Vec<PathBuf>,
}

/// Why a configuration is refused.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// Cannot be read, parsed or accepted: exit 78, and a running instance keeps the old one.
    Invalid(String),
    /// Settings that exclude each other: OpenClaw ends with 1.
    Conflict(String),
}

impl From<ConfigError> for Exit {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Invalid(why) => Self::Configuration(why),
            ConfigError::Conflict(why) => Self::Failed(why),
        }
    }
}

impl ConfigError {
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Invalid(why) | Self::Conflict(why) => why,
        }
    }
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the setting, its value and the way out.
    pub(crate) fn load(settings: &Settings) -> Result<Self, ConfigError> {
        let path = &settings.config_path;
        if !path.exists() {
            if settings.allow_unconfigured {
                return Self::accept(
                    serde_json::json!({ "gateway": { "mode": "local" } }),
                    Vec::new(),
                    settings,
                );
            }
            return Err(ConfigError::Invalid(format!(
                "Missing config. Run `openclaw setup` or set gateway.mode=local in {} (or pass --allow-unconfigured).",
                path.display()
            )));
        }
        let (merged, files) = include::load(path).map_err(ConfigError::Invalid)?;
        Self::accept(merged, files, settings)
    }

    fn accept(
        merged: Value,
        files: Vec<PathBuf>,
        settings: &Settings,
    ) -> Result<Self, ConfigError> {
        keys::check(&merged).map_err(ConfigError::Invalid)?;
        let gateway: Gateway = match merged.get("gateway") {
            None => Gateway::default(),
            Some(value) => serde_json::from_value(value.clone())
                .map_err(|error| ConfigError::Invalid(format!("gateway: {error}")))?,
        };
        match gateway.mode.as_deref() {
            Some("local") => {}
            None => {
                return Err(ConfigError::Invalid(
                    "Gateway start blocked: existing config is missing gateway.mode. Set gateway.mode=local.".to_owned(),
                ));
            }
            Some(other) => {
                return Err(ConfigError::Invalid(format!(
                    "Gateway start blocked: set gateway.mode=local (current: {other}) or pass --allow-unconfigured."
                )));
            }
        }
        let auth = &gateway.auth;
        let token = settings.token.clone().or_else(|| text(auth.token.as_ref()));
        let password = settings
            .password
            .clone()
            .or_else(|| text(auth.password.as_ref()));
        let auth_mode = auth.mode.unwrap_or(match (&token, &password) {
            (Some(_), _) => AuthMode::Token,
            (None, Some(_)) => AuthMode::Password,
            (None, None) => AuthMode::None,
        });
        let config = Self {
            auth_mode,
            token,
            password,
            trusted_proxies: networks(&gateway.trusted_proxies),
            trusted_proxy: auth.trusted_proxy.clone().unwrap_or_default(),
            identity_scopes: auth.identity_scopes.clone(),
            policy: policy(&merged),
            gateway,
            merged,
            files,
        };
        config.check_auth(settings)?;
        Ok(config)
    }

    fn check_auth(&self, settings: &Settings) -> Result<(), ConfigError> {
        let missing = |what: &str| {
            Err(ConfigError::Conflict(format!(
                "gateway auth mode is {what}, but no {what} was configured (set gateway.auth.{what} or OPENCLAW_GATEWAY_{})",
                what.to_uppercase()
            )))
        };
        match self.auth_mode {
            AuthMode::TrustedProxy => self.check_trusted_proxy(),
            AuthMode::Token if self.token.is_none() => missing("token"),
            AuthMode::Password if self.password.is_none() => missing("password"),
            AuthMode::None if !self.bind_address(settings)?.is_loopback() => {
                Err(ConfigError::Invalid(format!(
                    "Refusing to bind gateway to {} without auth. Set gateway.auth.mode.",
                    settings
                        .bind
                        .as_deref()
                        .or(self.gateway.bind.as_deref())
                        .unwrap_or("auto")
                )))
            }
            AuthMode::Token | AuthMode::Password | AuthMode::None => Ok(()),
        }
    }

    fn check_trusted_proxy(&self) -> Result<(), ConfigError> {
        if self.trusted_proxy.user_header.trim().is_empty() {
            return Err(ConfigError::Conflict(
                "gateway auth mode is trusted-proxy, but trustedProxy.userHeader is empty (set gateway.auth.trustedProxy.userHeader)".to_owned(),
            ));
        }
        if self.token.is_some() {
            return Err(ConfigError::Conflict(
                "gateway auth mode is trusted-proxy, but a shared token is also configured; remove gateway.auth.token / OPENCLAW_GATEWAY_TOKEN because trusted-proxy and token auth are mutually exclusive".to_owned(),
            ));
        }
        if self.gateway.trusted_proxies.is_empty() {
            return Err(ConfigError::Invalid(
                "gateway auth mode=trusted-proxy requires gateway.trustedProxies to be configured with at least one proxy IP.".to_owned(),
            ));
        }
        Ok(())
    }

    /// The address to listen on: `--bind`, else `gateway.bind`, else all, as OpenClaw does in a container.
    ///
    /// # Errors
    ///
    /// A mode that OpenClaw does not know.
    pub(crate) fn bind_address(&self, settings: &Settings) -> Result<IpAddr, ConfigError> {
        let mode = settings.bind.as_deref().or(self.gateway.bind.as_deref());
        let everywhere = IpAddr::from([0, 0, 0, 0]);
        match mode {
            Some("lan" | "auto") | None => Ok(everywhere),
            Some("loopback" | "tailnet") => Ok(IpAddr::from([127, 0, 0, 1])),
            Some("custom") => Ok(self.gateway.custom_bind_host.unwrap_or(everywhere)),
            Some(other) => Err(ConfigError::Invalid(format!(
                "gateway.bind: `{other}` is not one of auto, lan, loopback, custom, tailnet"
            ))),
        }
    }

    pub(crate) fn port(&self, settings: &Settings) -> u16 {
        settings.port(self.gateway.port)
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(ToOwned::to_owned)
}

/// OpenClaw passes over an entry that is no address, and so does this.
fn networks(entries: &[String]) -> Vec<IpNet> {
    entries
        .iter()
        .filter_map(|entry| {
            let entry = entry.trim();
            entry
                .parse::<IpNet>()
                .ok()
                .or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from))
        })
        .collect()
}

/// What decides who is admitted; a change ends every admitted socket with close 4001.
fn policy(merged: &Value) -> Value {
    let gateway = merged.get("gateway").unwrap_or(&Value::Null);
    let auth = gateway.get("auth").unwrap_or(&Value::Null);
    serde_json::json!([
        gateway.get("roles"),
        gateway.get("trustedProxies"),
        gateway.get("allowRealIpFallback"),
        auth.get("identityScopes"),
        auth.get("trustedProxy"),
    ])
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::sample;
