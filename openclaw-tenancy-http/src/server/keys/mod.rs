//! The deployment's id and the server's own keys: made once, kept in the database, the same on every replica.

mod seal;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::Entropy;
use openclaw_tenancy::id::DeploymentId;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::store::StoreError;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use self::seal::Seal;
use crate::identity::jwt::{TokenSecret, WeakSecret};

const DEPLOYMENT: &str = "deployment";
const LABEL_KEY: &str = "label-key";
const TOKEN_SECRET: &str = "token-secret";

/// The id of the one label key there is; a rotation brings the next.
const LABEL_KEY_ID: &str = "k1";

/// The file in the data directory that remembers whose it is.
pub(super) const REMEMBERED: &str = "deployment";

/// What the server knows itself and its objects by.
#[derive(Debug)]
pub(crate) struct ServerKeys {
    /// Names the deployment in every label.
    pub(crate) deployment: DeploymentId,
    /// Signs labels.
    pub(crate) labels: Arc<LabelKeys>,
    /// Signs our own tokens, unless the configuration gives a secret.
    pub(crate) token_secret: TokenSecret,
    /// Whether the deployment was made just now.
    pub(crate) made_now: bool,
    /// What an operator should know about the keys.
    pub(crate) warnings: Vec<String>,
    fingerprint: String,
}

/// The server's own keys cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeyError {
    /// The database does not answer.
    #[error("the server's own keys cannot be read from the database")]
    Store(#[from] StoreError),
    /// The key file cannot be used.
    #[error(
        "store.key_file = {path:?}: it cannot be used; {}",
        key_file_fix(source)
    )]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The keys are encrypted and there is no key file.
    #[error(
        "the server's own keys in this database are encrypted, and store.key_file is not set; \
         set it to the file they were made with"
    )]
    NoKeyFile,
    /// The keys are encrypted under another key file.
    #[error(
        "the server's own keys in this database were made with another file than store.key_file \
         names; give that file: without those keys every running instance would be a stranger"
    )]
    OtherKeyFile,
    /// A key in the database is not one.
    #[error("the server's own `{name}` in the database is damaged; restore the database")]
    Damaged {
        /// Which.
        name: &'static str,
    },
}

/// What to do about a key file that cannot be read. A new one is the fix only where no keys were made yet.
fn key_file_fix(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => {
            "there is none: correct the path, restore the file from its backup, or, for a new deployment, make it \
             with `openssl rand -out FILE 32`"
        }
        ErrorKind::PermissionDenied => "let the user that the server runs as read it",
        _ => "it is a file of 32 to 65536 random bytes",
    }
}

impl From<WeakSecret> for KeyError {
    fn from(_: WeakSecret) -> Self {
        Self::Damaged { name: TOKEN_SECRET }
    }
}

/// Reads the keys, and makes those that there are not yet.
///
/// Of any number of replicas that start together one makes them, and all get the same.
///
/// # Errors
/// [`KeyError`].
pub(crate) async fn load(
    store: &dyn AccessStore,
    entropy: &dyn Entropy,
    key_file: Option<&Path>,
) -> Result<ServerKeys, KeyError> {
    let seal = match key_file {
        Some(path) => Some(Seal::from_file(path).map_err(|source| KeyError::KeyFile {
            path: path.to_owned(),
            source,
        })?),
        None => None,
    };
    let mut vault = Vault {
        store,
        entropy,
        seal,
        in_clear: false,
    };
    let (deployment, made_now) = vault.deployment().await?;
    let label_key = vault.key(LABEL_KEY).await?;
    let token_key = vault.key(TOKEN_SECRET).await?;
    let fingerprint = hex::encode(&Sha256::digest(*label_key)[..8]);
    let mut warnings = Vec::new();
    if vault.in_clear && vault.seal.is_some() {
        warnings.push(
            "the server's own keys were made before store.key_file was set and stand unencrypted in \
             the database"
                .to_owned(),
        );
    }
    Ok(ServerKeys {
        labels: Arc::new(LabelKeys::new(deployment.clone(), LABEL_KEY_ID, *label_key)),
        token_secret: TokenSecret::new(SecretString::from(STANDARD.encode(*token_key)))?,
        deployment,
        made_now,
        warnings,
        fingerprint,
    })
}

impl ServerKeys {
    /// Compares the keys with those this data directory was last used with, and remembers these.
    ///
    /// Whoever loses the database gets new keys, and with them every instance that runs becomes a stranger
    /// that nothing touches any more. That must not happen in silence.
    pub(crate) fn remember(&mut self, data_dir: &Path) {
        let file = data_dir.join(REMEMBERED);
        let now = format!("{} {}\n", self.deployment, self.fingerprint);
        match std::fs::read_to_string(&file) {
            Ok(before) if before == now => return,
            Ok(before) => {
                let earlier = before.split_whitespace().next().unwrap_or("?");
                let earlier: String = earlier.chars().take(63).collect();
                self.warnings.push(format!(
                    "this data directory was used with deployment {earlier}, and the database now says \
                     {}: instances of {earlier} that still run are strangers to this server, which will \
                     not touch them. Restore the database of {earlier} to manage them again, or remove \
                     them by their label io.openclaw-tenancy.deployment={earlier}",
                    self.deployment
                ));
            }
            Err(_) => {}
        }
        if let Err(error) = std::fs::write(&file, now) {
            self.warnings
                .push(format!("{} cannot be written: {error}", file.display()));
        }
    }
}

struct Vault<'a> {
    store: &'a dyn AccessStore,
    entropy: &'a dyn Entropy,
    seal: Option<Seal>,
    /// Whether a key was found unencrypted.
    in_clear: bool,
}

impl Vault<'_> {
    /// The deployment, and whether it was made by this call.
    async fn deployment(&self) -> Result<(DeploymentId, bool), KeyError> {
        let mut random = [0_u8; 5];
        self.entropy.fill(&mut random);
        let proposed = hex::encode(random);
        let kept = self
            .store
            .meta(DEPLOYMENT, SecretString::from(proposed.clone()))
            .await?;
        let kept = kept.expose_secret();
        let deployment =
            DeploymentId::new(kept).map_err(|_| KeyError::Damaged { name: DEPLOYMENT })?;
        Ok((deployment, kept == proposed))
    }

    async fn key(&mut self, name: &'static str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let mut random = Zeroizing::new([0_u8; 32]);
        self.entropy.fill(&mut *random);
        let proposed = match &self.seal {
            Some(seal) => {
                let sealed = seal.seal(name, &*random);
                format!("sealed:{}", sealed.map_err(|_| KeyError::Damaged { name })?)
            }
            None => format!("clear:{}", STANDARD.encode(*random)),
        };
        let kept = self.store.meta(name, SecretString::from(proposed)).await?;
        let bytes = match (kept.expose_secret().split_once(':'), &self.seal) {
            (Some(("clear", text)), _) => {
                self.in_clear = true;
                Zeroizing::new(
                    STANDARD
                        .decode(text)
                        .map_err(|_| KeyError::Damaged { name })?,
                )
            }
            (Some(("sealed", _)), None) => return Err(KeyError::NoKeyFile),
            (Some(("sealed", text)), Some(seal)) => {
                seal.open(name, text).map_err(|_| KeyError::OtherKeyFile)?
            }
            (Some(_) | None, _) => return Err(KeyError::Damaged { name }),
        };
        let mut key = Zeroizing::new([0_u8; 32]);
        if bytes.len() != key.len() {
            return Err(KeyError::Damaged { name });
        }
        key.copy_from_slice(&bytes);
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::SeededEntropy;
    use openclaw_tenancy::memory::MemoryAccess;

    use super::*;

    fn key_file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[tokio::test]
    async fn every_start_gets_the_keys_of_the_first() {
        let (store, file) = (MemoryAccess::new(), key_file(&[9; 40]));
        for key_file in [None, Some(file.path())] {
            let first = load(&store, &SeededEntropy::new(1), key_file)
                .await
                .unwrap();
            let second = load(&store, &SeededEntropy::new(2), key_file)
                .await
                .unwrap();
            assert_eq!(first.deployment, second.deployment);
            assert_eq!(first.fingerprint, second.fingerprint);
            assert!(!second.made_now);
            // With a file that came later, the keys stay, and somebody is told.
            assert_eq!(second.warnings.len(), usize::from(key_file.is_some()));
        }
    }

    #[tokio::test]
    async fn a28_secret_leak_under_a_key_file_the_database_holds_no_key() {
        let (store, file) = (MemoryAccess::new(), key_file(&[9; 40]));
        let entropy = SeededEntropy::new(1);
        let keys = load(&store, &entropy, Some(file.path())).await.unwrap();
        for name in [LABEL_KEY, TOKEN_SECRET] {
            let kept = store.meta(name, SecretString::from("")).await.unwrap();
            assert!(kept.expose_secret().starts_with("sealed:"));
        }
        assert!(!format!("{keys:?}").contains("sealed"), "{keys:?}");
        let lost = load(&store, &entropy, None).await.unwrap_err();
        assert!(matches!(lost, KeyError::NoKeyFile), "{lost}");
        let other = key_file(&[8; 40]);
        let wrong = load(&store, &entropy, Some(other.path()))
            .await
            .unwrap_err();
        assert!(matches!(wrong, KeyError::OtherKeyFile), "{wrong}");
    }

    #[tokio::test]
    async fn a_lost_database_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut before = load(&MemoryAccess::new(), &SeededEntropy::new(1), None)
            .await
            .unwrap();
        before.remember(dir.path());
        before.remember(dir.path());
        assert!(before.warnings.is_empty());
        let mut after = load(&MemoryAccess::new(), &SeededEntropy::new(2), None)
            .await
            .unwrap();
        after.remember(dir.path());
        let [warning] = after.warnings.as_slice() else {
            panic!("{:?}", after.warnings)
        };
        assert!(warning.contains(before.deployment.as_str()), "{warning}");
    }
}
