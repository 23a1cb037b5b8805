//! Who is behind a request, by the configured mode.

use http::HeaderMap;

use crate::attribution::{Client, Connection, Ingress, header};
use crate::config::{AuthMode, Config, TrustedProxy};
use crate::origin;

/// The secret that a client brought: a bearer token, or `auth` of its `connect`.
#[derive(Debug, Default)]
pub(crate) struct Secret {
    pub(crate) token: Option<String>,
    pub(crate) password: Option<String>,
}

impl Secret {
    /// The bearer token of an HTTP request counts as either.
    pub(crate) fn bearer(headers: &HeaderMap) -> Self {
        let token = header(headers, "authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then(|| token.trim().to_owned())
        });
        Self {
            password: token.clone(),
            token,
        }
    }

    pub(crate) fn is_given(&self) -> bool {
        self.token.is_some() || self.password.is_some()
    }
}

/// An admitted identity.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) method: &'static str,
    pub(crate) user: Option<String>,
}

/// Decides, or names the reason in OpenClaw's words.
pub(crate) fn authorize(
    config: &Config,
    client: Client,
    connection: Connection,
    headers: &HeaderMap,
    secret: &Secret,
) -> Result<Identity, String> {
    match config.auth_mode {
        AuthMode::TrustedProxy => {
            match user_of_proxy(config, connection, headers) {
                Ok(_) if client.ingress != Ingress::Proxied => {
                    Err("proxy_attribution_required".to_owned())
                }
                Ok(user) => Ok(Identity {
                    method: "trusted-proxy",
                    user: Some(user),
                }),
                // A password may coexist, for callers on the same host.
                Err(_)
                    if client.ingress == Ingress::Local
                        && config.password.is_some()
                        && secret.password.is_some() =>
                {
                    shared(
                        config.password.as_deref(),
                        secret.password.as_deref(),
                        "password",
                    )
                }
                Err(reason) => Err(reason),
            }
        }
        AuthMode::None => Ok(Identity {
            method: "none",
            user: None,
        }),
        AuthMode::Token => {
            let given = secret.token.as_deref().or(secret.password.as_deref());
            shared(config.token.as_deref(), given, "token")
        }
        AuthMode::Password => {
            let given = secret.password.as_deref().or(secret.token.as_deref());
            shared(config.password.as_deref(), given, "password")
        }
    }
}

/// As [`authorize`], with the origin check that OpenClaw adds for plain HTTP requests of a browser.
pub(crate) fn authorize_http(
    config: &Config,
    client: Client,
    connection: Connection,
    headers: &HeaderMap,
) -> Result<Identity, String> {
    let identity = authorize(
        config,
        client,
        connection,
        headers,
        &Secret::bearer(headers),
    )?;
    let checked = matches!(identity.method, "trusted-proxy" | "none");
    match header(headers, "origin") {
        Some(sent) if checked && !sent.trim().is_empty() => {
            let host = header(headers, "host");
            origin::check(
                Some(&sent),
                host.as_deref(),
                &config.gateway.control_ui,
                false,
            )
            .map_err(|_| "trusted_proxy_origin_not_allowed".to_owned())?;
            Ok(identity)
        }
        _ => Ok(identity),
    }
}

fn user_of_proxy(
    config: &Config,
    connection: Connection,
    headers: &HeaderMap,
) -> Result<String, String> {
    let TrustedProxy {
        user_header,
        required_headers,
        allow_users,
        allow_loopback,
        ..
    } = &config.trusted_proxy;
    let peer = connection.peer;
    if !config.trusts(peer) {
        return Err("trusted_proxy_untrusted_source".to_owned());
    }
    if peer.is_loopback() && !allow_loopback {
        return Err("trusted_proxy_loopback_source".to_owned());
    }
    // OpenClaw asks all its interfaces; a container has one, so our end of the connection tells.
    if !peer.is_loopback() && peer == connection.local {
        return Err("trusted_proxy_local_interface_source".to_owned());
    }
    let present = |name: &str| {
        header(headers, &name.to_ascii_lowercase()).filter(|value| !value.trim().is_empty())
    };
    for name in required_headers {
        if present(name).is_none() {
            return Err(format!("trusted_proxy_missing_header_{name}"));
        }
    }
    let user = present(user_header).ok_or("trusted_proxy_user_missing")?;
    let user = user.trim();
    if !allow_users.is_empty() && !allow_users.iter().any(|allowed| allowed == user) {
        return Err("trusted_proxy_user_not_allowed".to_owned());
    }
    Ok(user.to_owned())
}

fn shared(
    expected: Option<&str>,
    given: Option<&str>,
    method: &'static str,
) -> Result<Identity, String> {
    match (expected, given.filter(|text| !text.is_empty())) {
        (None, _) => Err(format!("{method}_missing_config")),
        (Some(_), None) => Err(format!("{method}_missing")),
        (Some(expected), Some(given)) if expected == given => Ok(Identity { method, user: None }),
        (Some(_), Some(_)) => Err(format!("{method}_mismatch")),
    }
}

/// The public code for a reason, as OpenClaw maps it.
pub(crate) fn code(reason: &str) -> &'static str {
    if reason.starts_with("trusted_proxy_missing_header_") {
        return "AUTH_IDENTITY_HEADER_REQUIRED";
    }
    match reason {
        "token_missing" => "AUTH_TOKEN_MISSING",
        "token_mismatch" => "AUTH_TOKEN_MISMATCH",
        "token_missing_config" => "AUTH_TOKEN_NOT_CONFIGURED",
        "password_missing" => "AUTH_PASSWORD_MISSING",
        "password_mismatch" => "AUTH_PASSWORD_MISMATCH",
        "password_missing_config" => "AUTH_PASSWORD_NOT_CONFIGURED",
        _ => "AUTH_UNAUTHORIZED",
    }
}
