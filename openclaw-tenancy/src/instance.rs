//! What goes into an instance: its environment, its seeded configuration and the include that is ours.
//!
//! `openclaw.json` on the data volume is written once and is the tenant's from then on. It includes, section by section,
//! files of the config volume, which are ours: `OpenClaw` watches them, takes a changed one while its container runs, and
//! cannot write them. Settings are those of the `OpenClaw` documentation (gateway, trusted proxy, models, secrets), tried
//! with 2026.9.6.

use std::fmt;
use std::sync::Arc;

use ipnet::Ipv4Net;
use sha2::Digest as _;

use crate::container::{DATA_PATH, VolumeFile, gateway_address};
use crate::id::{AccountId, Slug};
use crate::labels::hex;
use crate::tenant::{Environment, Settings, Tenant};

mod gateway;
mod overlay;
mod rendered;

use gateway::Gateway;
pub use overlay::{Model, ModelProvider, Overlay, SECTIONS};
pub use rendered::RenderedOverlay;
use rendered::{digest, ours, pretty};

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

/// The files of an instance.
#[derive(Clone, PartialEq, Eq)]
pub struct InstanceFiles {
    /// Written once, before the first start, below [`DATA_PATH`].
    pub seed: Arc<[VolumeFile]>,
    shared: Arc<[VolumeFile]>,
    gateway: VolumeFile,
    /// Changes when anything of [`config`](Self::config) does.
    pub digest: String,
}

impl InstanceFiles {
    /// Kept as they are here, below [`CONFIG_PATH`](crate::container::CONFIG_PATH). The same names under every overlay
    /// of [`SECTIONS`]: what an overlay no longer gives is written over.
    #[must_use]
    pub fn config(&self) -> Vec<VolumeFile> {
        let gateway = std::iter::once(&self.gateway);
        self.shared.iter().chain(gateway).cloned().collect()
    }
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
    overlay: &RenderedOverlay,
) -> InstanceFiles {
    let user = user_name(tenant.owner);
    let origin = origins.origin(&tenant.slug);
    let gateway = Gateway::new(&user, gateway_address(subnet), &origin);
    let gateway = ours("gateway", pretty(&gateway));
    let mut hash = overlay.hash.clone();
    digest(&mut hash, &gateway);
    InstanceFiles {
        seed: Arc::clone(&overlay.seed),
        shared: Arc::clone(&overlay.config),
        gateway,
        digest: hex(&hash.finalize()[..16]),
    }
}

#[cfg(test)]
mod tests;
