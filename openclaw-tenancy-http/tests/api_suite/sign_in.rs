//! Signing in and out: at a provider (A1, A3 as far as they are HTTP), by password, by the first administrator's link.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, header};
use openclaw_tenancy::access::AccessStore as _;
use openclaw_tenancy::clock::{Clock as _, ManualClock, SystemEntropy, Timestamp};
use openclaw_tenancy::identity::{
    Identity, IdentityError, IdentityProvider, LoggedIn, LoginAnswer, LoginRequest, LoginStep,
};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy_http::access::rights::{GroupRights, RightsPolicy};
use openclaw_tenancy_http::identity::fetch::PlainHttp;
use openclaw_tenancy_http::identity::oidc::{ClientCredential, OidcConfig, OidcProvider};
use secrecy::SecretString;
use serde_json::json;
use test_support::provider::{
    CLIENT_ID, CLIENT_SECRET, Endpoint, Fault, Provider, REDIRECT_URI, SUBJECT, set,
};

use crate::logs::Logs;
use crate::support::{Answer, App, NOW, request};

/// A provider that sends browsers away and never hears of them again.
#[derive(Debug)]
pub(crate) struct Redirecting;

impl Redirecting {
    pub(crate) fn new(_: &Arc<MemoryAccess>, _: &ManualClock) -> Self {
        Self
    }
}

#[async_trait]
impl IdentityProvider for Redirecting {
    fn issuer(&self) -> &str {
        "https://there.example"
    }

    async fn verify(&self, _: &SecretString) -> Result<Identity, IdentityError> {
        Err(IdentityError::Unsupported {
            what: "bearer tokens",
        })
    }

    async fn begin(&self, _: LoginRequest) -> Result<LoginStep, IdentityError> {
        let url = "https://there.example/authorize?state=x".to_owned();
        Ok(LoginStep::Redirect { url })
    }

    async fn finish(&self, _: LoginAnswer) -> Result<LoggedIn, IdentityError> {
        Err(IdentityError::Refused {
            reason: "the answer is from another provider",
        })
    }
}

/// An app with one strict provider, `idp`, beside local accounts; groups `staff` and `ops` stand for something.
pub(crate) async fn with_provider() -> (App, Provider) {
    let provider = Provider::start(NOW).await;
    let mut config = OidcConfig::new(
        provider.issuer(),
        CLIENT_ID,
        ClientCredential::Basic(CLIENT_SECRET.into()),
        REDIRECT_URI.parse().unwrap(),
    );
    config.plain_http = PlainHttp::LoopbackOnly;
    config.bearer_audience = Some("urn:test:api".to_owned());
    let rights = GroupRights {
        admins: BTreeSet::from(["ops".to_owned()]),
        plans: BTreeMap::from([("staff".to_owned(), "pro".parse().unwrap())]),
    };
    let rights = RightsPolicy {
        groups: BTreeMap::from([(provider.issuer().to_owned(), rights)]),
        ..RightsPolicy::default()
    };
    let app = App::with(|parts, builder| {
        let access = Arc::clone(&parts.access) as _;
        let clock = Arc::new(parts.clock.clone());
        let there = OidcProvider::new(config, access, clock, Arc::new(SystemEntropy)).unwrap();
        builder
            .provider("idp", "Identity & Co", Arc::new(there))
            .provider("other", "Other", Arc::new(Redirecting))
            .rights(rights)
    })
    .await;
    provider.set_time(app.clock.now().as_seconds());
    (app, provider)
}

/// Goes to the provider and back, up to the callback's query; also the pre-login cookie.
pub(crate) async fn to_provider_and_back(
    app: &App,
    provider: &Provider,
    return_to: &str,
) -> (String, String) {
    let path = format!("/api/auth/login?provider=idp&return_to={return_to}");
    let answer = app.get(&path).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let cookie = format!(
        "__Host-oct-login={}",
        answer.cookie("__Host-oct-login").unwrap()
    );
    let query = provider.authorize(answer.header("location")).await;
    (query, cookie)
}

pub(crate) async fn call_back(app: &App, path: &str, query: &str, cookie: &str) -> Answer {
    let request = request(Method::GET, &format!("{path}?{query}")).header(header::COOKIE, cookie);
    app.send(request.body(String::new().into()).unwrap()).await
}

pub(crate) async fn me(app: &App, session: &str) -> Answer {
    let request = request(Method::GET, "/api/auth/me")
        .header(header::COOKIE, format!("__Host-oct-session={session}"));
    app.send(request.body(String::new().into()).unwrap()).await
}

/// How many sessions there are, whatever the API says. Ends them all.
pub(crate) async fn sessions(app: &App) -> u64 {
    app.access
        .sweep_grants(Timestamp::from_millis(i64::MAX), u32::MAX)
        .await
        .unwrap()
}

pub(crate) const CALLBACK: &str = "/api/auth/callback/idp";

#[tokio::test]
async fn a_sign_in_at_a_provider_begins_a_session_and_returns() {
    let (app, provider) = with_provider().await;
    let (query, cookie) = to_provider_and_back(&app, &provider, "/instance").await;
    let answer = call_back(&app, CALLBACK, &query, &cookie).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("location"), "/instance");
    assert_eq!(
        answer.cookie("__Host-oct-login").unwrap(),
        "",
        "the pre-login cookie is taken back"
    );
    let session = answer.cookie("__Host-oct-session").unwrap();
    let me = me(&app, &session).await.json();
    assert_eq!(me["account"]["issuer"], provider.issuer());
    assert_eq!(me["account"]["subject"], SUBJECT);
    assert_eq!(me["admin"], false);
}

#[tokio::test]
async fn a01_login_csrf_foreign_code_and_state_give_400_and_no_session() {
    let (app, provider) = with_provider().await;
    let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
    let other = format!("__Host-oct-login={}", "x".repeat(43));
    let twice = format!("{cookie}; {cookie}");
    for (what, cookie) in [
        ("no cookie", "a=b"),
        ("another browser's", &*other),
        ("two", &*twice),
    ] {
        let answer = call_back(&app, CALLBACK, &query, cookie).await;
        let problem = answer.problem(400, "sign-in-refused");
        assert_eq!(problem["field"], "Cookie", "{what}");
        assert_eq!(answer.cookie("__Host-oct-session"), None, "{what}");
    }
    // The foreign tries have used the state up: the honest one begins again.
    call_back(&app, CALLBACK, &query, &cookie)
        .await
        .problem(400, "sign-in-refused");
    for (query, field) in [
        ("", "state"),
        ("state=x", "state"),
        ("state=x&code=y", "state"),
        ("code=y", "state"),
        ("error=access_denied", "state"),
        ("state=a&state=b&code=c", "query"),
    ] {
        let answer = call_back(&app, CALLBACK, query, &cookie).await;
        let problem = answer.problem(400, "sign-in-refused");
        assert_eq!(problem["field"], field, "{query}");
    }
    assert_eq!(sessions(&app).await, 0);
}

#[tokio::test]
async fn a01_login_csrf_a_state_is_used_once() {
    let (app, provider) = with_provider().await;
    let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
    assert_eq!(call_back(&app, CALLBACK, &query, &cookie).await.status, 303);
    let again = call_back(&app, CALLBACK, &query, &cookie).await;
    let problem = again.problem(400, "sign-in-refused");
    assert_eq!(
        problem["detail"],
        "The sign-in is unknown, already used or older than ten minutes."
    );
    assert_eq!(again.cookie("__Host-oct-session"), None);
    assert_eq!(sessions(&app).await, 1);
    // Nor after ten minutes.
    let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
    app.clock.advance(Duration::from_secs(601));
    call_back(&app, CALLBACK, &query, &cookie)
        .await
        .problem(400, "sign-in-refused");
}

#[tokio::test]
async fn a03_mix_up_an_answer_at_another_providers_path_is_refused() {
    let (app, provider) = with_provider().await;
    let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
    let answer = call_back(&app, "/api/auth/callback/other", &query, &cookie).await;
    answer.problem(400, "sign-in-refused");
    call_back(&app, "/api/auth/callback/nobody", &query, &cookie)
        .await
        .problem(404, "not-found");
    assert_eq!(answer.cookie("__Host-oct-session"), None);
}

#[tokio::test]
async fn a_refused_sign_in_is_a_page_in_a_browser() {
    let (app, _) = with_provider().await;
    let request = request(Method::GET, "/api/auth/callback/idp?error=access_denied")
        .header(header::ACCEPT, "text/html")
        .header(header::ACCEPT_LANGUAGE, "zh-CN");
    let answer = app.send(request.body(String::new().into()).unwrap()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(
        answer.body.contains("登录失败") && answer.body.contains(answer.header("x-request-id"))
    );
}

/// Whoever signs in is told that it is not their fault, and the log says what to change.
#[tokio::test]
async fn a_misconfigured_sign_in_is_told_to_the_operator() {
    let (app, provider) = with_provider().await;
    let logs = Logs::capture();
    provider.fault(
        Endpoint::Token,
        Fault::Status(401, r#"{"error":"invalid_client"}"#),
    );
    for _ in 0..3 {
        let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
        let answer = call_back(&app, CALLBACK, &query, &cookie).await;
        let problem = answer.problem(502, "provider-misconfigured");
        assert_eq!(answer.header("retry-after"), "");
        let id = format!("request_id={}", problem["request_id"].as_str().unwrap());
        let lines = logs.lines();
        let told = lines
            .iter()
            .rfind(|line| line.contains(&id) && line.starts_with("ERROR"));
        let told = told.expect("the log has the request's number");
        for setting in [
            "client_auth is \"basic\"",
            "set client_auth to \"post\"",
            "client_secret",
        ] {
            assert!(told.contains(setting), "{told}");
        }
    }
    let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
    let page = request(Method::GET, &format!("{CALLBACK}?{query}"))
        .header(header::COOKIE, cookie)
        .header(header::ACCEPT, "text/html");
    let page = app.send(page.body(String::new().into()).unwrap()).await;
    for text in [
        "Sign-in is misconfigured",
        "refused this server, not you",
        "operator",
        page.header("x-request-id"),
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    assert!(!page.body.contains("client_auth"), "{}", page.body);

    // The same where the provider's description rules it out before anybody is sent there.
    let (app, provider) = with_provider().await;
    let listed = json!(["private_key_jwt"]);
    provider.bend(|bends| bends.discovery = set("token_endpoint_auth_methods_supported", listed));
    app.get("/api/auth/login?provider=idp")
        .await
        .problem(502, "provider-misconfigured");
}

/// Each try asks the provider: it counts like any other, whatever it comes to.
#[tokio::test]
async fn a26_exhaustion_misconfigured_sign_ins_are_rationed() {
    let (app, provider) = with_provider().await;
    provider.fault(
        Endpoint::Token,
        Fault::Status(401, r#"{"error":"invalid_client"}"#),
    );
    for _ in 0..30 {
        let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
        call_back(&app, CALLBACK, &query, &cookie)
            .await
            .problem(502, "provider-misconfigured");
    }
    let login = "/api/auth/login?provider=idp";
    app.get(login).await.problem(429, "too-many-requests");
    app.clock.advance(Duration::from_secs(2));
    assert_eq!(app.get(login).await.status, 303);

    // The same where the provider's description rules it out before anybody is sent there.
    let (app, provider) = with_provider().await;
    let listed = json!(["private_key_jwt"]);
    provider.bend(|bends| bends.discovery = set("token_endpoint_auth_methods_supported", listed));
    let mut seen = Vec::new();
    for _ in 0..32 {
        seen.push(app.get(login).await.status.as_u16());
    }
    assert_eq!((seen[0], seen[29], seen[30]), (502, 502, 429));
}

#[tokio::test]
async fn the_way_to_sign_in_is_chosen_only_where_there_is_a_choice() {
    let (app, _) = with_provider().await;
    assert_eq!(
        app.get("/api/auth/login?return_to=/x")
            .await
            .header("location"),
        "/login?return_to=%2Fx"
    );
    app.get("/api/auth/login?provider=nobody")
        .await
        .problem(404, "not-found");
    app.get("/api/auth/login?provider=idp&provider=other")
        .await
        .problem(400, "invalid-parameter");
    let page = app.get("/login?return_to=/x").await;
    assert!(
        page.body
            .contains(r#"href="/api/auth/login?provider=idp&#38;return_to=%2Fx""#),
        "{}",
        page.body
    );
    assert!(page.body.contains("Identity &#38; Co"));
}
