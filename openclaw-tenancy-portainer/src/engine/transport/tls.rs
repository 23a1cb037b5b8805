//! The TLS session towards an engine: one pinned CA, our client certificate, nothing from the system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

/// TLS files that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is missing, unreadable or not PEM of the kind it should be.
    #[error("`{field}` ({}) is not readable as PEM {kind}", path.display())]
    File {
        /// The configuration field.
        field: &'static str,
        /// The file it names.
        path: PathBuf,
        /// What should be in it.
        kind: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds no certificate at all.
    #[error("`{field}` ({}) holds no certificate", path.display())]
    Empty {
        /// The configuration field.
        field: &'static str,
        /// The file it names.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("`cert` and `key` do not make a usable client identity")]
    Identity {
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The CA certificate cannot serve as an anchor of trust.
    #[error("`ca` ({}) holds a certificate that cannot be trusted as a CA", path.display())]
    Anchor {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The name to verify is neither a DNS name nor an address.
    #[error(
        "`{name}` is no name a certificate can be for; set `server_name` to the one in the engine's certificate"
    )]
    Name {
        /// What was given.
        name: String,
    },
}

/// Reads the files once; a rotated certificate is taken by building the transport anew.
pub(super) fn client_config(
    ca: &Path,
    cert: &Path,
    key: &Path,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for anchor in certificates("ca", ca)? {
        roots.add(anchor).map_err(|source| TlsError::Anchor {
            path: ca.to_owned(),
            source,
        })?;
    }
    let chain = certificates("cert", cert)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::File {
        field: "key",
        path: key.to_owned(),
        kind: "private key",
        source,
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Identity { source })?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|source| TlsError::Identity { source })?;
    Ok(Arc::new(config))
}

/// The name that the engine's certificate has to be for.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name {
        name: host.to_owned(),
    })
}

fn certificates(
    field: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |source| TlsError::File {
        field,
        path: path.to_owned(),
        kind: "certificates",
        source,
    };
    let found = CertificateDer::pem_file_iter(path)
        .map_err(refused)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(refused)?;
    if found.is_empty() {
        return Err(TlsError::Empty {
            field,
            path: path.to_owned(),
        });
    }
    Ok(found)
}
