//! Bearers of our own: a signed token and the session it lives and dies with.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::Rights;
use openclaw_tenancy::error::Source;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::store::StoreError;
use secrecy::SecretString;

use super::session::{NewSession, Session, SessionUse, Sessions};
use crate::identity::jwt::{JwtError, OwnTokens, TokenGrant};

/// A bearer just made.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// Goes into `Authorization: Bearer`. Shown once.
    pub token: SecretString,
    /// How long it holds.
    pub lifetime: Duration,
}

/// Makes and verifies bearers of the REST API.
///
/// # Examples
/// ```no_run
/// # use openclaw_tenancy::access::{Account, Rights};
/// # use openclaw_tenancy_http::access::token::ApiTokens;
/// # async fn make(tokens: &ApiTokens, account: &Account) -> Result<(), Box<dyn std::error::Error>> {
/// let bearer = tokens.issue(account.id, Rights::default()).await?;
/// assert!(bearer.lifetime.as_secs() <= 24 * 3600);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ApiTokens {
    keys: Arc<OwnTokens>,
    sessions: Sessions,
    lifetime: Duration,
}

/// Why a bearer of ours is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiTokenError {
    /// The token itself.
    #[error(transparent)]
    Token(#[from] JwtError),
    /// Its session has ended.
    #[error("the token was revoked")]
    Revoked,
    /// Only the store knows whether it was revoked.
    #[error("the store of sessions does not answer")]
    Store(#[from] StoreError),
}

/// Why a bearer could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// Its session could not be stored.
    #[error("the store of sessions does not answer")]
    Store(#[from] StoreError),
    /// It could not be signed.
    #[error("the token could not be signed")]
    Sign(#[source] Source),
}

impl ApiTokens {
    /// Bearers signed with `keys` that hold for `lifetime`, at most [`OwnTokens::LONGEST`].
    #[must_use]
    pub fn new(keys: Arc<OwnTokens>, sessions: Sessions, lifetime: Duration) -> Self {
        Self {
            keys,
            sessions,
            lifetime: lifetime.min(OwnTokens::LONGEST),
        }
    }

    /// The issuer in every token of ours.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.keys.issuer()
    }

    /// A bearer for `account`, on its own; `granted` is what configuration and groups add to the account's own rights.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn issue(&self, account: AccountId, granted: Rights) -> Result<ApiToken, IssueError> {
        let session = self
            .sessions
            .begin(account, granted, SessionUse::Token, self.lifetime)
            .await?;
        self.sign(account, &session)
    }

    /// A bearer for whoever has `browser`, a browser's session: it ends with that session.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn issue_within(&self, browser: &Session) -> Result<ApiToken, IssueError> {
        let session = self.sessions.begin_within(browser, self.lifetime).await?;
        self.sign(browser.account, &session)
    }

    fn sign(&self, account: AccountId, session: &NewSession) -> Result<ApiToken, IssueError> {
        let grant = TokenGrant {
            account,
            session: session.hash,
            lifetime: session.lifetime,
        };
        let token = self
            .keys
            .issue(&grant)
            .map_err(|error| IssueError::Sign(error.into()))?;
        Ok(ApiToken {
            token,
            lifetime: session.lifetime,
        })
    }

    /// The open session of an API bearer of ours.
    ///
    /// # Errors
    /// [`ApiTokenError`].
    pub async fn verify(&self, token: &SecretString) -> Result<Session, ApiTokenError> {
        let claims = self.keys.verify(token)?;
        self.sessions
            .find(claims.session, SessionUse::Token)
            .await?
            .filter(|session| session.account == claims.account)
            .ok_or(ApiTokenError::Revoked)
    }
}
