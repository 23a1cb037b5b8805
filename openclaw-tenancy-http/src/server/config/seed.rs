//! The predecessor's environment variables, accepted as other names of our keys.
//!
//! Whoever moves keeps the environment file. Each variable that is read is reported with the key that
//! replaces it. A variable of ours, or a flag, wins over one of these.

use std::collections::BTreeMap;

use super::error::Problem;
use super::sources;
use super::tree::{Leaf, Node, Origin};

/// What becomes of a variable.
enum Means {
    /// The value of this key, as it stands.
    Key(&'static [&'static str]),
    /// The port of this listener's address.
    Port(&'static [&'static str]),
    /// A level of the predecessor's logger.
    Level,
    /// A plan's figures: `0.5,512,5120,1`.
    Quota(&'static str),
    /// A setting of the provider with this id.
    Provider(&'static str, &'static str),
    /// Whether the provider of the `OAUTH_…` variables is used.
    OAuthSwitch,
    /// Part of `edge.url_format`.
    Url,
}

const NAMES: &[(&str, Means)] = &[
    ("PORT", Means::Port(&["server", "listen"])),
    ("LOG_LEVEL", Means::Level),
    ("DATABASE_URL", Means::Key(&["store", "url"])),
    ("DATABASE_POOL_MIN", Means::Key(&["store", "pool_min"])),
    ("DATABASE_POOL_MAX", Means::Key(&["store", "pool_max"])),
    ("PORTAINER_URL", Means::Key(&["portainer", "url"])),
    ("PORTAINER_API_KEY", Means::Key(&["portainer", "api_key"])),
    ("JWT_SECRET", Means::Key(&["tokens", "secret"])),
    ("JWT_EXPIRES_IN", Means::Key(&["tokens", "expires_in"])),
    (
        "REFRESH_TOKEN_EXPIRES_IN",
        Means::Key(&["tokens", "refresh_expires_in"]),
    ),
    ("OAUTH_ENABLED", Means::OAuthSwitch),
    ("OAUTH_ISSUER", Means::Provider("oauth", "issuer")),
    ("OAUTH_AUDIENCE", Means::Provider("oauth", "audience")),
    (
        "OAUTH_CLIENT_SECRET",
        Means::Provider("oauth", "client_secret"),
    ),
    ("CASDOOR_ENDPOINT", Means::Provider("casdoor", "issuer")),
    ("CASDOOR_CLIENT_ID", Means::Provider("casdoor", "client_id")),
    (
        "CASDOOR_CLIENT_SECRET",
        Means::Provider("casdoor", "client_secret"),
    ),
    ("DEFAULT_PLAN", Means::Key(&["policy", "default"])),
    ("GATEWAY_IMAGE", Means::Key(&["image", "reference"])),
    ("SANDBOX_IMAGE", Means::Key(&["sandbox", "image"])),
    ("QUOTA_FREE", Means::Quota("free")),
    ("QUOTA_BASIC", Means::Quota("basic")),
    ("QUOTA_PRO", Means::Quota("pro")),
    ("QUOTA_ENTERPRISE", Means::Quota("enterprise")),
    ("METRICS_ENABLED", Means::Key(&["metrics", "enabled"])),
    ("METRICS_PORT", Means::Port(&["metrics", "listen"])),
    ("INSTANCE_BASE_DOMAIN", Means::Key(&["edge", "base_domain"])),
    ("INSTANCE_URL_FORMAT", Means::Url),
    ("INSTANCE_URL_SCHEME", Means::Url),
];

/// A variable of the predecessor's that was read, and the key to use instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeedName {
    /// The variable.
    pub(crate) variable: &'static str,
    /// The key that replaces it.
    pub(crate) key: String,
}

/// Lays the predecessor's variables over `root`.
pub(super) fn lay(
    root: &mut Node,
    variables: &BTreeMap<String, String>,
) -> (Vec<SeedName>, Vec<Problem>) {
    let mut reader = Reader {
        root,
        variables,
        read: Vec::new(),
        problems: Vec::new(),
    };
    for (name, means) in NAMES {
        reader.variable(name, means);
    }
    reader.url();
    (reader.read, reader.problems)
}

struct Reader<'a> {
    root: &'a mut Node,
    variables: &'a BTreeMap<String, String>,
    read: Vec<SeedName>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn variable(&mut self, name: &'static str, means: &Means) {
        self.secret_file(name, means);
        let Some(value) = self.get(name).map(str::to_owned) else {
            return;
        };
        match means {
            Means::Key(path) => self.put(name, &owned(path), &value),
            Means::Port(path) => self.port(name, &owned(path), &value),
            Means::Level => match level(&value) {
                Some(level) => self.put(name, &owned(&["log", "level"]), level),
                None => self.refuse(
                    name,
                    &value,
                    "is no log level",
                    "write error, warn, info or debug",
                ),
            },
            Means::Quota(plan) => self.quota(name, plan, &value),
            Means::Provider(id, field) => {
                if *id != "oauth" || self.oauth_enabled() {
                    let path = self.provider(name, id, field);
                    self.put(name, &path, &value);
                }
            }
            Means::OAuthSwitch => {
                let known = ["true", "1", "yes", "on", "false", "0", "no", "off"];
                if !known.contains(&value.to_ascii_lowercase().as_str()) {
                    self.refuse(name, &value, "is not true or false", "write true or false");
                } else if self.oauth_enabled() && self.get("OAUTH_ISSUER").is_none() {
                    self.refuse(name, &value, "needs an issuer", "set OAUTH_ISSUER as well");
                }
                self.read.push(SeedName {
                    variable: name,
                    key: "identity.oidc".to_owned(),
                });
            }
            // Both are read together, below.
            Means::Url => {}
        }
    }

    /// `JWT_SECRET_FILE` and the like, as orchestrators give secrets.
    fn secret_file(&mut self, name: &'static str, means: &Means) {
        let Some(file) = self.get(&format!("{name}_FILE")).map(str::to_owned) else {
            return;
        };
        let mut path = match means {
            Means::Key(path) => owned(path),
            Means::Provider(id, field) => self.provider(name, id, field),
            Means::Port(_) | Means::Level | Means::Quota(_) | Means::OAuthSwitch | Means::Url => {
                return;
            }
        };
        if super::secret::is_secret(&path)
            && let Some(last) = path.last_mut()
        {
            last.push_str("_file");
            self.put(name, &path, &file);
        }
    }

    fn oauth_enabled(&self) -> bool {
        self.get("OAUTH_ENABLED").is_none_or(|value| {
            !matches!(
                value.to_ascii_lowercase().as_str(),
                "false" | "0" | "no" | "off"
            )
        })
    }

    fn put(&mut self, name: &'static str, path: &[String], value: &str) {
        self.problems.extend(sources::lay(
            self.root,
            path,
            Leaf::text(value, Origin::Seed(name)),
        ));
        self.read.push(SeedName {
            variable: name,
            key: super::tree::shown(path),
        });
    }

    fn refuse(&mut self, name: &'static str, value: &str, what: &str, fix: &str) {
        self.problems
            .push(Problem::new(name, what, fix).value(format_args!("{value:?}")));
    }

    fn port(&mut self, name: &'static str, path: &[String], value: &str) {
        if value.parse::<u16>().is_err() {
            self.refuse(name, value, "is no port", "write a number from 0 to 65535");
            return;
        }
        let host = match self.root.at(path) {
            Some(Node::Leaf(leaf)) => {
                let text = leaf.value.to_string();
                text.trim_matches('"')
                    .rsplit_once(':')
                    .map(|(host, _)| host.to_owned())
            }
            Some(Node::Table(_) | Node::List(_)) | None => None,
        };
        let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
        self.put(name, path, &format!("{host}:{value}"));
    }

    /// CPUs, MB of memory, MB of storage and a count of sandboxes, -1 for no limit.
    fn quota(&mut self, name: &'static str, plan: &str, value: &str) {
        let parts: Vec<&str> = value.split(',').map(str::trim).collect();
        let [cpu, memory, storage, sandboxes] = parts.as_slice() else {
            let fix =
                "write CPUs, MB of memory, MB of storage and sandboxes, such as 0.5,512,5120,1";
            self.refuse(name, value, "is not four figures", fix);
            return;
        };
        let sandboxes = if *sandboxes == "-1" {
            "unlimited"
        } else {
            sandboxes
        };
        for (field, text) in [
            ("cpu", (*cpu).to_owned()),
            ("memory", format!("{memory} MB")),
            ("storage", format!("{storage} MB")),
            ("sandboxes", sandboxes.to_owned()),
        ] {
            let leaf = Leaf::text(text, Origin::Seed(name));
            self.problems.extend(sources::lay(
                self.root,
                &owned(&["plans", plan, field]),
                leaf,
            ));
        }
        self.read.push(SeedName {
            variable: name,
            key: format!("plans.{plan}"),
        });
    }

    /// The path of a provider's field: of the file's provider with this id, else of one more.
    fn provider(&mut self, name: &'static str, id: &str, field: &str) -> Vec<String> {
        let list = owned(&["identity", "oidc"]);
        let at = match self.root.at(&list) {
            Some(Node::List(providers)) => providers
                .iter()
                .position(|provider| match provider.at(&owned(&["id"])) {
                    Some(Node::Leaf(leaf)) => leaf.value.to_string().trim_matches('"') == id,
                    Some(Node::Table(_) | Node::List(_)) | None => false,
                })
                .unwrap_or(providers.len()),
            Some(Node::Leaf(_) | Node::Table(_)) | None => 0,
        };
        let mut path = list;
        path.extend([at.to_string(), "id".to_owned()]);
        if self.root.at(&path).is_none() {
            self.problems.extend(sources::lay(
                self.root,
                &path,
                Leaf::text(id, Origin::Seed(name)),
            ));
        }
        path.pop();
        path.push(field.to_owned());
        path
    }

    /// `{name}.{baseDomain}` and a scheme are one template here.
    fn url(&mut self) {
        let format = self.get("INSTANCE_URL_FORMAT").map(str::to_owned);
        let scheme = self.get("INSTANCE_URL_SCHEME").map(str::to_owned);
        if format.is_none() && scheme.is_none() {
            return;
        }
        let name = if format.is_some() {
            "INSTANCE_URL_FORMAT"
        } else {
            "INSTANCE_URL_SCHEME"
        };
        let template = format.unwrap_or_else(|| "{name}.{baseDomain}".to_owned());
        let domain = match self.root.at(&owned(&["edge", "base_domain"])) {
            Some(Node::Leaf(leaf)) => leaf.value.to_string().trim_matches('"').to_owned(),
            Some(Node::Table(_) | Node::List(_)) | None => "localhost".to_owned(),
        };
        let template = template
            .replace("{name}", "{slug}")
            .replace("{baseDomain}", &domain);
        let template = if template.contains("://") {
            template
        } else {
            format!("{}://{template}", scheme.as_deref().unwrap_or("https"))
        };
        self.put(name, &owned(&["edge", "url_format"]), &template);
        if scheme.is_some() && name != "INSTANCE_URL_SCHEME" {
            let key = "edge.url_format".to_owned();
            self.read.push(SeedName {
                variable: "INSTANCE_URL_SCHEME",
                key,
            });
        }
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|segment| (*segment).to_owned()).collect()
}

/// The predecessor's logger has more levels than ours.
fn level(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "error" | "fatal" => "error",
        "warn" | "warning" => "warn",
        "info" => "info",
        "http" | "verbose" | "debug" => "debug",
        "silly" | "trace" => "trace",
        _ => return None,
    })
}
