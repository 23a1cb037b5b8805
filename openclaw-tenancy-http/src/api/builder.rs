//! Putting an [`ApiState`] together.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::IdentityProvider;
use openclaw_tenancy::tenancy::Tenancy;
use url::{Host, Url};

use super::health::Writes;
use super::rates::{Limits, Rates};
use super::state::{ApiState, ExternalProvider, Inner, Providers};
use crate::access::address::TrustedProxies;
use crate::access::caller::{Authenticator, AuthenticatorParts};
use crate::access::claim::AdminClaims;
use crate::access::host::{HostName, OwnHosts};
use crate::access::rights::RightsPolicy;
use crate::access::session::{OnSignOut, Sessions};
use crate::access::token::ApiTokens;
use crate::identity::jwt::OwnTokens;

/// How long a browser's session lasts unless configured otherwise (ASVS 5.0 §7.3.2 asks for a limit).
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// How long a bearer of ours holds unless configured otherwise.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// Puts an [`ApiState`] together.
#[derive(Debug)]
#[must_use]
pub struct ApiStateBuilder {
    tenancy: Tenancy,
    access: Arc<dyn AccessStore>,
    keys: Arc<OwnTokens>,
    public_url: Url,
    providers: Providers,
    rights: RightsPolicy,
    proxies: TrustedProxies,
    host_names: Vec<HostName>,
    session_lifetime: Duration,
    token_lifetime: Duration,
    rates: Rates,
    on_sign_out: Option<OnSignOut>,
}

/// Why an [`ApiState`] cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} `{value}` is not acceptable: {fix}")]
pub struct InvalidState {
    /// Which part, by the name of its setting.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What to write instead.
    pub fix: &'static str,
}

impl ApiStateBuilder {
    pub(super) fn new(
        tenancy: Tenancy,
        access: Arc<dyn AccessStore>,
        keys: Arc<OwnTokens>,
        public_url: Url,
    ) -> Self {
        Self {
            tenancy,
            access,
            keys,
            public_url,
            providers: Providers::default(),
            rights: RightsPolicy::default(),
            proxies: TrustedProxies::default(),
            host_names: Vec::new(),
            session_lifetime: SESSION_LIFETIME,
            token_lifetime: TOKEN_LIFETIME,
            rates: Rates::default(),
            on_sign_out: None,
        }
    }

    /// Lets people sign in by name and password.
    pub fn local_accounts(mut self, provider: Arc<dyn IdentityProvider>) -> Self {
        self.providers.local = Some(provider);
        self
    }

    /// Lets people sign in at a provider. It sends them back to `/api/auth/callback/{id}`.
    pub fn provider(
        mut self,
        id: impl Into<String>,
        label: impl Into<String>,
        provider: Arc<dyn IdentityProvider>,
    ) -> Self {
        self.providers.external.push(ExternalProvider {
            id: id.into(),
            label: label.into(),
            provider,
        });
        self
    }

    /// Who administers, and what providers' groups stand for. Nothing unless given.
    pub fn rights(mut self, rights: RightsPolicy) -> Self {
        self.rights = rights;
        self
    }

    /// Proxies whose `X-Forwarded-For` counts. None unless given.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Hosts by which programs reach us beside the public URL's and loopback, such as a name within a cluster.
    pub fn host_names(mut self, names: Vec<HostName>) -> Self {
        self.host_names = names;
        self
    }

    /// How long a browser's session lasts; [`SESSION_LIFETIME`] unless given.
    pub const fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = lifetime;
        self
    }

    /// How long a bearer of ours holds, at most a day; [`TOKEN_LIFETIME`] unless given.
    pub const fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// How often things may be tried.
    pub const fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// Who is told of each account that signs out by this state, once the store knows: an edge in the same process,
    /// by its `signed_out`. Nobody unless given.
    pub fn on_sign_out(mut self, told: impl Fn(AccountId) + Send + Sync + 'static) -> Self {
        self.on_sign_out = Some(OnSignOut::new(told));
        self
    }

    /// The state.
    ///
    /// # Errors
    /// [`InvalidState`] names the part and the fix.
    pub fn build(self) -> Result<ApiState, InvalidState> {
        let public = check_public_url(&self.public_url)?;
        check_providers(&self.providers, self.keys.issuer())?;
        let clock = Arc::clone(self.tenancy.clock());
        let entropy = Arc::clone(self.tenancy.entropy());
        let access = self.access;
        let sessions = Sessions::new(
            Arc::clone(&access),
            Arc::clone(&clock),
            Arc::clone(&entropy),
        )
        .telling(self.on_sign_out);
        let tokens = ApiTokens::new(self.keys, sessions.clone(), self.token_lifetime);
        let external = self.providers.external.iter();
        let authenticator = Authenticator::new(AuthenticatorParts {
            store: Arc::clone(&access),
            sessions: sessions.clone(),
            tokens: tokens.clone(),
            providers: external
                .map(|external| Arc::clone(&external.provider))
                .collect(),
            rights: self.rights,
            catalog: self.tenancy.plans().clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        });
        Ok(ApiState(Arc::new(Inner {
            claims: AdminClaims::new(Arc::clone(&access), Arc::clone(&clock), entropy),
            limits: Limits::new(&self.rates, &clock),
            tenancy: self.tenancy,
            access,
            sessions,
            tokens,
            authenticator,
            providers: self.providers,
            public_url: self.public_url,
            proxies: self.proxies,
            hosts: OwnHosts::new(self.host_names.into_iter().chain([public])),
            session_lifetime: self.session_lifetime,
            writes: Writes::default(),
        })))
    }
}

/// The host of our public URL.
fn check_public_url(url: &Url) -> Result<HostName, InvalidState> {
    let refuse = |fix| {
        Err(InvalidState {
            field: "public_url",
            value: url.to_string(),
            fix,
        })
    };
    let plain = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return refuse("give scheme, host and port alone, such as https://tenancy.example.org");
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !loopback {
        return refuse(
            "browsers keep our cookies over https only, or on localhost: use one of them",
        );
    }
    let host = url.host_str().and_then(|host| host.parse().ok());
    host.map_or_else(|| refuse("give a host name or an address as its host"), Ok)
}

fn check_providers(providers: &Providers, own_issuer: &str) -> Result<(), InvalidState> {
    let refuse = |field, value: &str, fix| {
        Err(InvalidState {
            field,
            value: value.to_owned(),
            fix,
        })
    };
    for (index, external) in providers.external.iter().enumerate() {
        let id = &external.id;
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=63).contains(&id.len()) || !id.bytes().all(allowed) {
            return refuse("provider id", id, "give 1 to 63 of a-z, 0-9 and -");
        }
        let issuer = external.provider.issuer();
        let earlier = &providers.external[..index];
        if earlier.iter().any(|other| other.id == *id) {
            return refuse("provider id", id, "give each provider an id of its own");
        }
        if issuer == own_issuer
            || earlier
                .iter()
                .any(|other| other.provider.issuer() == issuer)
        {
            return refuse("issuer", issuer, "give each issuer once, and not our own");
        }
    }
    Ok(())
}
