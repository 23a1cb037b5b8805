//! Password hashing: argon2id, a few at a time.
//!
//! Each hash takes 19 MiB and some tens of milliseconds of a core, which is the point of it and a way to stop
//! the server by asking: so the number at once and the number waiting are bounded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use openclaw_tenancy::clock::Entropy;
use openclaw_tenancy::error::Source;
use openclaw_tenancy::identity::IdentityError;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const COST: Params = match Params::new(19 * 1024, 2, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("the cost is within argon2's bounds"),
};

/// Hashes at once: two cores are the smallest machine that we are meant for.
const AT_ONCE: usize = 2;
/// Sign-ins that may wait for their hash, about a second's worth; the next is told to come back.
const WAITING: usize = 32;
/// What it is told.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Longer passwords are refused unhashed: hashing them is free work for whoever sends them.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// Hashes and verifies passwords.
#[derive(Clone)]
pub(super) struct Passwords {
    queue: Arc<Semaphore>,
    running: Arc<Semaphore>,
    entropy: Arc<dyn Entropy>,
    /// A hash that no password has, for accounts that do not exist.
    nobody: SecretString,
}

impl Passwords {
    /// Takes the time of one hash.
    pub(super) fn new(entropy: Arc<dyn Entropy>) -> Result<Self, IdentityError> {
        let mut password = [0_u8; 32];
        entropy.fill(&mut password);
        let nobody = hash(&password, &salt(&*entropy)?)?;
        Ok(Self {
            queue: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            running: Arc::new(Semaphore::new(AT_ONCE)),
            entropy,
            nobody,
        })
    }

    /// The PHC string of `password`.
    pub(super) async fn hash(&self, password: SecretString) -> Result<SecretString, IdentityError> {
        let salt = salt(&*self.entropy)?;
        self.bounded(move || hash(password.expose_secret().as_bytes(), &salt))
            .await?
    }

    /// Whether `password` has the hash `phc`. Without one it takes as long and is not.
    pub(super) async fn verify(
        &self,
        password: SecretString,
        phc: Option<SecretString>,
    ) -> Result<bool, IdentityError> {
        let known = phc.is_some();
        let phc = phc.unwrap_or_else(|| self.nobody.clone());
        let fits = self
            .bounded(move || {
                let phc = PasswordHash::new(phc.expose_secret()).map_err(failed)?;
                let password = password.expose_secret().as_bytes();
                match Argon2::default().verify_password(password, &phc) {
                    Ok(()) => Ok(true),
                    Err(argon2::password_hash::Error::Password) => Ok(false),
                    Err(error) => Err(failed(error)),
                }
            })
            .await??;
        Ok(known && fits)
    }

    async fn bounded<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, IdentityError> {
        let busy = |_| IdentityError::Busy {
            retry_after: RETRY_AFTER,
        };
        let queued = Arc::clone(&self.queue).try_acquire_owned().map_err(busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|error| IdentityError::Unavailable {
            reason: "password hashing has stopped".to_owned(),
            source: Some(Source::from(error)),
        })?;
        // The permits go with the work, not with the caller: hanging up frees no core.
        let permits: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (queued, running);
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permits);
            done
        });
        task.await.map_err(|error| IdentityError::Unavailable {
            reason: "password hashing failed".to_owned(),
            source: Some(Source::from(error)),
        })
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords")
            .field("free", &self.running.available_permits())
            .finish_non_exhaustive()
    }
}

fn salt(entropy: &dyn Entropy) -> Result<SaltString, IdentityError> {
    let mut bytes = [0_u8; 16];
    entropy.fill(&mut bytes);
    SaltString::encode_b64(&bytes).map_err(failed)
}

fn hash(password: &[u8], salt: &SaltString) -> Result<SecretString, IdentityError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, COST);
    let phc = argon2.hash_password(password, salt).map_err(failed)?;
    Ok(SecretString::from(phc.to_string()))
}

fn failed(error: argon2::password_hash::Error) -> IdentityError {
    IdentityError::Unavailable {
        reason: format!("a password hash cannot be used: {error}"),
        source: None,
    }
}
