//! A4: after sign-in a browser is sent to a path of ours, and nowhere else.

use http::{Method, header};
use openclaw_tenancy::clock::Clock as _;

use crate::sign_in::{CALLBACK, call_back, to_provider_and_back, with_provider};
use crate::support::{Answer, App, ORIGIN, PASSWORD, request};

/// What browsers read as another host, or as more than one thing.
const HOSTILE: &[&str] = &[
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: a=b",
    "/ /evil.example",
    "/..//evil.example",
    "/%2e%2e//evil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http://localhost:3000/",
    "http://localhost:3000@evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "/login",
    "/login?return_to=/x",
    "/%6cogin",
    "/x/../login",
    "/api/auth/logout",
    "/api/auth/login?provider=x",
    "/continue?return_to=/x",
    "/claim?code=x",
    "",
];

fn encode(return_to: &str) -> String {
    url::form_urlencoded::byte_serialize(return_to.as_bytes()).collect()
}

async fn sign_in(app: &App, return_to: &str) -> Answer {
    let body = format!(
        "username=ada&password={}&return_to={}",
        encode(PASSWORD),
        encode(return_to)
    );
    let request = request(Method::POST, "/api/auth/password")
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body.into())
        .unwrap();
    app.clock.advance(std::time::Duration::from_secs(60));
    app.send(request).await
}

#[tokio::test]
async fn a04_open_redirect_of_the_form_ends_at_home() {
    let app = App::new().await;
    app.local_account("ada").await;
    for return_to in HOSTILE {
        let answer = sign_in(&app, return_to).await;
        assert_eq!(answer.status, 303, "{return_to:?}: {}", answer.body);
        assert_eq!(answer.header("location"), "/", "{return_to:?}");
    }
    let answer = sign_in(&app, "/?lang=en#plans").await;
    assert_eq!(answer.header("location"), "/?lang=en#plans");
}

#[tokio::test]
async fn a04_open_redirect_of_the_pages_ends_at_home() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let browser = app.browser(&ada).await;
    for return_to in HOSTILE {
        let encoded = encode(return_to);
        // Whoever is signed in goes on at once.
        let answer = app
            .send(browser.open(&format!("/login?return_to={encoded}")))
            .await;
        assert_eq!(answer.header("location"), "/", "{return_to:?}");
        // The page that begins anew.
        let answer = app.get(&format!("/continue?return_to={encoded}")).await;
        assert!(
            answer.body.contains(r#"content="0;url=/""#),
            "{return_to:?}: {}",
            answer.body
        );
        // The form's hidden field.
        let answer = app.get(&format!("/login?return_to={encoded}")).await;
        assert!(
            answer.body.contains(r#"name="return_to" value="/""#),
            "{return_to:?}"
        );
        // The choice of a provider.
        let answer = app
            .get(&format!("/api/auth/login?return_to={encoded}"))
            .await;
        assert_eq!(
            answer.header("location"),
            "/login?return_to=%2F",
            "{return_to:?}"
        );
    }
    // Given twice it is as good as not given.
    let answer = app
        .send(browser.open("/login?return_to=/a&return_to=/a"))
        .await;
    assert_eq!(answer.header("location"), "/");
}

#[tokio::test]
async fn a04_open_redirect_of_the_hand_over_stays_at_the_instance() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    app.program(&ada)
        .await
        .post("/api/tenants", r#"{"name":"ada-lab"}"#)
        .await;
    let browser = app.browser(&ada).await;
    let challenge = "c".repeat(43);
    let instance = [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "https://evil.example",
        "javascript:x",
    ];
    for return_to in instance {
        let path = format!(
            "/api/edge/authorize?slug=ada-lab&challenge={challenge}&return_to={}",
            encode(return_to)
        );
        let answer = app.send(browser.open(&path)).await;
        let location = answer.header("location");
        assert!(
            location.starts_with("http://ada-lab.localhost:8080/__openclaw-tenancy/handover?code="),
            "{return_to:?}: {location}"
        );
        assert!(
            location.ends_with("&return_to=%2F"),
            "{return_to:?}: {location}"
        );
    }
}

#[tokio::test]
async fn a04_open_redirect_of_the_way_through_a_provider_ends_at_home() {
    let (app, provider) = with_provider().await;
    for return_to in HOSTILE {
        // An address may sign in so often.
        app.clock.advance(std::time::Duration::from_secs(60));
        provider.set_time(app.clock.now().as_seconds());
        let (query, cookie) = to_provider_and_back(&app, &provider, &encode(return_to)).await;
        assert!(
            !query.contains("evil"),
            "{return_to:?} is nothing to the provider: {query}"
        );
        let answer = call_back(&app, CALLBACK, &query, &cookie).await;
        assert_eq!(answer.status, 303, "{return_to:?}: {}", answer.body);
        assert_eq!(answer.header("location"), "/", "{return_to:?}");
    }
    // Not even with the path of a good one and another beside it.
    for query in [
        "return_to=/x&return_to=//evil.example",
        "return_to=/x&return_to=/x",
    ] {
        app.clock.advance(std::time::Duration::from_secs(60));
        provider.set_time(app.clock.now().as_seconds());
        let path = format!("/api/auth/login?provider=idp&{query}");
        let begun = app.get(&path).await;
        assert_eq!(begun.status, 303, "{query}: {}", begun.body);
        let cookie = format!(
            "__Host-oct-login={}",
            begun.cookie("__Host-oct-login").unwrap()
        );
        let query = provider.authorize(begun.header("location")).await;
        let answer = call_back(&app, CALLBACK, &query, &cookie).await;
        assert_eq!(answer.header("location"), "/");
    }
    let good = "/?lang=en#plans";
    let (query, cookie) = to_provider_and_back(&app, &provider, &encode(good)).await;
    let answer = call_back(&app, CALLBACK, &query, &cookie).await;
    assert_eq!(answer.header("location"), good);
}
