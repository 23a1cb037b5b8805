//! The whole API in memory, with a clock that moves only when told, and browsers and programs that use it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use openclaw_tenancy::access::{AccessStore, Account, Rights};
use openclaw_tenancy::clock::{Clock, ManualClock, SeededEntropy, Timestamp};
use openclaw_tenancy::host::HostFacts;
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{Faults, Faulty, MemoryAccess, MemoryBackend, MemoryStore};
use openclaw_tenancy::plan::PlanName;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::reconcile::{execute, host};
use openclaw_tenancy::store::{ClaimRequest, TenantStore};
use openclaw_tenancy::tenancy::Tenancy;
use openclaw_tenancy_http::access::csrf;
use openclaw_tenancy_http::access::session::SessionUse;
use openclaw_tenancy_http::api::{ApiState, ApiStateBuilder, InvalidState, router};
use openclaw_tenancy_http::identity::jwt::{OwnTokens, TokenSecret};
use openclaw_tenancy_http::identity::local::LocalAccounts;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const ORIGIN: &str = "http://localhost:3000";
pub(crate) const IMAGE: &str = "openclaw/openclaw:test";
/// Signs our own tokens in these tests.
pub(crate) const SECRET: &str = "qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5Ti7OoWjUA=";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) struct App {
    pub(crate) clock: ManualClock,
    pub(crate) backend: MemoryBackend,
    pub(crate) tenancy: Tenancy,
    pub(crate) access: Arc<MemoryAccess>,
    pub(crate) faults: Faults,
    pub(crate) state: ApiState,
    pub(crate) router: Router,
    pub(crate) local: Arc<LocalAccounts>,
    pub(crate) host: HostId,
}

impl App {
    /// One host that is ready, local accounts, nothing else.
    pub(crate) async fn new() -> Self {
        Self::with(|_, builder| builder).await
    }

    /// An app whose state was changed by `change`.
    pub(crate) async fn with(
        change: impl FnOnce(&Parts, ApiStateBuilder) -> ApiStateBuilder,
    ) -> Self {
        Self::on(|facts| facts.swap = Some(Bytes::gib(8)), change).await
    }

    /// One small host: two processors and no swap.
    pub(crate) async fn small() -> Self {
        Self::on(|facts| facts.cpu = MilliCpus(2000), |_, builder| builder).await
    }

    async fn on(
        facts: impl FnOnce(&mut HostFacts),
        change: impl FnOnce(&Parts, ApiStateBuilder) -> ApiStateBuilder,
    ) -> Self {
        let clock = ManualClock::new(Timestamp::from_seconds(NOW));
        let entropy = Arc::new(SeededEntropy::new(1));
        let deployment = DeploymentId::new("d1").unwrap();
        let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [1; 32]));
        let host = HostId::new("h1").unwrap();
        let backend =
            MemoryBackend::new(keys, Arc::new(clock.clone())).with_host(host.clone(), IMAGE);
        let faults = Faults::new(Arc::new(clock.clone()));
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone()))) as Arc<dyn TenantStore>;
        let tenancy = Tenancy::builder()
            .backend(Arc::new(backend.clone()))
            .probe(Arc::new(backend.clone()))
            .store(Arc::new(Faulty::new(store, faults.clone())))
            .clock(Arc::new(clock.clone()))
            .entropy(Arc::clone(&entropy) as _)
            .deployment(deployment)
            .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
            .image(IMAGE, Bytes::gib(1))
            .build()
            .unwrap();
        let access = Arc::new(MemoryAccess::new());
        let secret = TokenSecret::new(SecretString::from(SECRET)).unwrap();
        let own = OwnTokens::new(
            ORIGIN,
            &secret,
            Arc::new(clock.clone()),
            Arc::clone(&entropy) as _,
        );
        let local = Arc::new(
            LocalAccounts::new(Arc::clone(&access) as _, Arc::new(clock.clone()), entropy).unwrap(),
        );
        let parts = Parts {
            clock: clock.clone(),
            access: Arc::clone(&access),
        };
        let people = Arc::clone(&access) as Arc<dyn AccessStore>;
        let builder = ApiState::builder(
            tenancy.clone(),
            Arc::new(Faulty::new(people, faults.clone())),
            Arc::new(own),
            ORIGIN.parse().unwrap(),
        )
        .local_accounts(Arc::clone(&local) as _);
        let state = change(&parts, builder).build().unwrap();
        let app = Self {
            clock,
            backend,
            tenancy,
            access,
            faults,
            router: router(state.clone()),
            state,
            local,
            host,
        };
        app.backend.set_facts(&app.host, facts);
        app.tenancy.register_hosts().await.unwrap();
        app.reconcile().await;
        app
    }

    /// Another replica: its own state and buckets over the same stores.
    pub(crate) fn replica(&self) -> Router {
        router(self.state_at(ORIGIN).unwrap())
    }

    /// Another state over the same stores, reached at `url`.
    pub(crate) fn state_at(&self, url: &str) -> Result<ApiState, InvalidState> {
        let secret = TokenSecret::new(SecretString::from(SECRET)).unwrap();
        let (clock, entropy) = (self.tenancy.clock(), self.tenancy.entropy());
        let own = OwnTokens::new(ORIGIN, &secret, Arc::clone(clock), Arc::clone(entropy));
        ApiState::builder(
            self.tenancy.clone(),
            Arc::clone(&self.access) as _,
            Arc::new(own),
            url.parse().unwrap(),
        )
        .build()
    }

    /// Passes over every host and tenant that is due, a few times.
    pub(crate) async fn reconcile(&self) {
        let context = self.tenancy.context();
        let claim = || ClaimRequest {
            worker: context.worker.clone(),
            limit: 100,
            lease: context.pace.lease,
        };
        for _ in 0..10 {
            for claim in context.store.claim_hosts(claim()).await.unwrap() {
                host::pass(context, &claim).await.unwrap();
            }
            for claim in context.store.claim_tenants(claim()).await.unwrap() {
                execute::pass(context, &claim, context.clock.now(), &|| false)
                    .await
                    .unwrap();
            }
            self.clock.advance(Duration::from_secs(1));
        }
    }

    /// Somebody who has an account.
    pub(crate) async fn account(&self, name: &str) -> Account {
        let who = Subject {
            issuer: "https://id.example".to_owned(),
            subject: name.to_owned(),
        };
        self.account_of(who).await
    }

    /// The account of this identity.
    pub(crate) async fn account_of(&self, who: Subject) -> Account {
        let identity = Identity {
            email: Some(format!("{}@example.com", who.subject)),
            who,
            email_verified: true,
            name: None,
            groups: BTreeSet::new(),
        };
        let id = AccountId::generate(&self.clock, &**self.tenancy.entropy());
        self.access
            .sign_in(identity, id, self.clock.now())
            .await
            .unwrap()
    }

    /// Somebody who administers.
    pub(crate) async fn administrator(&self, name: &str) -> Account {
        let account = self.account(name).await;
        let rights = Rights {
            admin: true,
            plan: Some(PlanName::new("pro").unwrap()),
        };
        self.access
            .set_account_rights(account.id, rights)
            .await
            .unwrap()
    }

    /// A program of this account's, with a bearer.
    pub(crate) async fn program(&self, account: &Account) -> Program<'_> {
        let issued = self
            .state
            .tokens()
            .issue(account.id, Rights::default())
            .await
            .unwrap();
        Program {
            app: self,
            token: issued.token.expose_secret().to_owned(),
        }
    }

    /// A browser of this account's, with a session.
    pub(crate) async fn browser(&self, account: &Account) -> Browser {
        self.browser_with(account, Rights::default()).await
    }

    /// The same, with rights that the session brings.
    pub(crate) async fn browser_with(&self, account: &Account, rights: Rights) -> Browser {
        let session = self
            .state
            .sessions()
            .begin(
                account.id,
                rights,
                SessionUse::Browser,
                Duration::from_secs(3600),
            )
            .await
            .unwrap();
        Browser {
            cookie: format!("__Host-oct-session={}", session.secret.expose_secret()),
            csrf: csrf::token(&session.secret),
        }
    }

    /// Somebody who signs in by name and password.
    pub(crate) async fn local_account(&self, name: &str) {
        let password = SecretString::from(PASSWORD);
        let no = openclaw_tenancy::access::Replace::No;
        assert!(self.local.set_password(name, password, no).await.unwrap());
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn get_owned(&self, path: String) -> Answer {
        self.get(&path).await
    }

    /// How many tenants there are, whatever the API says.
    pub(crate) async fn tenants(&self) -> usize {
        self.tenancy
            .store()
            .list(None, 1000)
            .await
            .unwrap()
            .tenants
            .len()
    }
}

/// What there is before the state.
pub(crate) struct Parts {
    pub(crate) clock: ManualClock,
    pub(crate) access: Arc<MemoryAccess>,
}

/// A program with a bearer.
pub(crate) struct Program<'a> {
    app: &'a App,
    pub(crate) token: String,
}

impl Program<'_> {
    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        request(method, path).header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.app
            .send(self.request(Method::GET, path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let request = self.request(Method::POST, path);
        self.app
            .send(
                request
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Body::from(body.to_owned()))
                    .unwrap(),
            )
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.app
            .send(
                self.request(Method::DELETE, path)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await
    }
}

/// A browser with a session.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Browser {
    /// A navigation.
    pub(crate) fn open(&self, path: &str) -> Request<Body> {
        request(Method::GET, path)
            .header(header::COOKIE, &self.cookie)
            .header(header::ACCEPT, "text/html,application/xhtml+xml")
            .body(Body::empty())
            .unwrap()
    }

    /// A write as our own pages make it.
    pub(crate) fn write(&self, method: Method, path: &str) -> http::request::Builder {
        request(method, path)
            .header(header::COOKIE, &self.cookie)
            .header(header::ORIGIN, ORIGIN)
            .header("sec-fetch-site", "same-origin")
            .header(csrf::HEADER, &self.csrf)
            .header(header::CONTENT_TYPE, "application/json")
    }
}

pub(crate) fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path)
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Sends `request`, to our own host unless it names one.
pub(crate) async fn send(router: Router, mut request: Request<Body>) -> Answer {
    request
        .headers_mut()
        .entry(header::HOST)
        .or_insert(header::HeaderValue::from_static("localhost:3000"));
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The value that this answer sets for a cookie; empty if it removes it.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|line| line.to_str().unwrap().split(';').next()?.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    }

    /// Asserts that this is a whole problem of this type and status; its body.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(
            body["type"],
            format!("urn:openclaw-tenancy:problem:{slug}"),
            "{body}"
        );
        assert_eq!(body["status"], status);
        for field in ["title", "detail", "fix", "request_id"] {
            assert!(
                body[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field}: {body}"
            );
        }
        assert_eq!(body["request_id"], self.header("x-request-id"));
        body
    }
}
