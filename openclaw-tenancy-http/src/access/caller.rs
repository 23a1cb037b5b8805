//! From the one credential of a request to who is asking.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use openclaw_tenancy::access::{AccessStore, Account, Rights, SecretHash};
use openclaw_tenancy::clock::{Clock, Entropy};
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::{Identity, IdentityError, IdentityProvider};
use openclaw_tenancy::plan::PlanCatalog;
use openclaw_tenancy::store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};

use super::cookie;
use super::known::Known;
use super::rights::RightsPolicy;
use super::session::{Session, SessionUse, Sessions};
use super::token::{ApiTokenError, ApiTokens};
use crate::identity::jwt::{JwtError, UnverifiedToken};

/// Somebody who has proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account, with the rights that hold for this request: its own and those its credential brings.
    pub account: Account,
    /// What proved it.
    pub credential: Credential,
}

/// What proved who a caller is.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A browser's session cookie: a write also has to come from our own pages.
    Cookie {
        /// The session.
        session: Session,
        /// The cookie's value.
        secret: SecretString,
    },
    /// A bearer of ours.
    Token {
        /// Its session.
        session: Session,
    },
    /// A provider's bearer.
    Provider,
}

impl Caller {
    /// The session of a cookie or of a bearer of ours; a provider's bearer has none.
    #[must_use]
    pub const fn session(&self) -> Option<&Session> {
        match &self.credential {
            Credential::Cookie { session, .. } | Credential::Token { session } => Some(session),
            Credential::Provider => None,
        }
    }
}

/// Why it is not known who is asking, although a credential was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// `Authorization` stands more than once, or is of another scheme than `Bearer`.
    #[error("the Authorization header is not one bearer token")]
    Scheme,
    /// The token is not valid now; the reason may be shown to its bearer.
    #[error("the bearer token was refused: {reason}")]
    Refused {
        /// Which check failed, in a few stable words.
        reason: &'static str,
    },
    /// The provider's keys cannot be had, or it is asked too often.
    #[error("the identity provider did not help")]
    Provider(#[source] IdentityError),
    /// The store does not answer.
    #[error("the store of sessions does not answer")]
    Store(#[from] StoreError),
}

impl From<JwtError> for AuthError {
    fn from(error: JwtError) -> Self {
        Self::Refused {
            reason: error.reason(),
        }
    }
}

impl From<ApiTokenError> for AuthError {
    fn from(error: ApiTokenError) -> Self {
        match error {
            ApiTokenError::Token(error) => error.into(),
            ApiTokenError::Revoked => Self::Refused {
                reason: "the token was revoked",
            },
            ApiTokenError::Store(error) => error.into(),
        }
    }
}

/// Finds out who is asking.
#[derive(Debug)]
pub struct Authenticator {
    store: Arc<dyn AccessStore>,
    sessions: Sessions,
    tokens: ApiTokens,
    providers: Vec<Arc<dyn IdentityProvider>>,
    rights: RightsPolicy,
    catalog: PlanCatalog,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    known: Known,
}

/// What an [`Authenticator`] is made of.
#[derive(Debug)]
pub struct AuthenticatorParts {
    /// Accounts and sessions.
    pub store: Arc<dyn AccessStore>,
    /// Sessions in it.
    pub sessions: Sessions,
    /// Bearers of ours.
    pub tokens: ApiTokens,
    /// Providers, for bearers of theirs.
    pub providers: Vec<Arc<dyn IdentityProvider>>,
    /// What configuration and groups add to accounts.
    pub rights: RightsPolicy,
    /// The plans, for their order.
    pub catalog: PlanCatalog,
    /// The time of sign-ins.
    pub clock: Arc<dyn Clock>,
    /// New account ids.
    pub entropy: Arc<dyn Entropy>,
}

impl Authenticator {
    /// Authenticates with `parts`.
    #[must_use]
    pub fn new(parts: AuthenticatorParts) -> Self {
        let AuthenticatorParts {
            store,
            sessions,
            tokens,
            providers,
            rights,
            catalog,
            clock,
            entropy,
        } = parts;
        Self {
            store,
            sessions,
            tokens,
            providers,
            rights,
            catalog,
            clock,
            entropy,
            known: Known::default(),
        }
    }

    /// Who sent a request with these headers; `None` without a credential, or with a session that has ended.
    ///
    /// A bearer token stands in the `Authorization` header and nowhere else (RFC 6750 §2.1 only). If there is
    /// one it decides alone: a cookie beside it is not looked at, whatever becomes of the token.
    ///
    /// # Errors
    /// [`AuthError`] when there is a bearer that is not taken, or the store does not answer.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        let mut credentials = headers.get_all(AUTHORIZATION).iter();
        match (credentials.next(), credentials.next()) {
            (Some(credential), None) => {
                let token = credential
                    .to_str()
                    .ok()
                    .and_then(|text| text.split_once(' '))
                    .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                    .map(|(_, token)| SecretString::from(token.trim_matches(' ')))
                    .ok_or(AuthError::Scheme)?;
                self.bearer(&token).await
            }
            (Some(_), Some(_)) => Err(AuthError::Scheme),
            (None, _) => self.cookie(headers).await,
        }
    }

    /// The account of somebody who has just proved who they are, with what their groups add.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn sign_in(&self, identity: Identity) -> Result<(Account, Rights), StoreError> {
        let granted = self.rights.granted(&identity, &self.catalog);
        let id = AccountId::generate(&*self.clock, &*self.entropy);
        let account = self.store.sign_in(identity, id, self.clock.now()).await?;
        Ok((account, granted))
    }

    async fn bearer(&self, token: &SecretString) -> Result<Option<Caller>, AuthError> {
        let issuer = UnverifiedToken::parse(token.expose_secret())?
            .claimed_issuer()
            .ok_or(JwtError::Issuer)?;
        if issuer == self.tokens.issuer() {
            let session = self.tokens.verify(token).await?;
            return self
                .with_rights(session, |session| Credential::Token { session })
                .await;
        }
        let provider = self
            .providers
            .iter()
            .find(|provider| provider.issuer() == issuer)
            .ok_or(JwtError::Issuer)?;
        let identity = match provider.verify(token).await {
            Ok(identity) => identity,
            Err(IdentityError::Refused { reason }) => return Err(AuthError::Refused { reason }),
            Err(IdentityError::Unsupported { .. }) => return Err(JwtError::Issuer.into()),
            Err(error) => return Err(AuthError::Provider(error)),
        };
        let (account, granted) = self.of_identity(identity).await?;
        Ok(Some(Caller {
            account: self.effective(account, &granted),
            credential: Credential::Provider,
        }))
    }

    /// As [`Self::sign_in`], but somebody who is known well enough is only looked up.
    async fn of_identity(&self, identity: Identity) -> Result<(Account, Rights), StoreError> {
        if let Some(id) = self.known.find(&identity)
            && let Some(account) = self.store.account(id).await?
        {
            return Ok((account, self.rights.granted(&identity, &self.catalog)));
        }
        let (account, granted) = self.sign_in(identity.clone()).await?;
        self.known.keep(identity, account.id);
        Ok((account, granted))
    }

    async fn cookie(&self, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        let Some(value) = cookie::read(headers, cookie::SESSION) else {
            return Ok(None);
        };
        let hash = SecretHash::of(value);
        let Some(session) = self.sessions.find(hash, SessionUse::Browser).await? else {
            return Ok(None);
        };
        let secret = SecretString::from(value);
        self.with_rights(session, |session| Credential::Cookie { session, secret })
            .await
    }

    /// The account is read anew for each request: what was taken from it is gone at once.
    async fn with_rights(
        &self,
        session: Session,
        credential: impl FnOnce(Session) -> Credential + Send,
    ) -> Result<Option<Caller>, AuthError> {
        let account = self.store.account(session.account).await?;
        Ok(account.map(|account| Caller {
            account: self.effective(account, &session.granted),
            credential: credential(session),
        }))
    }

    fn effective(&self, account: Account, granted: &Rights) -> Account {
        let rights = self
            .rights
            .effective(&account.rights, granted, &self.catalog);
        Account { rights, ..account }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use openclaw_tenancy::access::MockAccessStore;
    use openclaw_tenancy::clock::{ManualClock, SystemEntropy, Timestamp};
    use openclaw_tenancy::identity::Subject;
    use openclaw_tenancy::memory::MemoryIdentity;

    use super::*;
    use crate::identity::jwt::{OwnTokens, TokenSecret};

    const ISSUER: &str = "https://id.example";

    fn identity(email: &str) -> Identity {
        Identity {
            who: Subject {
                issuer: ISSUER.to_owned(),
                subject: "ada".to_owned(),
            },
            email: Some(email.to_owned()),
            email_verified: true,
            name: None,
            groups: std::collections::BTreeSet::new(),
        }
    }

    fn authenticator(store: MockAccessStore, provider: MemoryIdentity) -> Authenticator {
        let store: Arc<dyn AccessStore> = Arc::new(store);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::default()));
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let secret = "qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5Ti7OoWjUA=";
        let secret = TokenSecret::new(SecretString::from(secret)).unwrap();
        let keys = OwnTokens::new("us", &secret, Arc::clone(&clock), Arc::clone(&entropy));
        let sessions = Sessions::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&entropy));
        let hour = std::time::Duration::from_secs(3600);
        Authenticator::new(AuthenticatorParts {
            tokens: ApiTokens::new(Arc::new(keys), sessions.clone(), hour),
            store,
            sessions,
            providers: vec![Arc::new(provider)],
            rights: RightsPolicy::default(),
            catalog: PlanCatalog::default(),
            clock,
            entropy,
        })
    }

    /// A bearer whose form and issuer are right; the provider in memory knows it by its text.
    fn bearer(number: u32) -> String {
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        let header = part(r#"{"alg":"RS256"}"#.to_owned());
        let payload = part(format!(r#"{{"iss":"{ISSUER}","jti":"{number}"}}"#));
        format!("{header}.{payload}.AAAA")
    }

    #[tokio::test]
    async fn a_bearer_writes_to_the_store_only_when_its_person_is_news() {
        let account = |email: &str| Account {
            id: "0198c6a2-7c3e-7000-8000-000000000001".parse().unwrap(),
            who: identity(email).who,
            email: Some(email.to_owned()),
            name: None,
            rights: Rights::default(),
            created_at: Timestamp::default(),
        };
        let mut store = MockAccessStore::new();
        store
            .expect_sign_in()
            .times(2)
            .returning(move |identity, _, _| Ok(account(&identity.email.unwrap())));
        store
            .expect_account()
            .times(3)
            .returning(move |_| Ok(Some(account("ada@example.com"))));
        let provider = MemoryIdentity::new(ISSUER);
        for number in 0..4 {
            provider.know(&bearer(number), identity("ada@example.com"));
        }
        provider.know(&bearer(4), identity("ada@example.org"));
        let authenticator = authenticator(store, provider);
        for number in 0..5 {
            let value = format!("Bearer {}", bearer(number)).parse().unwrap();
            let headers = [(AUTHORIZATION, value)].into_iter().collect();
            let caller = authenticator.caller(&headers).await.unwrap().unwrap();
            assert_eq!(caller.account.who, identity("").who);
        }
    }
}
