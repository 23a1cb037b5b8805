//! Accounts with a password, kept in our own store: for the first run, and for those without a provider.

mod password;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use openclaw_tenancy::access::{AccessStore, Replace, Rights};
use openclaw_tenancy::clock::{Clock, Entropy};
use openclaw_tenancy::error::Source;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::{
    Identity, IdentityError, IdentityProvider, LoggedIn, LoginAnswer, LoginRequest, LoginStep,
    Subject,
};
use openclaw_tenancy::plan::PlanName;
use openclaw_tenancy::store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::sign_out;

pub use password::MAX_PASSWORD_BYTES;
use password::Passwords;

/// The issuer of local subjects.
pub const ISSUER: &str = "local";

/// The first administrator's name.
pub const FIRST_ADMINISTRATOR: &str = "admin";

/// NIST SP 800-63B asks for 8 and advises more; nothing is asked about its characters.
pub const MIN_PASSWORD_CHARS: usize = 12;

/// What a name looks like.
const NAME_RULE: &str = "a name is 1 to 64 of a-z, 0-9, `.`, `_`, `-`, `+` and `@`";

/// The one answer to a wrong name and to a wrong password.
const WRONG: IdentityError = IdentityError::Refused {
    reason: "the name or the password is wrong",
};

/// Accounts with a password.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// # use openclaw_tenancy::clock::{SystemClock, SystemEntropy};
/// # use openclaw_tenancy::memory::MemoryAccess;
/// use openclaw_tenancy_http::identity::local::LocalAccounts;
/// use secrecy::ExposeSecret as _;
///
/// # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
/// # let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
/// let accounts = LocalAccounts::new(Arc::new(MemoryAccess::new()), clock, entropy)?;
/// if let Some(first) = accounts.first_administrator(None).await? {
///     // Show it once, where the one who started the server sees it.
///     println!("sign in as {} with {}", first.username, first.password.expose_secret());
/// }
/// assert!(accounts.first_administrator(None).await?.is_none());
/// # Ok::<(), openclaw_tenancy::identity::IdentityError>(())
/// # })?;
/// # Ok::<(), openclaw_tenancy::identity::IdentityError>(())
/// ```
pub struct LocalAccounts {
    store: Arc<dyn AccessStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    passwords: Passwords,
}

/// The first administrator, just made. The password is nowhere else in the clear.
#[derive(Debug)]
pub struct FirstAdministrator {
    /// The name.
    pub username: &'static str,
    /// The password, 100 random bits.
    pub password: SecretString,
}

impl LocalAccounts {
    /// The accounts in `store`. Takes the time of one password hash.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] when argon2 refuses its own parameters.
    pub fn new(
        store: Arc<dyn AccessStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, IdentityError> {
        let passwords = Passwords::new(Arc::clone(&entropy))?;
        Ok(Self {
            store,
            clock,
            entropy,
            passwords,
        })
    }

    /// Makes the first administrator, entitled to `plan`, unless there is one with a password already.
    ///
    /// The password is returned this once, to be shown to whoever starts the server. Of any number of replicas
    /// that start together, one gets it. If it was lost, [`Self::reset_password`] makes another.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] when the store does not answer; calling again is safe.
    pub async fn first_administrator(
        &self,
        plan: Option<PlanName>,
    ) -> Result<Option<FirstAdministrator>, IdentityError> {
        let known = self
            .store
            .password(FIRST_ADMINISTRATOR)
            .await
            .map_err(store_failed)?;
        if known.is_some() {
            return Ok(None);
        }
        let rights = Rights { admin: true, plan };
        let password = self.make(identity(FIRST_ADMINISTRATOR), rights).await?;
        Ok(password.map(|password| FirstAdministrator {
            username: FIRST_ADMINISTRATOR,
            password,
        }))
    }

    /// Makes an account with `rights`, and a random password that is returned this once.
    ///
    /// Servers that run on the same store know it at once. Repeating a call that did not get as far as the password
    /// is safe.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] for a name that is not acceptable, or that has a password already;
    /// [`IdentityError::Unavailable`] when the store does not answer.
    pub async fn add(
        &self,
        username: &str,
        email: Option<String>,
        rights: Rights,
    ) -> Result<SecretString, IdentityError> {
        const TAKEN: IdentityError = IdentityError::Refused {
            reason: "there is a local account of this name already; choose another name, or give it a new password \
                     with `openclaw-tenancy password`",
        };
        let username = normal(username).ok_or(IdentityError::Refused { reason: NAME_RULE })?;
        let known = self.store.password(&username).await.map_err(store_failed)?;
        if known.is_some() {
            return Err(TAKEN);
        }
        let identity = Identity {
            email,
            ..identity(&username)
        };
        let password = self.make(identity, rights).await?;
        password.ok_or(TAKEN)
    }

    /// Gives `username` a password, making the account if need be. Returns whether it was written. One that takes the
    /// place of another ends every session of the account, as [`Self::reset_password`] does.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] for a name or a password that is not acceptable, which says why.
    pub async fn set_password(
        &self,
        username: &str,
        password: SecretString,
        replace: Replace,
    ) -> Result<bool, IdentityError> {
        let username = normal(username).ok_or(IdentityError::Refused { reason: NAME_RULE })?;
        let text = password.expose_secret();
        if text.chars().count() < MIN_PASSWORD_CHARS {
            return Err(IdentityError::Refused {
                reason: "a password has at least 12 characters",
            });
        }
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(IdentityError::Refused {
                reason: "a password has at most 1024 bytes",
            });
        }
        if text.eq_ignore_ascii_case(&username) {
            return Err(IdentityError::Refused {
                reason: "the password is the name",
            });
        }
        self.write(&username, password, replace).await
    }

    /// A new random password for `username` in place of the old one, returned this once. Every session of the account
    /// ends: whoever had the old password, or what was got by it, is out.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when there is no such account; [`IdentityError::Unavailable`] when the store does not
    /// answer, and then the password may be a new one that nobody knows: calling again is safe and makes another.
    pub async fn reset_password(&self, username: &str) -> Result<SecretString, IdentityError> {
        let unknown = IdentityError::Refused {
            reason: "there is no local account of this name",
        };
        let Some(username) = normal(username) else {
            return Err(unknown);
        };
        if self
            .store
            .password(&username)
            .await
            .map_err(store_failed)?
            .is_none()
        {
            return Err(unknown);
        }
        let password = self.random_password();
        self.write(&username, password.clone(), Replace::Yes)
            .await?;
        Ok(password)
    }

    /// Makes the account, with a random password; `None` where somebody else made it meanwhile.
    async fn make(
        &self,
        identity: Identity,
        rights: Rights,
    ) -> Result<Option<SecretString>, IdentityError> {
        // Rights first, password last: what dies in between is simply repeated.
        let username = identity.who.subject.clone();
        let id = AccountId::generate(&*self.clock, &*self.entropy);
        let account = self
            .store
            .sign_in(identity, id, self.clock.now())
            .await
            .map_err(store_failed)?;
        self.store
            .set_account_rights(account.id, rights)
            .await
            .map_err(store_failed)?;
        let password = self.random_password();
        let written = self.write(&username, password.clone(), Replace::No).await?;
        Ok(written.then_some(password))
    }

    async fn write(
        &self,
        username: &str,
        password: SecretString,
        replace: Replace,
    ) -> Result<bool, IdentityError> {
        let phc = self.passwords.hash(password).await?;
        let written = self
            .store
            .put_password(username.to_owned(), phc, replace)
            .await
            .map_err(store_failed)?;
        if replace == Replace::Yes {
            // After the password: whoever signs in anew meanwhile does it by the new one.
            self.end_sessions(username).await.map_err(store_failed)?;
        }
        Ok(written)
    }

    async fn end_sessions(&self, username: &str) -> Result<(), StoreError> {
        let id = AccountId::generate(&*self.clock, &*self.entropy);
        // Found as a sign-in finds it.
        let account = self
            .store
            .sign_in(identity(username), id, self.clock.now())
            .await?;
        sign_out::end_everywhere(&*self.store, account.id).await
    }

    /// Four groups of five letters and digits, none of which looks like another: 100 bits.
    fn random_password(&self) -> SecretString {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut bytes = [0_u8; 20];
        self.entropy.fill(&mut bytes);
        let mut password = String::with_capacity(23);
        for (position, byte) in bytes.iter().enumerate() {
            if position > 0 && position % 5 == 0 {
                password.push('-');
            }
            // 256 is a multiple of 32: every letter is equally likely.
            password.push(char::from(ALPHABET[usize::from(byte % 32)]));
        }
        SecretString::from(password)
    }

    async fn check(
        &self,
        username: &str,
        password: SecretString,
    ) -> Result<Identity, IdentityError> {
        if password.expose_secret().len() > MAX_PASSWORD_BYTES {
            return Err(WRONG);
        }
        // A name that cannot exist costs what one that does not exist costs, and that is what one that does
        // exist costs: a read and a hash.
        let normal = normal(username);
        let phc = match &normal {
            Some(name) => self.store.password(name).await.map_err(store_failed)?,
            None => None,
        };
        let fits = self.passwords.verify(password, phc).await?;
        match normal {
            Some(name) if fits => Ok(identity(&name)),
            Some(_) | None => Err(WRONG),
        }
    }
}

#[async_trait]
impl IdentityProvider for LocalAccounts {
    fn issuer(&self) -> &str {
        ISSUER
    }

    async fn verify(&self, _token: &SecretString) -> Result<Identity, IdentityError> {
        Err(IdentityError::Unsupported {
            what: "bearer tokens",
        })
    }

    async fn begin(&self, _request: LoginRequest) -> Result<LoginStep, IdentityError> {
        Ok(LoginStep::Password)
    }

    async fn finish(&self, answer: LoginAnswer) -> Result<LoggedIn, IdentityError> {
        match answer {
            LoginAnswer::Password { username, password } => {
                let identity = self.check(&username, password).await?;
                Ok(LoggedIn {
                    identity,
                    return_to: None,
                })
            }
            LoginAnswer::Callback { .. } => Err(IdentityError::Unsupported {
                what: "a provider's redirect",
            }),
        }
    }
}

impl fmt::Debug for LocalAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAccounts")
            .field("passwords", &self.passwords)
            .finish_non_exhaustive()
    }
}

/// The name as it is stored: in lower case, so that `Ann` and `ann` are one person.
pub(crate) fn normal(username: &str) -> Option<String> {
    let name = username.trim().to_ascii_lowercase();
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|b| {
            b.is_ascii_lowercase()
                || b.is_ascii_digit()
                || matches!(b, b'.' | b'_' | b'-' | b'+' | b'@')
        });
    fits.then_some(name)
}

fn identity(username: &str) -> Identity {
    Identity {
        who: Subject {
            issuer: ISSUER.to_owned(),
            subject: username.to_owned(),
        },
        email: None,
        email_verified: false,
        name: Some(username.to_owned()),
        groups: BTreeSet::new(),
    }
}

fn store_failed(error: StoreError) -> IdentityError {
    IdentityError::Unavailable {
        reason: "the store of accounts does not answer".to_owned(),
        source: Some(Source::from(error)),
    }
}
