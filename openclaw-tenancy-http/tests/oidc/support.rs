//! A provider, a store, a clock that stands still, and us as its relying party.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::{Clock, ManualClock, SystemEntropy, Timestamp};
use openclaw_tenancy::identity::{
    IdentityError, IdentityProvider as _, LoggedIn, LoginAnswer, LoginRequest, LoginStep,
};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy_http::identity::fetch::PlainHttp;
use openclaw_tenancy_http::identity::oidc::{ClientCredential, OidcConfig, OidcProvider};
use secrecy::SecretString;
use test_support::provider::{CLIENT_ID, CLIENT_SECRET, Provider, REDIRECT_URI};
use url::form_urlencoded;

pub(crate) const NOW: i64 = 1_800_000_000;
/// What the pre-login cookie of a browser holds.
pub(crate) const BROWSER: &str = "b8Yx3nQv0JmTzKc5WgRf7HdLs2PaEuNi9oVt1XyZqMk";

pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<MemoryAccess>,
    pub(crate) relying_party: Arc<OidcProvider>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world in which `change` was made to our configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut OidcConfig)) -> Self {
        let provider = Provider::start(NOW).await;
        let clock = ManualClock::new(Timestamp::from_seconds(NOW));
        let store = Arc::new(MemoryAccess::new());
        let mut config = config(provider.issuer());
        change(&mut config);
        let relying_party = relying_party(config, &store, &clock);
        Self {
            provider,
            clock,
            store,
            relying_party: Arc::new(relying_party),
        }
    }

    /// Moves both clocks on.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.provider.set_time(self.clock.now().as_seconds());
    }

    /// Begins a sign-in; the address that the browser is sent to.
    pub(crate) async fn begin(&self) -> Result<String, IdentityError> {
        begin(&self.relying_party).await
    }

    /// The query string of a callback, as the provider answers a sign-in begun now.
    pub(crate) async fn callback(&self) -> String {
        let url = self.begin().await.expect("the sign-in begins");
        self.provider.authorize(&url).await
    }

    pub(crate) async fn finish(&self, query: &str) -> Result<LoggedIn, IdentityError> {
        finish(&self.relying_party, query, BROWSER).await
    }

    /// A whole sign-in.
    pub(crate) async fn login(&self) -> Result<LoggedIn, IdentityError> {
        let query = self.callback().await;
        self.finish(&query).await
    }

    /// A whole sign-in that must end without an identity, without a session and without a state to try again with.
    /// Returns why it was refused.
    pub(crate) async fn refused(&self) -> &'static str {
        let query = self.callback().await;
        let reason = reason(self.finish(&query).await);
        assert_eq!(
            self.grants().await,
            0,
            "no session and no login state is left"
        );
        assert!(
            self.finish(&query).await.is_err(),
            "a second try is refused"
        );
        reason
    }

    /// A whole sign-in that must fail because of the provider, with nothing left. Returns what is wrong.
    pub(crate) async fn unavailable(&self) -> String {
        unavailable(self.fails().await)
    }

    /// A whole sign-in that must fail because of our configuration, with nothing left. Returns what to change.
    pub(crate) async fn misconfigured(&self) -> String {
        misconfigured(self.fails().await)
    }

    async fn fails(&self) -> Result<LoggedIn, IdentityError> {
        let outcome = match self.begin().await {
            Ok(url) => {
                let query = self.provider.authorize(&url).await;
                self.finish(&query).await
            }
            Err(error) => Err(error),
        };
        assert_eq!(
            self.grants().await,
            0,
            "no session and no login state is left"
        );
        outcome
    }

    /// How many sessions, login states and codes there are.
    pub(crate) async fn grants(&self) -> u64 {
        let end = Timestamp::from_millis(i64::MAX);
        self.store
            .sweep_grants(end, u32::MAX)
            .await
            .expect("the store answers")
    }
}

pub(crate) fn config(issuer: &str) -> OidcConfig {
    let credential = ClientCredential::Basic(CLIENT_SECRET.into());
    let redirect_uri = REDIRECT_URI.parse().expect("a URL");
    let mut config = OidcConfig::new(issuer, CLIENT_ID, credential, redirect_uri);
    config.plain_http = PlainHttp::LoopbackOnly;
    config
}

pub(crate) fn relying_party(
    config: OidcConfig,
    store: &Arc<MemoryAccess>,
    clock: &ManualClock,
) -> OidcProvider {
    let store = Arc::clone(store) as Arc<dyn AccessStore>;
    OidcProvider::new(
        config,
        store,
        Arc::new(clock.clone()),
        Arc::new(SystemEntropy),
    )
    .expect("the configuration is right")
}

pub(crate) async fn begin(relying_party: &OidcProvider) -> Result<String, IdentityError> {
    let request = LoginRequest {
        browser: BROWSER.into(),
        return_to: "/instances".to_owned(),
    };
    match relying_party.begin(request).await? {
        LoginStep::Redirect { url } => Ok(url),
        LoginStep::Password => panic!("no password is asked for"),
    }
}

pub(crate) async fn finish(
    relying_party: &OidcProvider,
    query: &str,
    browser: &str,
) -> Result<LoggedIn, IdentityError> {
    let browser = SecretString::from(browser);
    relying_party
        .finish(LoginAnswer::Callback {
            query: query.to_owned(),
            browser,
        })
        .await
}

/// Why a credential was refused.
pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, IdentityError>) -> &'static str {
    match result {
        Err(IdentityError::Refused { reason }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// What is wrong with the provider.
pub(crate) fn unavailable<T: std::fmt::Debug>(result: Result<T, IdentityError>) -> String {
    match result {
        Err(IdentityError::Unavailable { reason, .. }) => reason,
        other => panic!("not unavailable: {other:?}"),
    }
}

/// Which setting of ours to change.
pub(crate) fn misconfigured<T: std::fmt::Debug>(result: Result<T, IdentityError>) -> String {
    match result {
        Err(IdentityError::Misconfigured { what }) => what,
        other => panic!("not misconfigured: {other:?}"),
    }
}

/// `query` with the parameter `name` set to `value`.
pub(crate) fn with(query: &str, name: &str, value: &str) -> String {
    let others = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key != name);
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .append_pair(name, value)
        .finish()
}

/// `query` without the parameter `name`.
pub(crate) fn without(query: &str, name: &str) -> String {
    let others = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key != name);
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .finish()
}

/// The value of the parameter `name`.
pub(crate) fn parameter(query: &str, name: &str) -> String {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap()
}
