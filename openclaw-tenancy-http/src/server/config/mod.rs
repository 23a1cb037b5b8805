//! The configuration: a TOML file, the environment and flags, laid over defaults and read into types.
//!
//! ```text
//! config.toml ─► the predecessor's variables ─► OPENCLAW_TENANCY__… ─► flags ─► types ─► checks
//! ```
//!
//! What comes later wins. A key that does not exist is refused with the name that was probably meant, and
//! every problem names the key, the value, where it came from and the fix; all of them are reported at once.
//! A key that holds a secret can be given as `…_file` as well, the path of a file that holds it.

mod check;
mod error;
mod form;
mod hosts;
mod identity;
mod overlay;
mod plans;
mod read;
mod read_error;
mod secret;
mod sections;
mod seed;
mod show;
mod sources;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::plan::PlanCatalog;
use openclaw_tenancy::quota::PlanPolicy;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::access::address::TrustedProxies;
use crate::access::host::{HostName, InvalidHostName};

pub(crate) use self::error::{ConfigError, Problem};
pub(crate) use self::identity::{ClientAuth, IdentitySection, OidcSection};
pub(crate) use self::overlay::OverlaySection;
pub(crate) use self::plans::PlanSection;
pub(crate) use self::secret::Secret;
pub(crate) use self::sections::{
    EdgeSection, HostSection, ImageSection, LogFormat, LogLevel, LogSection, MetricsSection,
    Placement, PolicySection, PortainerSection, ReconcileSection, SandboxSection, ServerSection,
    StoreSection, TokensSection,
};
pub(crate) use self::seed::SeedName;
pub(crate) use self::show::Setting;

/// A configuration file with every setting at its default, each explained.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Config {
    /// The REST API and the pages.
    pub(crate) server: ServerSection,
    /// The proxy in front of the instances.
    pub(crate) edge: EdgeSection,
    /// The Prometheus exporter.
    pub(crate) metrics: MetricsSection,
    /// The database.
    pub(crate) store: StoreSection,
    /// The engines that run instances; this machine's unless it is set.
    pub(crate) hosts: Vec<HostSection>,
    /// What instances run.
    pub(crate) image: ImageSection,
    /// Changes to the four plans, and plans of one's own.
    pub(crate) plans: BTreeMap<String, PlanSection>,
    /// Who may have which plan.
    pub(crate) policy: PolicySection,
    /// Who may sign in.
    pub(crate) identity: IdentitySection,
    /// Bearer tokens of our own.
    pub(crate) tokens: TokensSection,
    /// What every instance gets from the operator.
    pub(crate) overlay: OverlaySection,
    /// How instances are made and watched.
    pub(crate) reconcile: ReconcileSection,
    /// What is logged, and how.
    pub(crate) log: LogSection,
    /// Read for the predecessor's sake.
    pub(crate) portainer: PortainerSection,
    /// Read for the predecessor's sake.
    pub(crate) sandbox: SandboxSection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerSection::default(),
            edge: EdgeSection::default(),
            metrics: MetricsSection::default(),
            store: StoreSection::default(),
            hosts: vec![HostSection::default()],
            image: ImageSection::default(),
            plans: BTreeMap::new(),
            policy: PolicySection::default(),
            identity: IdentitySection::default(),
            tokens: TokensSection::default(),
            overlay: OverlaySection::default(),
            reconcile: ReconcileSection::default(),
            log: LogSection::default(),
            portainer: PortainerSection::default(),
            sandbox: SandboxSection::default(),
        }
    }
}

/// Where a configuration is read from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The file; without one, `config.toml` in the data directory where there is one.
    pub(crate) file: Option<PathBuf>,
    /// The data directory, where a flag gives one.
    pub(crate) data_dir: Option<PathBuf>,
    /// The environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Flags, in order: the flag, the key it sets and the value.
    pub(crate) flags: Vec<(&'static str, String, String)>,
}

/// A configuration with what is to be said of it.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// Where the server keeps its files.
    pub(crate) data_dir: PathBuf,
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
    /// The predecessor's variables that were read.
    pub(crate) seed_names: Vec<SeedName>,
    tree: tree::Node,
}

impl Loaded {
    /// Every setting with its effective value, secrets redacted, and where it came from.
    #[must_use]
    pub(crate) fn settings(&self) -> Vec<Setting> {
        show::settings(&self.config, &self.tree)
    }

    /// What is accepted but deserves a word: settings that this version does not use, and weak choices.
    #[must_use]
    pub(crate) fn warnings(&self) -> Vec<String> {
        check::warnings(&self.config)
    }
}

/// Reads, lays over each other and checks everything in `sources`.
///
/// # Errors
/// [`ConfigError`] with every problem that was found.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let early = early_data_dir(sources);
    let file = match (&sources.file, &early) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(dir)) => Some(dir.join("config.toml")).filter(|file| file.exists()),
        (None, None) => None,
    };
    let mut tree = match &file {
        Some(file) => sources::file(file)?,
        None => tree::Node::default(),
    };
    let (seed_names, mut problems) = seed::lay(&mut tree, &sources.environment);
    problems.extend(sources::environment(&mut tree, &sources.environment));
    for (flag, key, value) in &sources.flags {
        problems.extend(sources::flag(&mut tree, flag, key, value));
    }
    if let Some(dir) = &sources.data_dir {
        let dir = dir.to_string_lossy();
        problems.extend(sources::flag(&mut tree, "--data", "server.data_dir", &dir));
    }
    sources::anchor(&mut tree);
    problems.extend(secret::read_files(&mut tree));
    let config: Config = match read::read(&tree) {
        Ok(config) => config,
        Err(error) => {
            problems.extend(error.problems);
            return Err(ConfigError { problems });
        }
    };
    problems.extend(check::problems(&config).into_iter().map(|problem| {
        let origin = match tree.at(&sources::parse_key(&problem.key)) {
            Some(tree::Node::Leaf(leaf)) => Some(leaf.origin.clone()),
            Some(tree::Node::Table(_) | tree::Node::List(_)) | None => None,
        };
        problem.from(origin)
    }));
    let data_dir = config.server.data_dir.clone().or(early);
    match data_dir {
        Some(data_dir) if problems.is_empty() => Ok(Loaded {
            config,
            data_dir,
            file,
            seed_names,
            tree,
        }),
        Some(_) => Err(ConfigError { problems }),
        None => {
            problems.push(Problem::new(
                "server.data_dir",
                "is not set, and neither XDG_DATA_HOME nor HOME says where it would be",
                "give --data DIR",
            ));
            Err(ConfigError { problems })
        }
    }
}

/// The data directory as far as it is known before the file is read.
fn early_data_dir(sources: &Sources) -> Option<PathBuf> {
    let variable = |name: &str| {
        let value = sources
            .environment
            .get(name)
            .filter(|value| !value.is_empty())?;
        Some(PathBuf::from(value))
    };
    let home = || Some(variable("HOME")?.join(".local/share"));
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    sources
        .data_dir
        .clone()
        .or_else(|| variable("OPENCLAW_TENANCY__SERVER__DATA_DIR"))
        .or_else(|| {
            // The XDG base directory specification has relative paths ignored.
            let base = variable("XDG_DATA_HOME").and_then(absolute).or_else(home)?;
            Some(base.join("openclaw-tenancy"))
        })
}

impl Config {
    /// The plans.
    ///
    /// # Errors
    /// [`ConfigError`]; never for a configuration that [`load`] returned.
    pub(crate) fn catalog(&self) -> Result<PlanCatalog, ConfigError> {
        plans::catalog(&self.plans, &self.policy.order).map_err(|problems| ConfigError { problems })
    }

    /// Who may have which plan.
    ///
    /// # Errors
    /// [`ConfigError`]; never for a configuration that [`load`] returned.
    pub(crate) fn plan_policy(&self) -> Result<PlanPolicy, ConfigError> {
        plans::policy(&self.policy, &self.catalog()?).map_err(|problems| ConfigError { problems })
    }

    /// The API's origin, where it listens on `port`.
    ///
    /// # Errors
    /// [`ConfigError`]; there is no known reason for one.
    pub(crate) fn public_url(&self, port: u16) -> Result<Url, ConfigError> {
        match &self.server.public_url {
            Some(url) => Ok(url.clone()),
            None => Url::parse(&format!("http://localhost:{port}")).map_err(|error| {
                ConfigError::one(Problem::new(
                    "server.public_url",
                    error.to_string(),
                    "set it",
                ))
            }),
        }
    }

    /// Proxies whose word on a client's address counts.
    #[must_use]
    pub(crate) fn trusted_proxies(&self) -> TrustedProxies {
        let networks = self.server.trusted_proxies.iter();
        TrustedProxies(networks.map(|network| network.0).collect())
    }

    /// The hosts by which programs reach the API beside the public URL's: those configured, and the address that it
    /// listens on.
    ///
    /// # Errors
    /// When a name cannot be one; never for a configuration that [`load`] returned.
    pub(crate) fn host_names(&self) -> Result<Vec<HostName>, InvalidHostName> {
        let listen = self.server.listen.ip();
        let named = self.server.host_names.iter().map(|name| name.parse());
        let listen =
            (!listen.is_unspecified()).then_some(Ok(HostName::Address(listen.to_canonical())));
        named.chain(listen).collect()
    }

    /// Where instances are, where the edge listens on `port`.
    ///
    /// # Errors
    /// [`ConfigError`]; never for a configuration that [`load`] returned.
    pub(crate) fn origins(&self, port: u16) -> Result<OriginTemplate, ConfigError> {
        check::origins(&self.edge, port).map_err(ConfigError::one)
    }

    /// The database's URL: a SQLite file in `data_dir` unless one is set.
    #[must_use]
    pub(crate) fn store_url(&self, data_dir: &Path) -> Secret {
        match &self.store.url {
            Some(url) => url.clone(),
            None => {
                let file = data_dir.join("openclaw-tenancy.db");
                Secret::from(&*format!("sqlite://{}", file.display()))
            }
        }
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
