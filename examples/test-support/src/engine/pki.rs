//! Certificates for an engine behind mutual TLS.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Why certificates could not be made.
pub type PkiError = Box<dyn std::error::Error + Send + Sync>;

/// A CA with what it signed, as PEM files in a directory of its own.
pub struct TestPki {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl std::fmt::Debug for TestPki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestPki")
            .field("directory", &self.directory.path())
            .finish_non_exhaustive()
    }
}

impl TestPki {
    /// A new CA, its certificate in `ca.pem`. All of them have the same name, as one that is made anew has.
    ///
    /// # Errors
    /// When keys or files cannot be made.
    pub fn generate() -> Result<Self, PkiError> {
        Self::named("test CA")
    }

    /// A new CA of this name.
    ///
    /// # Errors
    /// When keys or files cannot be made.
    pub fn named(name: &str) -> Result<Self, PkiError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join("ca.pem"), issuer.pem())?;
        Ok(Self { issuer, directory })
    }

    /// The CA's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A client certificate and its key.
    ///
    /// # Errors
    /// When keys or files cannot be made.
    pub fn client(&self) -> Result<(PathBuf, PathBuf), PkiError> {
        let params = params("client", &[], ExtendedKeyUsagePurpose::ClientAuth)?;
        self.sign("client", &params)
    }

    /// A client certificate of long ago and its key.
    ///
    /// # Errors
    /// When keys or files cannot be made.
    pub fn expired_client(&self) -> Result<(PathBuf, PathBuf), PkiError> {
        let mut params = params("client", &[], ExtendedKeyUsagePurpose::ClientAuth)?;
        params.not_after = long_ago();
        self.sign("expired-client", &params)
    }

    /// A server certificate for `names` and its key.
    ///
    /// # Errors
    /// When keys or files cannot be made.
    pub fn server(&self, names: &[&str]) -> Result<(PathBuf, PathBuf), PkiError> {
        let params = params("server", names, ExtendedKeyUsagePurpose::ServerAuth)?;
        self.sign("server", &params)
    }

    /// What an engine with `--tlsverify` listens with: it serves `names` and wants our client certificates.
    ///
    /// # Errors
    /// When keys or files cannot be made.
    pub fn engine(&self, names: &[&str]) -> Result<Arc<ServerConfig>, PkiError> {
        self.listening(self.server(names)?)
    }

    /// The same with a certificate of long ago.
    ///
    /// # Errors
    /// When keys or files cannot be made.
    pub fn expired_engine(&self, names: &[&str]) -> Result<Arc<ServerConfig>, PkiError> {
        let mut params = params("server", names, ExtendedKeyUsagePurpose::ServerAuth)?;
        params.not_after = long_ago();
        self.listening(self.sign("expired-server", &params)?)
    }

    fn listening(&self, (cert, key): (PathBuf, PathBuf)) -> Result<Arc<ServerConfig>, PkiError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()?;
        let chain = rustls::pki_types::CertificateDer::pem_file_iter(cert)?
            .collect::<Result<Vec<_>, _>>()?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
        Ok(Arc::new(config))
    }

    fn sign(&self, file: &str, params: &CertificateParams) -> Result<(PathBuf, PathBuf), PkiError> {
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        let path = |kind: &str| self.directory.path().join(format!("{file}-{kind}.pem"));
        std::fs::write(path("cert"), cert.pem())?;
        std::fs::write(path("key"), key.serialize_pem())?;
        Ok((path("cert"), path("key")))
    }
}

fn params(
    name: &str,
    names: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams, PkiError> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    Ok(params)
}

fn long_ago() -> time::OffsetDateTime {
    rcgen::date_time_ymd(2001, 1, 1)
}
