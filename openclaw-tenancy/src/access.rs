//! Sessions, login states, one-time codes, accounts and server keys: the access port.
//!
//! In the core because the HTTP crate and the store crates must not know each other. It stands beside
//! `TenantStore` on the same database, so that a session is valid on every replica.

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::id::AccountId;
use crate::identity::{Identity, Subject};
use crate::plan::PlanName;
use crate::store::StoreError;

/// So many grants of one kind has an account at most: more browsers has nobody, and whoever can sign in must not be able
/// to fill the database by doing it again and again.
pub const GRANTS_KEPT: u32 = 200;

/// What kind of short-lived secret a grant is. Kinds never stand in for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    /// A browser session with the API.
    Session,
    /// A sign-in under way at a provider.
    LoginState,
    /// Hands a signed-in browser over to an instance's host name.
    HandOver,
    /// A browser session with one instance's host name.
    InstanceSession,
    /// Binds the next sign-in to the first administrator.
    AdminClaim,
}

impl GrantKind {
    /// The stable name in a database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::LoginState => "login_state",
            Self::HandOver => "hand_over",
            Self::InstanceSession => "instance_session",
            Self::AdminClaim => "admin_claim",
        }
    }
}

/// The SHA-256 of a secret: a store never sees the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    /// The hash of `secret`, which must have at least 128 bits of randomness.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

/// Something that the bearer of a secret may do until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What kind.
    pub kind: GrantKind,
    /// The hash of the secret.
    pub secret: SecretHash,
    /// Whose it is; `None` before sign-in.
    pub account: Option<AccountId>,
    /// What the kind needs, as JSON of its owner's design. Never a secret in the clear.
    pub data: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is as if it did not exist.
    pub expires_at: Timestamp,
}

/// Somebody who has signed in at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Ours, never reused.
    pub id: AccountId,
    /// The provider's.
    pub who: Subject,
    /// Contact text.
    pub email: Option<String>,
    /// A name to show.
    pub name: Option<String>,
    /// What it may do.
    pub rights: Rights,
    /// When it first signed in.
    pub created_at: Timestamp,
}

impl Account {
    /// Takes over the e-mail and the name that `identity` has, and keeps those it is silent about.
    ///
    /// A provider leaves a claim out for reasons of its own: a scope that was not granted, a userinfo
    /// endpoint that was down. None of them says that the person has no e-mail any more.
    pub fn update_contact(&mut self, identity: &Identity) {
        if identity.email.is_some() {
            self.email.clone_from(&identity.email);
        }
        if identity.name.is_some() {
            self.name.clone_from(&identity.name);
        }
    }
}

/// What an account may do beyond what everybody may.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rights {
    /// Administers the deployment.
    pub admin: bool,
    /// May have the plans up to this one.
    pub plan: Option<PlanName>,
}

/// Accounts, grants and server keys.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AccessStore: std::fmt::Debug + Send + Sync + 'static {
    /// Writes a grant.
    ///
    /// # Behavior
    /// Of an account's grants of the kind the newest [`GRANTS_KEPT`] stay, by when they were made, and this one in any
    /// case. Calls at once may leave as many more as they are, until the next. What is nobody's has no bound here.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the kind already has this secret.
    ///
    /// # Idempotency
    /// Not: each grant has a secret of its own.
    async fn put_grant(&self, grant: Grant) -> Result<(), StoreError>;

    /// The grant, unless it has expired at `now`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError>;

    /// The grant, and it is gone: of any number of callers at once, one gets it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// The second call finds nothing.
    async fn take_grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError>;

    /// Ends every grant of `kind` that `account` has, such as at logout everywhere.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Ending none is success.
    async fn revoke_grants(&self, kind: GrantKind, account: AccountId) -> Result<u64, StoreError>;

    /// Removes what has expired, at most `limit`; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Removing none is success.
    async fn sweep_grants(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// The account of this identity, made with `id` if there is none.
    ///
    /// # Behavior
    /// - E-mail and name are brought up to date as [`Account::update_contact`] does it: what `identity` has is
    ///   taken over, and what it is silent about stays as it was.
    /// - Rights stay as they are.
    ///
    /// # Errors
    /// - [`StoreError::Conflict`] when the identity is new and `id` is another account's.
    /// - [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// The account of one (issuer, subject) is one, however many ask at once.
    async fn sign_in(
        &self,
        identity: Identity,
        id: AccountId,
        now: Timestamp,
    ) -> Result<Account, StoreError>;

    /// The account, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;

    /// At most `limit` accounts whose ids come after `after`; from the first on if it is `None`.
    ///
    /// # Behavior
    /// In the order of their ids, each once: the last one's id leads to the next page, and an answer without any
    /// is the end.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError>;

    /// Sets what an account may do.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    ///
    /// # Idempotency
    /// The same values again change nothing.
    async fn set_account_rights(
        &self,
        id: AccountId,
        rights: Rights,
    ) -> Result<Account, StoreError>;

    /// Whether any account administers the deployment.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn has_admin(&self) -> Result<bool, StoreError>;

    /// Writes a local account's password hash (a PHC string), unless `username` has one and `replace` is not set.
    ///
    /// # Behavior
    /// Returns whether it was written.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Without `replace` the first write wins, however many replicas start at once.
    async fn put_password(
        &self,
        username: String,
        phc: SecretString,
        replace: Replace,
    ) -> Result<bool, StoreError>;

    /// A local account's password hash (a PHC string).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn password(&self, username: &str) -> Result<Option<SecretString>, StoreError>;

    /// The server's own value under `name`, written as `value` if there is none: deployment id and keys.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// The first value stays, and every replica gets it.
    async fn meta(&self, name: &str, value: SecretString) -> Result<SecretString, StoreError>;
}

/// Whether a write may take the place of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It may.
    Yes,
    /// What is there stays.
    No,
}
