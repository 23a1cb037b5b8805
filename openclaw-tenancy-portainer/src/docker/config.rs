//! Where an engine is and how it is spoken to.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// The way to one Docker Engine.
///
/// ```
/// use openclaw_tenancy_portainer::docker::Endpoint;
///
/// let local: Endpoint = "unix:///var/run/docker.sock".parse()?;
/// assert_eq!(local.to_string(), "unix:///var/run/docker.sock");
///
/// let refused = "tcp://192.0.2.7:2375".parse::<Endpoint>().unwrap_err();
/// assert!(refused.to_string().contains("mutual TLS"));
/// # Ok::<(), openclaw_tenancy_portainer::docker::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Endpoint {
    /// A unix socket on this machine.
    Unix {
        /// The socket, usually `/var/run/docker.sock`.
        path: PathBuf,
    },
    /// Plain HTTP. Whoever reaches the port is root on the machine, so only loopback is accepted unless
    /// [`Plaintext::Anywhere`] says that the network between is trusted.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port, usually 2375.
        port: u16,
        /// Whether an address off loopback is meant.
        #[serde(default)]
        plaintext: Plaintext,
    },
    /// Mutual TLS: the engine's certificate is verified against one pinned CA, and ours is shown.
    Tls {
        /// Host name or address; the engine's certificate must be for it unless `server_name` is set.
        host: String,
        /// Port, usually 2376.
        port: u16,
        /// The CA that signed the engine's certificate, PEM.
        ca: PathBuf,
        /// Our client certificate with its chain, PEM.
        cert: PathBuf,
        /// The key of the client certificate, PEM.
        key: PathBuf,
        /// The name in the engine's certificate, where it differs from `host`.
        #[serde(default)]
        server_name: Option<String>,
    },
}

/// Where plain HTTP to an engine is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plaintext {
    /// Only on this machine.
    #[default]
    LoopbackOnly,
    /// On any address: the operator vouches for the network between.
    Anywhere,
}

/// An [`Endpoint`] that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text is no address of an engine.
    #[error(
        "`{given}` is no engine address; write unix:///var/run/docker.sock, tcp://127.0.0.1:2375, or configure kind = \"tls\""
    )]
    Malformed {
        /// What was given.
        given: String,
    },
    /// Plain HTTP to another machine without the operator's word.
    #[error(
        "`{host}` is not loopback, and plain HTTP would give its root away; use mutual TLS (kind = \"tls\") or set plaintext = \"anywhere\""
    )]
    PlaintextOffLoopback {
        /// The host that was given.
        host: String,
    },
    /// A proxy's path that cannot stand before another.
    #[error("`prefix` is `{given}`; write an absolute path such as /engines/7, without query")]
    Prefix {
        /// What was given.
        given: String,
    },
    /// A header that HTTP cannot carry.
    #[error("header `{name}` has a name or a value that HTTP cannot carry")]
    Header {
        /// Its name; the value may be a secret.
        name: String,
    },
}

impl Endpoint {
    /// The engine of this machine at its usual socket.
    #[must_use]
    pub fn local() -> Self {
        Self::Unix {
            path: PathBuf::from("/var/run/docker.sock"),
        }
    }

    /// Refuses what deserialising cannot see: plain HTTP off loopback.
    ///
    /// # Errors
    /// [`EndpointError::PlaintextOffLoopback`].
    pub fn check(&self) -> Result<(), EndpointError> {
        match self {
            Self::Tcp {
                host,
                plaintext: Plaintext::LoopbackOnly,
                ..
            } if !is_loopback(host) => {
                Err(EndpointError::PlaintextOffLoopback { host: host.clone() })
            }
            Self::Unix { .. } | Self::Tcp { .. } | Self::Tls { .. } => Ok(()),
        }
    }
}

/// A name other than `localhost` is not trusted to resolve to loopback.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix { path } => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{}:{port}", bracketed(host)),
            Self::Tls { host, port, .. } => write!(f, "tls://{}:{port}", bracketed(host)),
        }
    }
}

/// `host` as it stands in an address: IPv6 in brackets.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads `unix://PATH` and `tcp://HOST:PORT`, the forms of `DOCKER_HOST`. TLS needs its files, so it has
    /// no text form.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || EndpointError::Malformed {
            given: text.to_owned(),
        };
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') {
                Ok(Self::Unix { path: path.into() })
            } else {
                Err(malformed())
            };
        }
        let rest = text.strip_prefix("tcp://").ok_or_else(malformed)?;
        let authority: http::uri::Authority = rest
            .trim_end_matches('/')
            .parse()
            .map_err(|_| malformed())?;
        let port = authority.port_u16().ok_or_else(malformed)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(malformed());
        }
        let endpoint = Self::Tcp {
            host,
            port,
            plaintext: Plaintext::LoopbackOnly,
        };
        endpoint.check()?;
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        for ok in [
            "unix:///run/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
            "tcp://localhost:2375",
        ] {
            assert_eq!(ok.parse::<Endpoint>().unwrap().to_string(), ok);
        }
        for bad in [
            "",
            "unix://",
            "unix://relative",
            "/var/run/docker.sock",
            "tcp://",
            "tcp://127.0.0.1",
            "tcp://:2375",
            "http://127.0.0.1:2375",
            "tcp://u@127.0.0.1:2375",
            "tcp://127.0.0.1:99999",
        ] {
            assert!(
                matches!(
                    bad.parse::<Endpoint>(),
                    Err(EndpointError::Malformed { .. })
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn plain_http_leaves_the_machine_only_by_word() {
        for host in ["192.0.2.1", "worker", "localhost.example.org", "::2"] {
            let endpoint = |plaintext| Endpoint::Tcp {
                host: host.into(),
                port: 2375,
                plaintext,
            };
            assert!(endpoint(Plaintext::LoopbackOnly).check().is_err(), "{host}");
            assert!(endpoint(Plaintext::Anywhere).check().is_ok(), "{host}");
        }
    }
}
