//! Who somebody is: the identity port.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::error::{Retry, Source};

/// Exactly who: the pair that an account is bound to. Never an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The provider: the OIDC issuer URL, or `local`.
    pub issuer: String,
    /// The provider's own id of the person, 1 to 255 bytes (OIDC Core §2).
    pub subject: String,
}

impl Subject {
    /// The person that `issuer` calls `subject`.
    #[must_use]
    pub fn new(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            subject: subject.into(),
        }
    }
}

/// What a provider vouches for, whole: there is no half-verified identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub who: Subject,
    /// Contact text, never an identity.
    pub email: Option<String>,
    /// Whether the provider says that it has verified the e-mail address.
    pub email_verified: bool,
    /// A name to show.
    pub name: Option<String>,
    /// Groups or roles the provider asserts; policy maps them to plans and to administrators.
    pub groups: BTreeSet<String>,
}

impl Identity {
    /// Who, and nothing more said of them.
    #[must_use]
    pub const fn new(who: Subject) -> Self {
        Self {
            who,
            email: None,
            email_verified: false,
            name: None,
            groups: BTreeSet::new(),
        }
    }
}

/// How a sign-in is to begin.
#[derive(Debug, Clone)]
pub struct LoginRequest {
    /// Binds the login to one browser: a random value that the caller keeps in a pre-login cookie.
    pub browser: SecretString,
    /// The path to return to: already checked to be one of our own.
    pub return_to: String,
}

/// What the browser is to do next.
#[derive(Debug, Clone)]
pub enum LoginStep {
    /// Go to the provider.
    Redirect {
        /// The authorization request (RFC 6749 §4.1.1).
        url: String,
    },
    /// Show a form for a name and a password, and come back with [`LoginAnswer::Password`].
    Password,
}

/// What the browser came back with.
#[derive(Debug, Clone)]
pub enum LoginAnswer {
    /// The provider's redirect to us, its query parameters undecided.
    Callback {
        /// The raw query string.
        query: String,
        /// The pre-login cookie's value.
        browser: SecretString,
    },
    /// A name and a password.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: SecretString,
    },
}

/// A finished sign-in.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// Who signed in.
    pub identity: Identity,
    /// Where to go now.
    pub return_to: Option<String>,
}

/// Proves who somebody is.
///
/// OIDC and local accounts implement it; `memory::MemoryIdentity` does for tests.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait IdentityProvider: std::fmt::Debug + Send + Sync + 'static {
    /// The issuer whose subjects this provider vouches for; a token is routed by it.
    fn issuer(&self) -> &str;

    /// Verifies a bearer token of this provider's.
    ///
    /// # Behavior
    /// Signature, issuer, audience and times are all checked before anything is returned.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] for a token that is not valid now; [`IdentityError::Unavailable`] when
    /// the provider's keys cannot be had; [`IdentityError::Unsupported`] of one that has no bearer tokens.
    ///
    /// # Idempotency
    /// Reads only.
    async fn verify(&self, token: &SecretString) -> Result<Identity, IdentityError>;

    /// Begins a sign-in.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] when the provider cannot be reached or is not usable;
    /// [`IdentityError::Misconfigured`] when it says that it will not take us as configured;
    /// [`IdentityError::Unsupported`] of one that has bearer tokens alone.
    ///
    /// # Idempotency
    /// Each call begins a sign-in of its own; one never finished expires.
    async fn begin(&self, request: LoginRequest) -> Result<LoginStep, IdentityError>;

    /// Finishes a sign-in.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when anything does not fit; the reason names what.
    /// [`IdentityError::Misconfigured`] when the provider refuses us and not the person;
    /// [`IdentityError::Unsupported`] where [`begin`](Self::begin) is.
    ///
    /// # Idempotency
    /// Once only: a callback that is repeated is refused.
    async fn finish(&self, answer: LoginAnswer) -> Result<LoggedIn, IdentityError>;
}

/// Why somebody's identity is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The credential is not valid. The reason may be shown to its bearer.
    #[error("the credential was refused: {reason}")]
    Refused {
        /// Which check failed, in a few stable words.
        reason: &'static str,
    },
    /// The provider does not answer, or answers what it must not.
    #[error("the identity provider is unavailable: {reason}")]
    Unavailable {
        /// What is wrong, without secrets.
        reason: String,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// The provider refuses us, not the person: what we were configured with does not fit our registration
    /// with it. No waiting helps, an operator does.
    #[error("sign-in is misconfigured: {what}")]
    Misconfigured {
        /// What was refused and which setting to change to which values, for the log; without secrets.
        what: String,
    },
    /// Too many attempts.
    #[error("too many attempts")]
    Busy {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The provider does not do this, such as a bearer token for local accounts.
    #[error("this identity provider does not support {what}")]
    Unsupported {
        /// What was asked.
        what: &'static str,
    },
}

impl IdentityError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Refused { .. } | Self::Misconfigured { .. } | Self::Unsupported { .. } => {
                Retry::Never
            }
            Self::Unavailable { .. } => Retry::Backoff,
            Self::Busy { retry_after } => Retry::After(*retry_after),
        }
    }
}
