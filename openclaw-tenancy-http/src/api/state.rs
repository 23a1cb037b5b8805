//! What the handlers work with, put together once.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::identity::IdentityProvider;
use openclaw_tenancy::tenancy::Tenancy;
use url::Url;

use super::builder::ApiStateBuilder;
use super::health::Writes;
use super::rates::Limits;
use crate::access::address::TrustedProxies;
use crate::access::caller::Authenticator;
use crate::access::claim::AdminClaims;
use crate::access::host::OwnHosts;
use crate::access::session::Sessions;
use crate::access::token::ApiTokens;
use crate::identity::jwt::OwnTokens;

/// Everything that the API and the pages need. Cheap to clone.
///
/// # Examples
/// ```no_run
/// # use std::sync::Arc;
/// # use openclaw_tenancy::access::AccessStore;
/// # use openclaw_tenancy::tenancy::Tenancy;
/// # use openclaw_tenancy_http::identity::jwt::{OwnTokens, TokenSecret};
/// # use openclaw_tenancy_http::identity::local::LocalAccounts;
/// use openclaw_tenancy_http::api::{ApiState, router};
///
/// # fn with(
/// #     tenancy: Tenancy,
/// #     store: Arc<dyn AccessStore>,
/// #     secret: TokenSecret,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let public_url = "http://localhost:3000".parse()?;
/// let (clock, entropy) = (tenancy.clock().clone(), tenancy.entropy().clone());
/// let keys = OwnTokens::new("http://localhost:3000", &secret, clock.clone(), entropy.clone());
/// let local = LocalAccounts::new(store.clone(), clock, entropy)?;
/// let state = ApiState::builder(tenancy, store, Arc::new(keys), public_url)
///     .local_accounts(Arc::new(local))
///     .build()?;
/// let app: axum::Router = router(state);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ApiState(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) tenancy: Tenancy,
    pub(super) access: Arc<dyn AccessStore>,
    pub(super) sessions: Sessions,
    pub(super) tokens: ApiTokens,
    pub(super) claims: AdminClaims,
    pub(super) authenticator: Authenticator,
    pub(super) providers: Providers,
    pub(super) public_url: Url,
    pub(super) proxies: TrustedProxies,
    pub(super) hosts: OwnHosts,
    pub(super) session_lifetime: Duration,
    pub(super) limits: Limits,
    pub(super) writes: Writes,
}

/// The ways to sign in.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    /// By name and password.
    pub local: Option<Arc<dyn IdentityProvider>>,
    /// At a provider.
    pub external: Vec<ExternalProvider>,
}

/// A provider that a browser is sent to.
#[derive(Debug, Clone)]
pub struct ExternalProvider {
    /// Its name in our paths: its callback is `/api/auth/callback/{id}`.
    pub id: String,
    /// Its name on the button.
    pub label: String,
    /// The provider.
    pub provider: Arc<dyn IdentityProvider>,
}

impl ApiState {
    /// Begins to put one together.
    ///
    /// `keys` sign bearers of ours; `public_url` is the origin at which browsers reach the API and the pages.
    /// Time and randomness are the tenancy's.
    pub fn builder(
        tenancy: Tenancy,
        access: Arc<dyn AccessStore>,
        keys: Arc<OwnTokens>,
        public_url: Url,
    ) -> ApiStateBuilder {
        ApiStateBuilder::new(tenancy, access, keys, public_url)
    }

    /// The deployment.
    #[must_use]
    pub fn tenancy(&self) -> &Tenancy {
        &self.0.tenancy
    }

    /// Accounts and grants.
    #[must_use]
    pub fn access(&self) -> &Arc<dyn AccessStore> {
        &self.0.access
    }

    /// Browsers' sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Bearers of ours, such as for a command that prints one.
    #[must_use]
    pub fn tokens(&self) -> &ApiTokens {
        &self.0.tokens
    }

    /// The first administrator's links.
    #[must_use]
    pub fn claims(&self) -> &AdminClaims {
        &self.0.claims
    }

    /// Who is asking.
    #[must_use]
    pub fn authenticator(&self) -> &Authenticator {
        &self.0.authenticator
    }

    /// The ways to sign in.
    #[must_use]
    pub fn providers(&self) -> &Providers {
        &self.0.providers
    }

    /// The origin at which browsers reach us.
    #[must_use]
    pub fn public_url(&self) -> &Url {
        &self.0.public_url
    }

    pub(crate) fn proxies(&self) -> &TrustedProxies {
        &self.0.proxies
    }

    pub(crate) fn hosts(&self) -> &OwnHosts {
        &self.0.hosts
    }

    pub(super) fn session_lifetime(&self) -> Duration {
        self.0.session_lifetime
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) fn writes(&self) -> &Writes {
        &self.0.writes
    }
}
