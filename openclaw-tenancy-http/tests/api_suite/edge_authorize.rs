//! The hand-over of a signed-in browser to its own instance's host name.

use http::{Method, header};
use openclaw_tenancy::access::{AccessStore as _, GrantKind, SecretHash};
use openclaw_tenancy::clock::Clock as _;
use serde_json::Value;

use crate::support::{App, ORIGIN, PASSWORD, request};

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn path(slug: &str) -> String {
    format!("/api/edge/authorize?slug={slug}&challenge={CHALLENGE}&return_to=/chat%3Fx%3D1")
}

#[tokio::test]
async fn an_owner_is_handed_over_with_a_code_that_is_bound() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let made = app
        .program(&ada)
        .await
        .post("/api/tenants", r#"{"name":"ada-lab"}"#)
        .await
        .json();
    let browser = app.browser(&ada).await;
    let answer = app.send(browser.open(&path("ada-lab"))).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let location: url::Url = answer.header("location").parse().unwrap();
    assert_eq!(
        location.origin().ascii_serialization(),
        "http://ada-lab.localhost:8080"
    );
    assert_eq!(location.path(), "/__openclaw-tenancy/handover");
    let query: std::collections::BTreeMap<_, _> = location.query_pairs().into_owned().collect();
    assert_eq!(query["return_to"], "/chat?x=1");
    assert_eq!(query.len(), 2);

    let hash = SecretHash::of(&query["code"]);
    let grant = app
        .access
        .take_grant(GrantKind::HandOver, hash, app.clock.now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(grant.account, Some(ada.id));
    assert_eq!(grant.expires_at.since(grant.created_at).as_secs(), 60);
    let data: Value = serde_json::from_str(&grant.data).unwrap();
    let session = SecretHash::of(browser.cookie.split_once('=').unwrap().1);
    assert_eq!(data["tenant"], made["id"]);
    assert_eq!(data["slug"], "ada-lab");
    assert_eq!(data["challenge"], CHALLENGE);
    assert_eq!(data["session"], hex::encode(session.0));
    // Another code each time.
    let again = app.send(browser.open(&path("ada-lab"))).await;
    assert_ne!(again.header("location"), location.as_str());
}

#[tokio::test]
async fn somebody_not_signed_in_comes_back_to_it_after_the_form() {
    let app = App::new().await;
    app.local_account("ada").await;
    let answer = app.get(&path("ada-lab")).await;
    assert_eq!(answer.status, 303);
    let login: url::Url = format!("{ORIGIN}{}", answer.header("location"))
        .parse()
        .unwrap();
    assert_eq!(login.path(), "/login");
    let (_, return_to) = login.query_pairs().next().unwrap();
    assert_eq!(return_to, path("ada-lab"));

    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("username", "ada")
        .append_pair("password", PASSWORD)
        .append_pair("return_to", &return_to)
        .finish();
    let request = request(Method::POST, "/api/auth/password")
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = app.send(request.body(form.into()).unwrap()).await;
    // A browser applies form-action to redirects: the way to another origin begins anew on a page.
    let onward = answer.header("location").to_owned();
    assert!(
        onward.starts_with("/continue?return_to=%2Fapi%2Fedge%2Fauthorize%3F"),
        "{onward}"
    );
    let page = app.get(&onward).await;
    assert!(
        page.body
            .contains("0;url=/api/edge/authorize?slug=ada-lab&#38;challenge="),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn a_challenge_that_binds_nothing_is_refused() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let browser = app.browser(&ada).await;
    for query in [
        "slug=x".to_owned(),
        "slug=x&challenge=".to_owned(),
        "slug=x&challenge=short".to_owned(),
        format!("slug=x&challenge={}", "+".repeat(43)),
        format!("slug=x&challenge={CHALLENGE}&challenge={CHALLENGE}"),
    ] {
        let mut request = browser.open(&format!("/api/edge/authorize?{query}"));
        request.headers_mut().remove(header::ACCEPT);
        let problem = app.send(request).await.problem(400, "invalid-parameter");
        assert_eq!(problem["field"], "challenge", "{query}");
    }
}

#[tokio::test]
async fn a_bearer_hands_nobody_over() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    program.post("/api/tenants", r#"{"name":"ada-lab"}"#).await;
    let answer = program.get(&path("ada-lab")).await;
    assert!(
        answer.header("location").starts_with("/login?"),
        "{answer:?}"
    );
}

/// Whoever administers the deployment, with an instance of their own or without, by their account or by the session's
/// rights.
#[tokio::test]
async fn a11_idor_an_administrator_is_handed_over_to_no_instance_of_anothers() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let made = app
        .program(&ada)
        .await
        .post("/api/tenants", r#"{"name":"ada-lab"}"#)
        .await;
    assert_eq!(made.status, 202, "{}", made.body);
    let (root, boss) = (app.administrator("root").await, app.account("boss").await);
    let own = app
        .program(&root)
        .await
        .post("/api/tenants", r#"{"name":"root-lab"}"#)
        .await;
    assert_eq!(own.status, 202, "{}", own.body);
    let granted = app.browser_with(&boss, root.rights.clone()).await;
    for (account, browser) in [(&root, app.browser(&root).await), (&boss, granted)] {
        let hosts = app.send(browser.open("/api/hosts")).await;
        assert_eq!(hosts.status, 200, "they do administer: {}", hosts.body);
        let ask = async |slug: &str| {
            let answer = app.send(browser.open(&path(slug))).await;
            assert_eq!(answer.status, 404, "{answer:?}");
            assert_eq!(answer.header("location"), "", "{answer:?}");
            answer.body.replace(answer.header("x-request-id"), "ID")
        };
        // Byte for byte what a name is answered that never existed.
        assert_eq!(ask("ada-lab").await, ask("no-such-lab").await);
        let codes = app.access.revoke_grants(GrantKind::HandOver, account.id);
        assert_eq!(codes.await.unwrap(), 0, "no code was written");
    }
}
