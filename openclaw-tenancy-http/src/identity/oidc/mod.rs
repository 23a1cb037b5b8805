//! Sign-in at an OpenID Connect provider: the authorization code flow with PKCE, and nothing else.
//!
//! ```text
//! begin  ── discovery ── state stored, nonce and verifier derived ──► the provider's page
//! finish ── state taken ── browser, issuer, iss checked ── code redeemed ── ID token verified ── UserInfo ──► Identity
//! ```
//!
//! Anything that does not fit ends in an error before there is an [`Identity`].

mod callback;
mod claims;
mod config;
mod discovery;
mod exchange;
mod login;
mod registration;
mod userinfo;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use openclaw_tenancy::access::{AccessStore, Grant, GrantKind, SecretHash};
use openclaw_tenancy::clock::{Clock, Entropy};
use openclaw_tenancy::error::Source;
use openclaw_tenancy::identity::{
    Identity, IdentityError, IdentityProvider, LoggedIn, LoginAnswer, LoginRequest, LoginStep,
};
use openclaw_tenancy::store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};

pub use config::{ClientCredential, OidcConfig, OidcConfigError};
pub use login::LOGIN_LIFETIME;

use super::cached::Cached;
use super::fetch::Fetcher;
use super::jwt::{Expect, Profile, UnverifiedToken};
use super::{once, secret};
use callback::Callback;
use config::refused;
use discovery::Metadata;
use login::{LoginSecrets, LoginState};

/// Providers move their endpoints about as often as they move house.
const METADATA_MAX_AGE: Duration = Duration::from_secs(3600);

/// One OpenID Connect provider.
///
/// # Examples
/// ```no_run
/// # use std::sync::Arc;
/// # use openclaw_tenancy::access::AccessStore;
/// # use openclaw_tenancy::clock::{SystemClock, SystemEntropy};
/// use openclaw_tenancy_http::identity::oidc::{ClientCredential, OidcConfig, OidcProvider};
///
/// # fn with(store: Arc<dyn AccessStore>) -> Result<(), Box<dyn std::error::Error>> {
/// let config = OidcConfig::new(
///     "https://id.example",
///     "tenancy",
///     ClientCredential::Basic("the client's secret".into()),
///     "https://tenancy.example/auth/callback/id.example".parse()?,
/// );
/// let provider = OidcProvider::new(config, store, Arc::new(SystemClock), Arc::new(SystemEntropy))?;
/// # Ok(())
/// # }
/// ```
pub struct OidcProvider {
    config: Arc<OidcConfig>,
    fetcher: Fetcher,
    metadata: Cached<Metadata>,
    store: Arc<dyn AccessStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl OidcProvider {
    /// The provider of `config`. Asks it nothing yet, so that we start while it is down.
    ///
    /// # Errors
    /// [`OidcConfigError`], which names the field and the fix.
    pub fn new(
        config: OidcConfig,
        store: Arc<dyn AccessStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OidcConfigError> {
        let fetcher = config.checked()?;
        let config = Arc::new(config);
        let known = Arc::new(arc_swap::ArcSwapOption::empty());
        let metadata = {
            let (config, fetcher, clock) =
                (Arc::clone(&config), fetcher.clone(), Arc::clone(&clock));
            Cached::new(Arc::clone(&clock), METADATA_MAX_AGE, move || {
                let (config, fetcher) = (Arc::clone(&config), fetcher.clone());
                let (clock, known) = (Arc::clone(&clock), Arc::clone(&known));
                async move {
                    let found =
                        discovery::discover(&config, &fetcher, &clock, known.load_full()).await?;
                    known.store(Some(Arc::clone(&found.jwks)));
                    Ok(found)
                }
                .boxed()
            })
        };
        Ok(Self {
            config,
            fetcher,
            metadata,
            store,
            clock,
            entropy,
        })
    }

    /// Whether the provider describes itself acceptably: for `doctor` and for a warning at start.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] or [`IdentityError::Misconfigured`], which say what is wrong.
    pub async fn check(&self) -> Result<(), IdentityError> {
        self.metadata.current().await?;
        Ok(())
    }

    /// Takes the sign-in that `callback` answers: of any number of answers, the first.
    async fn take_login(
        &self,
        state: &str,
        browser: &SecretString,
    ) -> Result<String, IdentityError> {
        let unknown = || refused("the sign-in is unknown, already used or older than ten minutes");
        let (hash, now) = (SecretHash::of(state), self.clock.now());
        // Anybody can invent one, and taking is a write.
        let known = self.store.grant(GrantKind::LoginState, hash, now).await;
        known.map_err(store_failed)?.ok_or_else(unknown)?;
        let grant = self
            .store
            .take_grant(GrantKind::LoginState, hash, now)
            .await
            .map_err(store_failed)?
            .filter(|grant| once::is_dated(grant, now))
            .ok_or_else(unknown)?;
        let login: LoginState = serde_json::from_str(&grant.data)
            .map_err(|_| refused("the sign-in was begun by another version of this server"))?;
        login.matching(&self.config.issuer, browser)
    }
}

#[async_trait]
impl IdentityProvider for OidcProvider {
    fn issuer(&self) -> &str {
        &self.config.issuer
    }

    async fn verify(&self, token: &SecretString) -> Result<Identity, IdentityError> {
        let Some(audience) = &self.config.bearer_audience else {
            return Err(IdentityError::Unsupported {
                what: "bearer tokens",
            });
        };
        let token = UnverifiedToken::parse(token.expose_secret())?;
        let expect = Expect {
            issuer: &self.config.issuer,
            audience,
            profile: Profile::AccessToken,
        };
        let metadata = self.metadata.current().await?;
        let claims = metadata.jwks.verify(&token, &expect).await?;
        let groups = &self.config.groups_claim;
        Ok(claims::identity(
            &claims.issuer,
            &claims.subject,
            &claims.all,
            None,
            groups,
        ))
    }

    async fn begin(&self, request: LoginRequest) -> Result<LoginStep, IdentityError> {
        let login = LoginState::new(&self.config.issuer, &request.browser, request.return_to)?;
        let data = serde_json::to_string(&login).map_err(|error| IdentityError::Unavailable {
            reason: "the sign-in cannot be stored".to_owned(),
            source: Some(Source::from(error)),
        })?;
        let metadata = self.metadata.current().await?;
        let state = secret::random(&*self.entropy);
        let secrets = LoginSecrets::of(&request.browser, state.expose_secret())?;
        let now = self.clock.now();
        let grant = Grant {
            kind: GrantKind::LoginState,
            secret: SecretHash::of(state.expose_secret()),
            account: None,
            data,
            created_at: now,
            expires_at: now.plus(LOGIN_LIFETIME),
        };
        self.store.put_grant(grant).await.map_err(store_failed)?;
        let endpoint = &metadata.authorization_endpoint;
        let url = login::authorization_url(endpoint, &self.config, &state, &secrets);
        Ok(LoginStep::Redirect { url })
    }

    async fn finish(&self, answer: LoginAnswer) -> Result<LoggedIn, IdentityError> {
        let (query, browser) = match answer {
            LoginAnswer::Callback { query, browser } => (query, browser),
            LoginAnswer::Password { .. } => {
                return Err(IdentityError::Unsupported { what: "passwords" });
            }
        };
        let callback = Callback::parse(&query)?;
        let state = callback.state()?.to_owned();
        let return_to = self.take_login(&state, &browser).await?;
        let metadata = self.metadata.current().await?;
        let code = callback.code(&self.config.issuer, metadata.iss_promised)?;

        let secrets = LoginSecrets::of(&browser, &state)?;
        let verifier = &secrets.verifier;
        let tokens =
            exchange::redeem(&self.config, &self.fetcher, &metadata, &code, verifier).await?;

        let token = UnverifiedToken::parse(tokens.id_token.expose_secret())?;
        let expect = Expect {
            issuer: &self.config.issuer,
            audience: &self.config.client_id,
            profile: Profile::IdToken {
                nonce: secrets.nonce.expose_secret(),
                access_token: tokens.access_token.expose_secret(),
            },
        };
        let claims = metadata.jwks.verify(&token, &expect).await?;
        let userinfo = match &metadata.userinfo_endpoint {
            Some(endpoint) => {
                let (access, subject) = (&tokens.access_token, &claims.subject);
                Some(userinfo::userinfo(&self.fetcher, endpoint, access, subject).await?)
            }
            None => None,
        };
        let identity = claims::identity(
            &claims.issuer,
            &claims.subject,
            &claims.all,
            userinfo.as_ref(),
            &self.config.groups_claim,
        );
        Ok(LoggedIn {
            identity,
            return_to: Some(return_to),
        })
    }
}

impl fmt::Debug for OidcProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcProvider")
            .field("issuer", &self.config.issuer)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

fn store_failed(error: StoreError) -> IdentityError {
    IdentityError::Unavailable {
        reason: "the store of sign-ins does not answer".to_owned(),
        source: Some(Source::from(error)),
    }
}
