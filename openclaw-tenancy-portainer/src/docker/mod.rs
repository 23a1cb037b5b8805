//! Docker Engines that are spoken to directly.
//!
//! [`DockerBackend`] is the backend, [`Endpoint`] the way to one engine. An endpoint is also a piece of
//! configuration:
//!
//! ```
//! # use openclaw_tenancy_portainer::docker::Endpoint;
//! let local: Endpoint = serde_json::from_str(r#"{ "kind": "unix", "path": "/var/run/docker.sock" }"#)?;
//! let worker: Endpoint = serde_json::from_str(
//!     r#"{ "kind": "tls", "host": "worker-1.example.org", "port": 2376,
//!          "ca": "ca.pem", "cert": "client.pem", "key": "client-key.pem" }"#,
//! )?;
//! assert_eq!(worker.to_string(), "tls://worker-1.example.org:2376");
//! # Ok::<(), serde_json::Error>(())
//! ```

mod backend;
mod config;
mod proxy;

pub use self::backend::{ConfigError, DockerBackend, DockerBackendBuilder};
pub(crate) use self::config::bracketed;
pub use self::config::{Endpoint, EndpointError, Plaintext};
pub use self::proxy::Proxy;
pub use crate::engine::{TlsError, TlsRefusal};
