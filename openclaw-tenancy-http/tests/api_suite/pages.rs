//! The pages as a browser gets them.

use http::{Method, header};
use openclaw_tenancy::access::AccessStore as _;

use crate::support::{Answer, App, ORIGIN, request};

async fn in_language(app: &App, path: &str, tag: &str, cookie: &str) -> Answer {
    let request = request(Method::GET, path)
        .header(header::ACCEPT, "text/html")
        .header(header::ACCEPT_LANGUAGE, tag)
        .header(header::COOKIE, cookie);
    app.send(request.body(String::new().into()).unwrap()).await
}

#[tokio::test]
async fn every_answer_has_strict_headers_and_nothing_runs_inline() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let browser = app.browser(&ada).await;
    for path in [
        "/",
        "/instance",
        "/login",
        "/continue",
        "/nothing",
        "/claim",
        "/api/health",
        "/api/auth/me",
        "/api/nothing",
    ] {
        let answer = in_language(&app, path, "en", &browser.cookie).await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"),
            "{path}: {policy}"
        );
        assert!(
            matches!(
                answer.header("referrer-policy"),
                "no-referrer" | "same-origin"
            ),
            "{path}"
        );
        assert_eq!(
            answer.header("strict-transport-security"),
            "",
            "not on plain HTTP"
        );
        if answer.header("content-type").starts_with("text/html") {
            let body = &answer.body;
            assert!(
                !body.contains("<style") && !body.contains(" style=") && !body.contains(" onclick"),
                "{path}"
            );
            assert!(
                body.matches("<script").count() == body.matches("<script src=\"/assets/").count(),
                "{path}"
            );
            for elsewhere in ["src=\"http", "href=\"//", "url(http", "@import", "cdn"] {
                assert!(!body.contains(elsewhere), "{path}: {elsewhere}");
            }
        }
    }
}

#[tokio::test]
async fn https_is_remembered_where_there_is_https() {
    let app = App::new().await;
    let router =
        openclaw_tenancy_http::api::router(app.state_at("https://tenancy.example").unwrap());
    let answer = crate::support::send(
        router,
        request(Method::GET, "/login")
            .body(String::new().into())
            .unwrap(),
    )
    .await;
    assert_eq!(
        answer.header("strict-transport-security"),
        "max-age=31536000"
    );
    // Browsers would not keep our cookies there: better not to start.
    for url in [
        "http://tenancy.example",
        "http://192.0.2.1:3000",
        "http://localhost.example",
        "https://tenancy.example/app",
        "ftp://localhost",
        "https://a@tenancy.example",
    ] {
        let refused = app.state_at(url).unwrap_err();
        assert_eq!(refused.field, "public_url", "{url}: {refused}");
    }
    for url in [
        "http://localhost:3000",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
        "http://app.localhost",
    ] {
        assert!(app.state_at(url).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn pages_speak_the_readers_language_and_remember_a_choice() {
    let app = App::new().await;
    let english = in_language(&app, "/login?return_to=/x", "en", "").await;
    assert!(
        english.body.contains("<html lang=\"en\">")
            && english.body.contains("Sign in to create it")
    );
    assert!(
        english
            .body
            .contains("href=\"?return_to=%2Fx&#38;lang=zh-CN\""),
        "{}",
        english.body
    );
    let chinese = in_language(&app, "/login", "zh-CN", "").await;
    assert!(
        chinese.body.contains("<html lang=\"zh-CN\">")
            && chinese.body.contains("属于您的 OpenClaw")
    );
    let chosen = in_language(&app, "/login?lang=zh-CN", "en", "").await;
    assert!(chosen.body.contains("属于您的 OpenClaw"));
    let cookie = format!(
        "__Host-oct-lang={}",
        chosen.cookie("__Host-oct-lang").unwrap()
    );
    let later = in_language(&app, "/login", "en", &cookie).await;
    assert!(later.body.contains("属于您的 OpenClaw"));
    let strange = in_language(
        &app,
        "/login?lang=%0d%0ax",
        "en",
        "__Host-oct-lang=%3Cscript%3E",
    )
    .await;
    assert_eq!(strange.cookie("__Host-oct-lang"), None);
}

#[tokio::test]
async fn what_others_wrote_is_text_on_a_page() {
    let app = App::new().await;
    let hostile = "<script>alert(1)</script>\"'";
    let mut ada = app.account("ada").await;
    ada.who.subject = hostile.to_owned();
    let identity = openclaw_tenancy::identity::Identity {
        who: ada.who,
        email: Some(hostile.to_owned()),
        email_verified: false,
        name: Some(format!("{hostile}n")),
        groups: std::collections::BTreeSet::new(),
    };
    let id = openclaw_tenancy::id::AccountId::generate(&app.clock, &**app.tenancy.entropy());
    let account = app
        .access
        .sign_in(identity, id, openclaw_tenancy::clock::Timestamp::default())
        .await
        .unwrap();
    let browser = app.browser(&account).await;
    let page = app.send(browser.open("/")).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("<script>alert"), "{}", page.body);
    assert!(
        page.body.contains("&#60;script&#62;alert(1)"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn the_page_follows_the_instance() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let browser = app.browser(&ada).await;
    let program = app.program(&ada).await;
    let create = app.send(browser.open("/")).await;
    for text in [
        "Create your OpenClaw",
        "value=\"basic\" checked",
        "value=\"pro\" disabled",
        "512 MiB",
        ".localhost:8080",
    ] {
        assert!(create.body.contains(text), "{text}: {}", create.body);
    }
    program.post("/api/tenants", r#"{"name":"ada-lab"}"#).await;
    let queued = app.send(browser.open("/instance")).await;
    assert!(
        queued.body.contains("Waiting for a place") && !queued.body.contains("<html"),
        "{}",
        queued.body
    );
    app.reconcile().await;
    let running = app.send(browser.open("/instance")).await;
    for text in [
        "Your OpenClaw is ready",
        "href=\"http://ada-lab.localhost:8080/\"",
        "data-action=\"suspend\"",
        "data-action=\"delete\"",
    ] {
        assert!(running.body.contains(text), "{text}: {}", running.body);
    }
    // The script compares this with what it polls, to the letter.
    let polled = program.get("/api/tenants/me").await.body;
    let escaped = polled.replace('&', "&#38;").replace('"', "&#34;");
    assert!(
        running.body.contains(&format!("data-state=\"{escaped}\"")),
        "{}\n{escaped}",
        running.body
    );
}

#[tokio::test]
async fn assets_are_kept_for_good_under_their_version_only() {
    let app = App::new().await;
    let page = app.get("/login").await.body;
    for (name, media) in [
        ("app.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("mark.svg", "image/svg+xml"),
    ] {
        let at = page.find(&format!("/assets/{name}?v=")).unwrap();
        let link = page[at..].split('"').next().unwrap();
        let answer = app.get(link).await;
        assert_eq!(
            (
                answer.header("content-type"),
                answer.header("cache-control")
            ),
            (media, "public, max-age=31536000, immutable")
        );
        let other = app.get(&format!("/assets/{name}?v=0")).await;
        assert_eq!(other.header("cache-control"), "no-cache");
    }
    app.get("/assets/..%2fmod.rs")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_sent_to_sign_in_and_back() {
    let app = App::new().await;
    for (path, location) in [
        ("/", "/login"),
        ("/instance?x=1", "/login?return_to=%2Finstance%3Fx%3D1"),
    ] {
        let answer = app.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, location)
        );
    }
    // A page that was left open for too long: its script is told, not redirected.
    let request = request(Method::GET, "/api/tenants/me").header(header::ORIGIN, ORIGIN);
    app.send(request.body(String::new().into()).unwrap())
        .await
        .problem(401, "unauthenticated");
}
