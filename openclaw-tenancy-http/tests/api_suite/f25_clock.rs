//! F25: the wall clock jumps by an hour, back or ahead, while people are signed in.
//!
//! Leases go by the database's time and timers by the machine's own. What signs people in ends by the wall clock: no
//! other is the same on every replica and after a restart. So by design:
//!
//! - a jump *back* signs nobody out, locks nobody out, and lets nobody stay who has signed out. What had ended stays
//!   ended: the sweep has removed it. What works once, within minutes, gets no hour more: it is refused where it was made
//!   later than now, but for the [`LEEWAY`] that the clocks of two replicas have;
//! - a jump *ahead* ends what has less than that left, and nothing else. It stays ended when the clock comes back;
//! - a provider's tokens have [`LEEWAY`] and no more: one whose clock did not jump along signs nobody in meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, header};
use openclaw_tenancy::access::{AccessStore as _, Account, GrantKind, Rights};
use openclaw_tenancy::clock::{Clock, ManualClock, SystemClock, SystemEntropy, Timestamp};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy_http::access::session::SessionUse;
use openclaw_tenancy_http::edge::{Edge, EdgeConfig, EdgePorts};
use openclaw_tenancy_http::identity::jwt::LEEWAY;
use reqwest::header::{ACCEPT, COOKIE, HOST};
use secrecy::ExposeSecret as _;
use serde_json::json;
use test_support::provider::Provider;

use crate::sign_in::{CALLBACK, call_back, me, sessions, to_provider_and_back, with_provider};
use crate::support::{App, Browser, ORIGIN, PASSWORD, request};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const SLUG: &str = "ada-lab";

/// A machine whose wall clock jumps: its timers do not.
#[derive(Debug)]
struct Wall(ManualClock);

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration)
    }
}

/// Ada, who has an instance that is not ready, at an API and an edge over one store.
struct World {
    app: App,
    provider: Provider,
    ada: Account,
    edge: SocketAddr,
    client: reqwest::Client,
}

/// A hand-over up to its code: the path at the instance's host, and the browser's cookie.
struct Code {
    path: String,
    pre: String,
}

impl World {
    async fn new() -> Self {
        let (app, provider) = with_provider().await;
        let ada = app.account("ada").await;
        let made = app
            .program(&ada)
            .await
            .post("/api/tenants", &json!({ "name": SLUG }).to_string())
            .await;
        assert_eq!(made.status, 202, "{}", made.body);
        let config = EdgeConfig::new(
            ORIGIN.parse().unwrap(),
            OriginTemplate::new("http://{slug}.localhost:8080").unwrap(),
        );
        let ports = EdgePorts {
            store: Arc::clone(app.tenancy.store()),
            access: Arc::clone(&app.access) as _,
            clock: Arc::new(Wall(app.clock.clone())),
            entropy: Arc::new(SystemEntropy),
        };
        let edge = Edge::new(config, ports).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = edge.clone();
        // It ends with the test.
        tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
        edge.reached(0).await;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Self {
            app,
            provider,
            ada,
            edge: address,
            client: client.build().unwrap(),
        }
    }

    /// What the server does each minute.
    async fn sweep(&self) {
        let now = self.app.clock.now();
        self.app.access.sweep_grants(now, 1000).await.unwrap();
    }

    async fn visit(&self, path: &str, cookie: &str, accept: &str) -> reqwest::Response {
        self.client
            .get(format!("http://{}{path}", self.edge))
            .header(HOST, format!("{SLUG}.localhost:8080"))
            .header(COOKIE, cookie)
            .header(ACCEPT, accept)
            .send()
            .await
            .unwrap()
    }

    /// From the instance's host to the console and back, up to the code.
    async fn code(&self, browser: &Browser) -> Code {
        let begun = self.visit("/", "", "text/html").await;
        let pre = set_cookie(&begun, "__Host-oct-pre").unwrap();
        let authorize = path(begun.headers()["location"].to_str().unwrap());
        let handed = self.app.send(browser.open(&authorize)).await;
        assert_eq!(handed.status, 303, "{}", handed.body);
        Code {
            path: path(handed.header("location")),
            pre,
        }
    }

    /// The session at the instance that a code gives, if it gives one.
    async fn redeem(&self, code: &Code) -> Option<String> {
        let answer = self.visit(&code.path, &code.pre, "text/html").await;
        let session = set_cookie(&answer, "__Host-oct-instance");
        let expected = if session.is_some() { 303 } else { 400 };
        assert_eq!(answer.status(), expected, "{answer:?}");
        session
    }

    /// Whether the edge lets a session pass: who passes is told to wait, as the instance is not ready.
    async fn passes(&self, session: &str) -> bool {
        let status = self.visit("/", session, "application/json").await.status();
        assert!(status == 503 || status == 401, "{status}");
        status == 503
    }

    /// Whether the API knows a browser.
    async fn knows(&self, browser: &Browser) -> bool {
        let (_, session) = browser.cookie.split_once('=').unwrap();
        let status = me(&self.app, session).await.status;
        assert!(status == 200 || status == 401, "{status}");
        status == 200
    }

    /// A browser of Ada's that is signed in for so long.
    async fn browser(&self, lasts: Duration) -> Browser {
        let session = self.app.state.sessions().begin(
            self.ada.id,
            Rights::default(),
            SessionUse::Browser,
            lasts,
        );
        let secret = session.await.unwrap().secret;
        Browser {
            cookie: format!("__Host-oct-session={}", secret.expose_secret()),
            csrf: String::new(),
        }
    }

    /// A sign-in by password, a hand-over and a visit, from the beginning.
    async fn everything_works_anew(&self) {
        let form = json!({ "username": "bob", "password": PASSWORD });
        let form = request(Method::POST, "/api/auth/password")
            .header(header::CONTENT_TYPE, "application/json")
            .body(form.to_string().into());
        let signed_in = self.app.send(form.unwrap()).await;
        assert_eq!(signed_in.status, 200, "{}", signed_in.body);
        let session = signed_in.cookie("__Host-oct-session").unwrap();
        assert_eq!(me(&self.app, &session).await.status, 200);
        let program = self.app.program(&self.ada).await;
        assert_eq!(program.get("/api/auth/me").await.status, 200);
        let browser = self.browser(HOUR).await;
        let session = self.redeem(&self.code(&browser).await).await;
        assert!(self.passes(&session.unwrap()).await);
    }
}

fn set_cookie(answer: &reqwest::Response, name: &str) -> Option<String> {
    let lines = answer.headers().get_all("set-cookie").iter();
    let mut pairs = lines.filter_map(|line| line.to_str().unwrap().split(';').next());
    pairs
        .find(|pair| pair.split_once('=').is_some_and(|(key, _)| key == name))
        .map(str::to_owned)
}

/// Path and query of an address.
fn path(url: &str) -> String {
    let url: url::Url = url.parse().unwrap();
    url[url::Position::BeforePath..].to_owned()
}

#[tokio::test]
async fn f25_a_clock_set_back_by_an_hour_signs_nobody_out_and_keeps_nobody_in() {
    let world = World::new().await;
    let app = &world.app;
    app.local_account("bob").await;

    // What has ended before the jump, each in its own time.
    let ended = world.browser(MINUTE).await;
    let late = world.code(&ended).await;
    let short = world.redeem(&world.code(&ended).await).await.unwrap();
    assert!(world.passes(&short).await);
    let (late_login, late_cookie) = to_provider_and_back(app, &world.provider, "/").await;
    app.clock.advance(10 * MINUTE);
    world.sweep().await;
    assert!(!world.knows(&ended).await && !world.passes(&short).await);

    // What is open at the jump.
    let browser = world.browser(12 * HOUR).await;
    let program = app.program(&world.ada).await;
    let instance = world.redeem(&world.code(&browser).await).await.unwrap();
    let elsewhere = world.redeem(&world.code(&browser).await).await.unwrap();
    assert!(world.passes(&instance).await && world.passes(&elsewhere).await);
    let code = world.code(&browser).await;
    let (login, cookie) = to_provider_and_back(app, &world.provider, "/").await;

    app.clock.set_back(HOUR);
    world.provider.set_time(app.clock.now().as_seconds());
    assert!(world.knows(&browser).await, "a session holds");
    let bearer = program.get("/api/auth/me").await;
    assert_eq!(bearer.status, 200, "a bearer holds: {}", bearer.body);
    assert!(world.passes(&instance).await, "so does one at an instance");

    assert!(!world.knows(&ended).await, "what had ended stays ended");
    assert!(!world.passes(&short).await, "also at an instance");
    assert_eq!(world.redeem(&late).await, None, "so does a code");
    call_back(app, CALLBACK, &late_login, &late_cookie)
        .await
        .problem(400, "sign-in-refused");
    // Nor does what had not ended yet have an hour more than its minutes.
    assert_eq!(world.redeem(&code).await, None, "a code of later");
    call_back(app, CALLBACK, &login, &cookie)
        .await
        .problem(400, "sign-in-refused");

    world.everything_works_anew().await;
    let (login, cookie) = to_provider_and_back(app, &world.provider, "/").await;
    let again = call_back(app, CALLBACK, &login, &cookie).await;
    assert_eq!(again.status, 303, "{}", again.body);

    // A sign-out at another replica, of which the edge hears only by asking again: not in an hour.
    let out = app
        .access
        .revoke_grants(GrantKind::InstanceSession, world.ada.id);
    assert!(out.await.unwrap() >= 2);
    app.clock.advance(Duration::from_secs(2));
    assert!(!world.passes(&instance).await, "it has signed out");
    assert!(
        !world.passes(&elsewhere).await,
        "also where nobody looked since"
    );
}

#[tokio::test]
async fn f25_a_clock_that_jumps_ahead_by_an_hour_ends_only_what_has_less_left() {
    let world = World::new().await;
    let app = &world.app;
    app.local_account("bob").await;
    let browser = world.browser(12 * HOUR).await;
    let short = world.browser(HOUR).await;
    let program = app.program(&world.ada).await;
    let instance = world.redeem(&world.code(&browser).await).await.unwrap();
    let brief = world.redeem(&world.code(&short).await).await.unwrap();
    assert!(world.passes(&instance).await && world.passes(&brief).await);
    let code = world.code(&browser).await;
    let (login, cookie) = to_provider_and_back(app, &world.provider, "/").await;

    app.clock.advance(HOUR);
    world.sweep().await;
    world.everything_works_anew().await;
    // And when it comes back, what was ended is not there again.
    for jumped_back in [false, true] {
        if jumped_back {
            app.clock.set_back(HOUR);
            world.everything_works_anew().await;
        }
        assert!(world.knows(&browser).await, "{jumped_back}");
        assert!(world.passes(&instance).await, "{jumped_back}");
        assert!(!world.knows(&short).await, "{jumped_back}");
        assert!(!world.passes(&brief).await, "{jumped_back}");
        // It holds for an hour.
        program
            .get("/api/auth/me")
            .await
            .problem(401, "bearer-refused");
        assert_eq!(world.redeem(&code).await, None, "{jumped_back}");
        call_back(app, CALLBACK, &login, &cookie)
            .await
            .problem(400, "sign-in-refused");
    }
}

/// The provider's clock stays where it was. What is refused leaves no session.
#[tokio::test]
async fn f25_a_providers_tokens_have_a_minutes_leeway_and_no_more() {
    /// How long its ID tokens hold.
    const LASTS: Duration = Duration::from_secs(300);
    const SECOND: Duration = Duration::from_secs(1);
    for (back, jump, taken) in [
        (true, LEEWAY, true),
        (true, LEEWAY + SECOND, false),
        (true, HOUR, false),
        (false, LASTS + LEEWAY - SECOND, true),
        (false, LASTS + LEEWAY, false),
        (false, HOUR, false),
    ] {
        let (app, provider) = with_provider().await;
        if back {
            app.clock.set_back(jump);
        } else {
            app.clock.advance(jump);
        }
        let (login, cookie) = to_provider_and_back(&app, &provider, "/").await;
        let answer = call_back(&app, CALLBACK, &login, &cookie).await;
        if taken {
            assert_eq!(answer.status, 303, "{back} {jump:?}: {}", answer.body);
        } else {
            answer.problem(400, "sign-in-refused");
        }
        assert_eq!(sessions(&app).await, u64::from(taken), "{back} {jump:?}");
    }
}
