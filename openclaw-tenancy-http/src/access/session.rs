//! Sessions: an opaque secret of 256 bits whose hash the store keeps.
//!
//! A browser holds the secret in a cookie. A bearer of ours has a session too, whose secret nobody holds: it
//! is there to be revoked. What ends a session ends it on every replica at the next request.
//!
//! A bearer that a browser's session asked for is a part of it, and ends with it, however that ends: whoever signs
//! out at a strange machine leaves nothing there. One made for a password or by the command line is on its own, and
//! ends by its time or with [`Sessions::end_everywhere`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::{AccessStore, Grant, GrantKind, Rights, SecretHash};
use openclaw_tenancy::clock::{Clock, Entropy, Timestamp};
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::identity::secret;
use crate::identity::sign_out::{end_at_instances, end_everywhere};

/// What a session is held by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionUse {
    /// A browser's cookie.
    Browser,
    /// A bearer token of ours, by this session's hash.
    Token,
}

/// A session just begun.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// What the browser keeps. Shown once.
    pub secret: SecretString,
    /// What the store keeps.
    pub hash: SecretHash,
    /// How long it lasts.
    pub lifetime: Duration,
}

/// A session that is open now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The hash of its secret: its name everywhere but in the cookie.
    pub hash: SecretHash,
    /// Whose it is.
    pub account: AccountId,
    /// What configuration and the provider's groups added when it began.
    pub granted: Rights,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What the store keeps of a session beside its owner.
#[derive(Serialize, Deserialize)]
struct SessionData {
    used_by: SessionUse,
    granted: Rights,
    /// The hash of the browser's session that this one is a part of, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<String>,
}

/// Is told of each account whose sessions at instances have just ended.
#[derive(Clone)]
pub(crate) struct OnSignOut(Arc<dyn Fn(AccountId) + Send + Sync>);

impl OnSignOut {
    pub(crate) fn new(told: impl Fn(AccountId) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }
}

impl fmt::Debug for OnSignOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnSignOut").finish_non_exhaustive()
    }
}

/// Begins, finds and ends sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    store: Arc<dyn AccessStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    on_sign_out: Option<OnSignOut>,
}

impl Sessions {
    /// Sessions kept in `store`.
    #[must_use]
    pub const fn new(
        store: Arc<dyn AccessStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            clock,
            entropy,
            on_sign_out: None,
        }
    }

    pub(crate) fn telling(mut self, on_sign_out: Option<OnSignOut>) -> Self {
        self.on_sign_out = on_sign_out;
        self
    }

    /// Begins a session: always one with a new secret, so that no planted one is ever taken over.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn begin(
        &self,
        account: AccountId,
        granted: Rights,
        used_by: SessionUse,
        lifetime: Duration,
    ) -> Result<NewSession, StoreError> {
        let data = SessionData {
            used_by,
            granted,
            within: None,
        };
        self.put(account, &data, lifetime).await
    }

    /// Begins the session of a bearer that is a part of `browser`, a browser's session: it has the same rights, and
    /// ends with it, after `lifetime` at the latest.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn begin_within(
        &self,
        browser: &Session,
        lifetime: Duration,
    ) -> Result<NewSession, StoreError> {
        let data = SessionData {
            used_by: SessionUse::Token,
            granted: browser.granted.clone(),
            within: Some(hex::encode(browser.hash.0)),
        };
        let left = browser.expires_at.since(self.clock.now());
        self.put(browser.account, &data, lifetime.min(left)).await
    }

    async fn put(
        &self,
        account: AccountId,
        data: &SessionData,
        lifetime: Duration,
    ) -> Result<NewSession, StoreError> {
        let secret = secret::random(&*self.entropy);
        let hash = SecretHash::of(secret.expose_secret());
        let now = self.clock.now();
        let data = serde_json::to_string(data).map_err(|error| StoreError::Corrupt {
            what: "session",
            source: Some(error.into()),
        })?;
        self.store
            .put_grant(Grant {
                kind: GrantKind::Session,
                secret: hash,
                account: Some(account),
                data,
                created_at: now,
                expires_at: now.plus(lifetime),
            })
            .await?;
        Ok(NewSession {
            secret,
            hash,
            lifetime,
        })
    }

    /// The open session of `hash`, if it is used as `used_by`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn find(
        &self,
        hash: SecretHash,
        used_by: SessionUse,
    ) -> Result<Option<Session>, StoreError> {
        let now = self.clock.now();
        let grant = self.store.grant(GrantKind::Session, hash, now).await?;
        let Some((session, within)) = grant.and_then(|grant| session(&grant, used_by)) else {
            return Ok(None);
        };
        if let Some(browser) = within {
            let browser = self.store.grant(GrantKind::Session, browser, now).await?;
            if browser.is_none_or(|browser| browser.account != Some(session.account)) {
                return Ok(None);
            }
        }
        Ok(Some(session))
    }

    /// Ends one session and the bearers that are a part of it, with the sessions at instances that its account has:
    /// which of them came from this browser is not kept, and the next visit hands over anew.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn end(&self, hash: SecretHash) -> Result<(), StoreError> {
        let now = self.clock.now();
        let open = self.store.grant(GrantKind::Session, hash, now).await?;
        let Some(account) = open.and_then(|grant| grant.account) else {
            return Ok(());
        };
        // Before the session: should this fail, its owner still has one to sign out with.
        end_at_instances(&*self.store, account).await?;
        self.store.take_grant(GrantKind::Session, hash, now).await?;
        // Once more, after it: what was handed over meanwhile ends too.
        end_at_instances(&*self.store, account).await?;
        self.tell(account);
        Ok(())
    }

    /// Ends every session of an account: browsers, bearers of ours, and sessions at instances.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn end_everywhere(&self, account: AccountId) -> Result<(), StoreError> {
        end_everywhere(&*self.store, account).await?;
        self.tell(account);
        Ok(())
    }

    fn tell(&self, account: AccountId) {
        if let Some(OnSignOut(told)) = &self.on_sign_out {
            told(account);
        }
    }
}

/// The session of a grant, and the browser's session that it is a part of.
fn session(grant: &Grant, used_by: SessionUse) -> Option<(Session, Option<SecretHash>)> {
    // What another version wrote is no session: its owner signs in anew.
    let data: SessionData = serde_json::from_str(&grant.data).ok()?;
    let account = grant.account.filter(|_| data.used_by == used_by)?;
    let within = match data.within {
        Some(browser) => Some(SecretHash(hex::decode(browser).ok()?.try_into().ok()?)),
        None => None,
    };
    let session = Session {
        hash: grant.secret,
        account,
        granted: data.granted,
        expires_at: grant.expires_at,
    };
    Some((session, within))
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::access::MockAccessStore;
    use openclaw_tenancy::clock::{ManualClock, SystemEntropy};

    use super::*;

    /// Otherwise sessions at instances would outlive it, with nobody left who could end them.
    #[tokio::test]
    async fn a_sign_out_that_fails_at_instances_leaves_the_session_to_try_again_with() {
        let account: AccountId = "0198c6a2-7c3e-7000-8000-000000000001".parse().unwrap();
        let mut store = MockAccessStore::new();
        store.expect_grant().returning(move |kind, secret, now| {
            Ok(Some(Grant {
                kind,
                secret,
                account: Some(account),
                data: String::new(),
                created_at: now,
                expires_at: now.plus(Duration::from_secs(60)),
            }))
        });
        store.expect_take_grant().never();
        store
            .expect_revoke_grants()
            .withf(|kind, _| *kind != GrantKind::Session)
            .returning(|_, _| {
                Err(StoreError::Unavailable {
                    what: "an outage",
                    source: None,
                })
            });
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let sessions = Sessions::new(Arc::new(store), clock, Arc::new(SystemEntropy));
        assert!(sessions.end(SecretHash::of("secret")).await.is_err());
        assert!(sessions.end_everywhere(account).await.is_err());
    }
}
