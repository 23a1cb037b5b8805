//! Docker Engines that are spoken to directly.

mod config;

pub(crate) use self::config::bracketed;
pub use self::config::{Endpoint, EndpointError, Plaintext};
pub use crate::engine::TlsError;
