//! What goes into an instance: its environment, its seeded configuration and the include that is ours.
//!
//! `openclaw.json` on the data volume is written once and is the tenant's from then on. It includes, section
//! by section, files of the config volume, which are ours: `OpenClaw` watches them, takes a changed one
//! without a restart, and cannot write them. Settings are those of the `OpenClaw` documentation (gateway,
//! trusted proxy, models, secrets), tried with 2026.9.6.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::Ipv4Net;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::container::secret::Content;
use crate::container::{
    CONFIG_PATH, DATA_PATH, INSTANCE_PORT, INSTANCE_UID, VolumeFile, gateway_address,
};
use crate::id::{AccountId, Slug};
use crate::labels::hex;
use crate::tenant::{Environment, Settings, Tenant};

/// The request header by which the edge names the signed-in owner to the instance.
pub const USER_HEADER: &str = "x-openclaw-tenancy-user";
/// A request header that the instance demands; its presence is checked, not its value.
pub const PROXY_HEADER: &str = "x-openclaw-tenancy-proxy";
/// The prefix of headers of `OpenClaw`'s own that only the edge may set.
pub const RESERVED_HEADER_PREFIXES: [&str; 2] = ["x-openclaw-", "x-claw-"];

/// The name by which an instance knows its owner. Never the e-mail address.
#[must_use]
pub fn user_name(owner: AccountId) -> String {
    format!("u-{}", owner.simple())
}

/// Where tenants' host names are: `scheme://{slug}.base[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginTemplate {
    before: String,
    after: String,
}

/// Why a text is not an origin template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("origin template `{value}` is not valid: give it as http://{{slug}}.example.org:8080")]
pub struct InvalidOrigin {
    /// The text.
    pub value: String,
}

impl OriginTemplate {
    /// Reads `http://{slug}.example.org:8080`.
    ///
    /// # Errors
    /// [`InvalidOrigin`] unless it is a scheme, `{slug}`, a dot and a host with at most a port.
    pub fn new(text: &str) -> Result<Self, InvalidOrigin> {
        let wrong = || InvalidOrigin {
            value: text.chars().take(200).collect(),
        };
        let (before, after) = text.split_once("{slug}").ok_or_else(wrong)?;
        let host = after.strip_prefix('.').ok_or_else(wrong)?;
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let valid = matches!(before, "http://" | "https://")
            && !name.is_empty()
            && name.bytes().all(plain)
            && port.parse::<u16>().is_ok_and(|port| port != 0);
        if valid {
            Ok(Self {
                before: before.to_owned(),
                after: after.to_owned(),
            })
        } else {
            Err(wrong())
        }
    }

    /// The origin of one tenant, as a browser writes it (RFC 6454 §6.1).
    #[must_use]
    pub fn origin(&self, slug: &Slug) -> String {
        format!("{}{slug}{}", self.before, self.after)
    }
}

/// What an operator gives every instance.
///
/// Providers, their keys and what stands in a section reach the instances that there are, those that run as well. The
/// default model and which sections are included are given to an instance when it is made, and are its owner's then.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// Model providers, by name.
    pub providers: BTreeMap<String, ModelProvider>,
    /// The model an agent uses unless its owner chooses another: `provider/model`.
    pub default_model: Option<String>,
    /// Further sections of `OpenClaw`'s configuration, such as `channels`, each included whole.
    pub sections: BTreeMap<String, Value>,
}

/// A model provider with an OpenAI-compatible or other API that `OpenClaw` speaks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelProvider {
    /// Where it is. For `OpenClaw` this is also the permission to reach that origin.
    pub base_url: String,
    /// Which API, such as `openai-completions`.
    pub api: String,
    /// Its key: written to a file that the instance's user can read, so of limited worth it must be.
    #[serde(skip)]
    pub key: Option<SecretString>,
    /// Its models.
    pub models: Vec<Model>,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The provider's id of it.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// Whether it reasons before it answers.
    #[serde(default)]
    pub reasoning: bool,
    /// How many tokens it takes in all.
    pub context_window: u64,
    /// How many tokens it answers at most.
    pub max_tokens: u64,
}

/// The files of an instance.
#[derive(Clone, PartialEq, Eq)]
pub struct InstanceFiles {
    /// Written once, before the first start, below [`DATA_PATH`].
    pub seed: Vec<VolumeFile>,
    /// Kept as they are here, below [`CONFIG_PATH`].
    pub config: Vec<VolumeFile>,
    /// Changes when anything of `config` does.
    pub digest: String,
}

impl fmt::Debug for InstanceFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceFiles")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// The path whose existence says that an instance has been seeded.
pub const SEED_PATH: &str = "/home/node/.openclaw/openclaw.json";

/// The environment of an instance. It is readable in `inspect`: nothing here is secret.
#[must_use]
pub fn environment(settings: &Settings) -> Environment {
    let mut env: Environment = [
        ("HOME", "/home/node"),
        ("NODE_ENV", "production"),
        ("OPENCLAW_HOME", "/home/node"),
        ("OPENCLAW_STATE_DIR", DATA_PATH),
        ("OPENCLAW_CONFIG_PATH", SEED_PATH),
        ("OPENCLAW_WORKSPACE_DIR", "/home/node/.openclaw/workspace"),
        ("XDG_CACHE_HOME", "/home/node/.openclaw/cache"),
        ("OPENCLAW_DISABLE_BONJOUR", "1"),
        // The reconciler owns restarts and upgrades.
        ("OPENCLAW_NO_RESPAWN", "1"),
        ("OPENCLAW_NO_AUTO_UPDATE", "1"),
        ("OPENCLAW_OFFLINE", "1"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if let Some(timezone) = &settings.timezone {
        env.insert("TZ".to_owned(), timezone.clone());
    }
    env
}

/// The files of `tenant`'s instance behind the bridge `subnet`.
#[must_use]
pub fn files(
    tenant: &Tenant,
    subnet: Ipv4Net,
    origins: &OriginTemplate,
    overlay: &Overlay,
) -> InstanceFiles {
    let user = user_name(tenant.owner);
    let mut sections: BTreeMap<&str, Value> = BTreeMap::new();
    sections.insert(
        "gateway",
        gateway(&user, subnet, &origins.origin(&tenant.slug)),
    );
    sections.insert("update", json!({ "checkOnStart": false }));
    // Included also while there is no provider: the first one then reaches the instances that there are.
    sections.insert("models", models(overlay));
    sections.insert("secrets", secrets(overlay));
    for (name, value) in &overlay.sections {
        sections.entry(name).or_insert_with(|| value.clone());
    }

    let mut own = Map::new();
    for name in sections.keys() {
        own.insert(
            (*name).to_owned(),
            json!({ "$include": format!("./manager/{name}.json") }),
        );
    }
    if let Some(model) = &overlay.default_model {
        own.insert(
            "agents".to_owned(),
            json!({ "defaults": { "model": { "primary": model } } }),
        );
    }
    let seed = vec![VolumeFile {
        path: "openclaw.json".to_owned(),
        content: Content(pretty(&Value::Object(own))),
        owner: INSTANCE_UID,
        mode: 0o600,
    }];

    let mut config: Vec<VolumeFile> = sections
        .iter()
        .map(|(name, value)| VolumeFile {
            path: format!("{name}.json"),
            content: Content(pretty(value)),
            owner: 0,
            mode: 0o644,
        })
        .collect();
    for (name, provider) in &overlay.providers {
        if let Some(key) = &provider.key {
            config.push(VolumeFile {
                path: format!("secrets/{name}"),
                content: Content(key.expose_secret().as_bytes().to_vec()),
                // OpenClaw refuses a key file that is not its own user's alone.
                owner: INSTANCE_UID,
                mode: 0o600,
            });
        }
    }
    let digest = digest(&config);
    InstanceFiles {
        seed,
        config,
        digest,
    }
}

/// How the instance is signed in to: by the edge alone, which it knows by its bridge's gateway address.
fn gateway(user: &str, subnet: Ipv4Net, origin: &str) -> Value {
    json!({
        "mode": "local",
        "bind": "lan",
        "port": INSTANCE_PORT,
        "trustedProxies": [gateway_address(subnet).to_string()],
        "auth": {
            "mode": "trusted-proxy",
            // Administration of one's own instance comes with the session, never with a stored device.
            "identityScopes": { user: ["operator.admin"] },
            "trustedProxy": {
                "userHeader": USER_HEADER,
                "requiredHeaders": [PROXY_HEADER, "x-forwarded-proto"],
                "allowUsers": [user],
                "deviceAutoApprove": {
                    "enabled": true,
                    "scopes": ["operator.read", "operator.write", "operator.approvals"],
                },
            },
        },
        "controlUi": { "allowedOrigins": [origin] },
        "terminal": { "enabled": false },
    })
}

fn models(overlay: &Overlay) -> Value {
    let providers: Map<String, Value> = overlay
        .providers
        .iter()
        .map(|(name, provider)| {
            let models: Vec<Value> = provider
                .models
                .iter()
                .map(|model| {
                    json!({
                        "id": model.id,
                        "name": model.name,
                        "reasoning": model.reasoning,
                        "input": ["text"],
                        "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 },
                        "contextWindow": model.context_window,
                        "maxTokens": model.max_tokens,
                    })
                })
                .collect();
            let mut entry =
                json!({ "baseUrl": provider.base_url, "api": provider.api, "models": models });
            if provider.key.is_some() {
                entry["apiKey"] =
                    json!({ "source": "file", "provider": secret_name(name), "id": "value" });
            }
            (name.clone(), entry)
        })
        .collect();
    json!({ "mode": "merge", "providers": providers })
}

fn secrets(overlay: &Overlay) -> Value {
    let providers: Map<String, Value> = overlay
        .providers
        .iter()
        .filter(|(_, provider)| provider.key.is_some())
        .map(|(name, _)| {
            let path = format!("{CONFIG_PATH}/secrets/{name}");
            (
                secret_name(name),
                json!({ "source": "file", "path": path, "mode": "singleValue" }),
            )
        })
        .collect();
    json!({ "providers": providers })
}

fn secret_name(provider: &str) -> String {
    format!("manager-{provider}")
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = format!("{value:#}").into_bytes();
    text.push(b'\n');
    text
}

fn digest(files: &[VolumeFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        for part in [
            file.path.as_bytes(),
            &file.content.0,
            &file.mode.to_be_bytes(),
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hex(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::store::given::new_tenant;
    use crate::store::rules;

    /// The files of one tenant under each of `overlays`.
    fn under<const N: usize>(overlays: [&Overlay; N]) -> [InstanceFiles; N] {
        let tenant = rules::made(new_tenant());
        let subnet = "10.213.0.0/29".parse().unwrap();
        let origins = OriginTemplate::new("http://{slug}.localhost:8080").unwrap();
        overlays.map(|overlay| files(&tenant, subnet, &origins, overlay))
    }

    fn text(files: &[VolumeFile], path: &str) -> String {
        let file = files.iter().find(|file| file.path == path);
        String::from_utf8(file.unwrap().content.0.clone()).unwrap()
    }

    fn with_provider(key: &str) -> Overlay {
        let provider = ModelProvider {
            base_url: "https://models.example.org/v1".to_owned(),
            api: "openai-completions".to_owned(),
            key: Some(key.into()),
            models: Vec::new(),
        };
        Overlay {
            providers: [("corp".to_owned(), provider)].into(),
            ..Overlay::default()
        }
    }

    #[test]
    fn the_first_provider_and_a_changed_key_reach_an_instance_that_is_seeded() {
        let (one, two) = (with_provider("one"), with_provider("two"));
        let [before, first, changed] = under([&Overlay::default(), &one, &two]);
        assert!(
            before.seed == first.seed,
            "what is seeded includes it already"
        );
        assert_ne!(before.digest, first.digest);
        assert_ne!(first.digest, changed.digest);
        assert!(text(&first.config, "models.json").contains("https://models.example.org/v1"));
        assert_eq!(text(&changed.config, "secrets/corp"), "two");
    }

    #[test]
    fn a_section_is_included_whole_and_none_replaces_ours() {
        let sections = json!({ "channels": { "telegram": { "enabled": true } }, "gateway": {} });
        let Value::Object(sections) = sections else {
            unreachable!("an object")
        };
        let overlay = Overlay {
            sections: sections.into_iter().collect(),
            default_model: Some("corp/m1".to_owned()),
            ..Overlay::default()
        };
        let [files] = under([&overlay]);
        let seed: Value = serde_json::from_str(&text(&files.seed, "openclaw.json")).unwrap();
        assert_eq!(seed["channels"]["$include"], "./manager/channels.json");
        assert_eq!(seed["agents"]["defaults"]["model"]["primary"], "corp/m1");
        let channels: Value = serde_json::from_str(&text(&files.config, "channels.json")).unwrap();
        assert_eq!(channels["telegram"]["enabled"], true);
        let gateway = text(&files.config, "gateway.json");
        assert!(gateway.contains("trusted-proxy"), "{gateway}");
    }
}
