//! Docker Engines that are spoken to directly.

mod backend;
mod config;
mod proxy;

pub use self::backend::{ConfigError, DockerBackend, DockerBackendBuilder};
pub(crate) use self::config::bracketed;
pub use self::config::{Endpoint, EndpointError, Plaintext};
pub use self::proxy::Proxy;
pub use crate::engine::TlsError;
