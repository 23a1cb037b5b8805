//! The one mapping from the core's nouns to the Docker Engine API.

mod transport;

pub use self::transport::TlsError;
