//! The sections of the configuration and their defaults.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::Ipv4Net;
use openclaw_tenancy::quantity::Bytes;
use serde::{Deserialize, Serialize};
use url::Url;

use super::form::{self, Network};
use super::secret::Secret;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// `[server]`: the REST API and the pages.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ServerSection {
    /// Where the API and the pages listen. Port 0 takes a free one.
    #[serde(with = "form::address")]
    pub(crate) listen: SocketAddr,
    /// The origin by which browsers reach the API: `http://localhost` and the port unless it is set.
    #[serde(with = "form::optional_origin")]
    pub(crate) public_url: Option<Url>,
    /// Further hosts by which programs reach the API and `/metrics`: a request for any other is refused.
    pub(crate) host_names: Vec<String>,
    /// Where the server keeps its files; the flag `--data` sets it.
    pub(crate) data_dir: Option<PathBuf>,
    /// Proxies in front of the API and the edge whose `X-Forwarded-For` counts: networks or addresses.
    pub(crate) trusted_proxies: Vec<Network>,
    /// How long a browser stays signed in.
    #[serde(with = "form::duration")]
    pub(crate) session_lifetime: Duration,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            listen: loopback(3000),
            public_url: None,
            host_names: Vec::new(),
            data_dir: None,
            trusted_proxies: Vec::new(),
            session_lifetime: crate::api::SESSION_LIFETIME,
        }
    }
}

/// `[edge]`: the proxy in front of the instances.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct EdgeSection {
    /// Where the edge listens. Port 0 takes a free one.
    #[serde(with = "form::address")]
    pub(crate) listen: SocketAddr,
    /// Instances are at one label before this domain.
    pub(crate) base_domain: String,
    /// The origin of an instance: `http://{slug}.`, the base domain and the port unless it is set.
    pub(crate) url_format: Option<String>,
}

impl Default for EdgeSection {
    fn default() -> Self {
        Self {
            listen: loopback(8080),
            base_domain: "localhost".to_owned(),
            url_format: None,
        }
    }
}

/// `[metrics]`: the Prometheus exporter.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct MetricsSection {
    /// Whether there is one.
    pub(crate) enabled: bool,
    /// Where `/metrics` is. Whoever reaches it can read it by an address or by a host of ours: keep it on loopback
    /// or a network of its own.
    #[serde(with = "form::address")]
    pub(crate) listen: SocketAddr,
}

impl Default for MetricsSection {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: loopback(9090),
        }
    }
}

/// `[store]`: the database.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct StoreSection {
    /// `sqlite:///path` or `postgres://user:password@host/database`: a SQLite file in the data directory
    /// unless it is set.
    pub(crate) url: Option<Secret>,
    /// How long a start waits for a database that does not answer yet; zero not at all.
    #[serde(with = "form::duration")]
    pub(crate) wait: Duration,
    /// PostgreSQL connections kept open.
    pub(crate) pool_min: u32,
    /// PostgreSQL connections at most.
    pub(crate) pool_max: u32,
    /// A file of at least 32 random bytes. With it the server's own keys are encrypted in the database.
    pub(crate) key_file: Option<PathBuf>,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            url: None,
            wait: Duration::from_secs(60),
            pool_min: 1,
            pool_max: 10,
            key_file: None,
        }
    }
}

/// `[[hosts]]`: a Docker Engine that runs instances.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct HostSection {
    /// Your name for it: one DNS label. It must never name another machine.
    pub(crate) id: String,
    /// What it is.
    #[serde(default)]
    pub(crate) kind: HostKind,
    /// `unix:///var/run/docker.sock`, `tcp://127.0.0.1:2375` or `tls://worker:2376`.
    #[serde(default = "local_socket")]
    pub(crate) address: String,
    /// The CA that signed the engine's certificate, PEM; for `tls://`.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Our client certificate with its chain, PEM; for `tls://`.
    #[serde(default)]
    pub(crate) cert_file: Option<PathBuf>,
    /// The key of our client certificate, PEM; for `tls://`.
    #[serde(default)]
    pub(crate) key_file: Option<PathBuf>,
    /// The name in the engine's certificate where it differs from the address.
    #[serde(default)]
    pub(crate) server_name: Option<String>,
    /// Accepts plain `tcp://` off loopback. Whoever reaches that port is root on the machine.
    #[serde(default)]
    pub(crate) plaintext_anywhere: bool,
    /// Labels for placement.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
}

fn local_socket() -> String {
    "unix:///var/run/docker.sock".to_owned()
}

impl Default for HostSection {
    /// The engine of this machine.
    fn default() -> Self {
        Self {
            id: "local".to_owned(),
            kind: HostKind::default(),
            address: local_socket(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            server_name: None,
            plaintext_anywhere: false,
            labels: BTreeMap::new(),
        }
    }
}

/// What speaks at a host's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HostKind {
    /// A Docker Engine.
    #[default]
    Docker,
}

/// `[image]`: what instances run.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ImageSection {
    /// The image of OpenClaw, with a fixed tag or a digest.
    pub(crate) reference: String,
    /// What the image needs of memory and swap together.
    #[serde(with = "form::bytes")]
    pub(crate) floor: Bytes,
}

impl Default for ImageSection {
    /// The official image, by a version that was tried.
    fn default() -> Self {
        Self {
            reference: "openclaw/openclaw:2026.9.6".to_owned(),
            floor: Bytes::gib(1),
        }
    }
}

/// `[policy]`: who may have which plan.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PolicySection {
    /// The plan of a request that names none.
    pub(crate) default: String,
    /// The plans anybody who signs in may choose.
    pub(crate) self_service: Vec<String>,
    /// The plans there are, from the least to the most: whoever may have one may have those before it.
    pub(crate) order: Vec<String>,
}

impl Default for PolicySection {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            default: "basic".to_owned(),
            self_service: names(&["free", "basic"]),
            order: names(&["free", "basic", "pro", "enterprise"]),
        }
    }
}

/// `[tokens]`: bearer tokens of our own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct TokensSection {
    /// Signs them: at least 32 random bytes. Made once and kept in the database unless it is set.
    pub(crate) secret: Option<Secret>,
    /// Still accepted, while `secret` is being replaced.
    pub(crate) previous_secret: Option<Secret>,
    /// How long an API token lives, at most 24 hours.
    #[serde(with = "form::duration")]
    pub(crate) expires_in: Duration,
    /// Read for the predecessor's sake: there are no refresh tokens in this version.
    #[serde(with = "form::optional_duration")]
    pub(crate) refresh_expires_in: Option<Duration>,
}

impl Default for TokensSection {
    fn default() -> Self {
        Self {
            secret: None,
            previous_secret: None,
            expires_in: crate::api::TOKEN_LIFETIME,
            refresh_expires_in: None,
        }
    }
}

/// `[reconcile]`: how instances are made and watched.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ReconcileSection {
    /// How many tenants are worked on at once.
    pub(crate) concurrency: usize,
    /// From the start of a container to its readiness.
    #[serde(with = "form::duration")]
    pub(crate) start_deadline: Duration,
    /// From asking an instance to end until it is ended by force.
    #[serde(with = "form::duration")]
    pub(crate) stop_deadline: Duration,
    /// From a request to a started container.
    #[serde(with = "form::duration")]
    pub(crate) provision_deadline: Duration,
    /// How often an instance at rest is looked at: within this a changed overlay reaches it.
    #[serde(with = "form::duration")]
    pub(crate) resync: Duration,
    /// CPU limits on a host may add up to this many percent of its processors.
    pub(crate) cpu_percent: u64,
    /// Memory limits on a host may add up to this many percent of its memory beyond the reserve.
    pub(crate) memory_percent: u64,
    /// Memory of a host that is held back.
    #[serde(with = "form::bytes")]
    pub(crate) memory_reserve: Bytes,
    /// Each instance gets a `/29` out of it. It must not overlap a network of the hosts.
    #[serde(with = "form::network")]
    pub(crate) subnet_pool: Ipv4Net,
    /// How hosts are filled.
    pub(crate) placement: Placement,
}

impl Default for ReconcileSection {
    fn default() -> Self {
        let deadlines = openclaw_tenancy::status::Deadlines::default();
        let overcommit = openclaw_tenancy::host::Overcommit::default();
        let pace = openclaw_tenancy::reconcile::Pace::default();
        Self {
            concurrency: pace.concurrency,
            start_deadline: deadlines.start,
            stop_deadline: deadlines.stop,
            provision_deadline: deadlines.provision,
            resync: pace.resync,
            cpu_percent: overcommit.cpu_percent,
            memory_percent: overcommit.memory_percent,
            memory_reserve: overcommit.memory_reserve,
            subnet_pool: Ipv4Net::new_assert(Ipv4Addr::new(10, 213, 0, 0), 16),
            placement: Placement::default(),
        }
    }
}

/// How hosts are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Placement {
    /// The host with the most room first.
    #[default]
    Spread,
    /// The fullest host that has room first.
    BinPack,
}

/// `[log]`: what is logged, and how.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LogSection {
    /// The least that is logged of this project's own code; of libraries, warnings are.
    pub(crate) level: LogLevel,
    /// One line each, as text or as JSON.
    pub(crate) format: LogFormat,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Text,
        }
    }
}

/// A log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// What an operator has to act on.
    Error,
    /// What may need an operator.
    Warn,
    /// What happens.
    Info,
    /// Why it happens.
    Debug,
    /// Everything.
    Trace,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[portainer]`: read for the predecessor's sake. This version speaks to Docker Engines directly.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PortainerSection {
    /// Portainer's address.
    #[serde(with = "form::optional_origin")]
    pub(crate) url: Option<Url>,
    /// Its API key.
    pub(crate) api_key: Option<Secret>,
}

/// `[sandbox]`: read for the predecessor's sake. This version runs no sandboxes.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SandboxSection {
    /// The image of sandboxes.
    pub(crate) image: Option<String>,
}
