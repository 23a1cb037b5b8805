//! A10: the session cookie, and which writes it may make.

use std::time::Duration;

use http::{Method, header};
use openclaw_tenancy_http::access::csrf;
use openclaw_tenancy_http::api::{Access, routes};

use crate::support::{App, ORIGIN, PASSWORD, request};

#[tokio::test]
async fn a10_cookie_theft_attributes_and_hash() {
    let app = App::new().await;
    app.local_account("ada").await;
    let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    let login = || {
        request(Method::POST, "/api/auth/password").header(header::CONTENT_TYPE, "application/json")
    };
    let answer = app.send(login().body(body.clone().into()).unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let line = answer
        .headers
        .get_all(header::SET_COOKIE)
        .iter()
        .next()
        .unwrap()
        .to_str()
        .unwrap();
    let (name, rest) = line.split_once('=').unwrap();
    let (value, attributes) = rest.split_once("; ").unwrap();
    assert_eq!(name, "__Host-oct-session");
    assert_eq!(value.len(), 43, "256 bits in base64url");
    assert_eq!(
        attributes,
        "Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Lax"
    );
    // Opaque: nothing of anybody in it, and another one each time.
    let again = app.send(login().body(body.into()).unwrap()).await;
    assert_ne!(again.cookie("__Host-oct-session").unwrap(), value);
    // The store keeps its hash alone.
    assert!(!format!("{:?}", app.access).contains(value));
}

/// Every write there is, by the router's own list.
fn writes() -> Vec<(Method, String)> {
    routes()
        .into_iter()
        .filter(|route| route.method != Method::GET && route.access != Access::Public)
        .map(|route| (route.method, route.path.replace("{id}", "x")))
        .chain([(Method::POST, "/api/auth/token".to_owned())])
        .collect()
}

#[tokio::test]
async fn a10_csrf_every_write_by_cookie_needs_origin_and_token() {
    let app = App::new().await;
    let admin = app.administrator("root").await;
    let browser = app.browser(&admin).await;
    let other = app.browser(&admin).await;
    let writes = writes();
    assert!(writes.len() >= 10, "{writes:?}");
    for (method, path) in &writes {
        app.clock.advance(Duration::from_secs(5));
        let write = || request(method.clone(), path).header(header::COOKIE, &browser.cookie);
        for (what, builder) in [
            ("nothing", write()),
            (
                "the token alone",
                write().header(csrf::HEADER, &browser.csrf),
            ),
            ("the origin alone", write().header(header::ORIGIN, ORIGIN)),
            (
                "a foreign origin",
                write()
                    .header(header::ORIGIN, "http://evil.example")
                    .header(csrf::HEADER, &browser.csrf),
            ),
            (
                "no origin at all",
                write()
                    .header(header::ORIGIN, "null")
                    .header(csrf::HEADER, &browser.csrf),
            ),
            (
                "an instance's origin",
                write()
                    .header(header::ORIGIN, "http://ada.localhost:8080")
                    .header(csrf::HEADER, &browser.csrf),
            ),
            (
                "a sibling port",
                write()
                    .header(header::ORIGIN, "http://localhost:3001")
                    .header(csrf::HEADER, &browser.csrf),
            ),
            (
                "a referrer instead",
                write()
                    .header(header::REFERER, format!("{ORIGIN}/"))
                    .header(csrf::HEADER, &browser.csrf),
            ),
            (
                "a custom header instead",
                write()
                    .header("x-requested-with", "XMLHttpRequest")
                    .header(csrf::HEADER, &browser.csrf),
            ),
            (
                "another session's token",
                write()
                    .header(header::ORIGIN, ORIGIN)
                    .header(csrf::HEADER, &other.csrf),
            ),
            (
                "the token twice",
                write()
                    .header(header::ORIGIN, ORIGIN)
                    .header(csrf::HEADER, &browser.csrf)
                    .header(csrf::HEADER, &browser.csrf),
            ),
            (
                "another site, says the browser",
                write()
                    .header(header::ORIGIN, ORIGIN)
                    .header("sec-fetch-site", "cross-site")
                    .header(csrf::HEADER, &browser.csrf),
            ),
            (
                "a sibling site, says the browser",
                write()
                    .header(header::ORIGIN, ORIGIN)
                    .header("sec-fetch-site", "same-site")
                    .header(csrf::HEADER, &browser.csrf),
            ),
        ] {
            let answer = app.send(builder.body(String::new().into()).unwrap()).await;
            assert_eq!(
                answer.status, 403,
                "{method} {path} with {what}: {}",
                answer.body
            );
            let problem = answer.problem(403, "cross-site-request");
            assert!(problem["field"].is_string(), "{problem}");
        }
    }
    assert_eq!(app.tenants().await, 0);
    // As our own pages do it, each passes.
    for (method, path) in writes {
        let browser = app.browser(&admin).await;
        let answer = app
            .send(
                browser
                    .write(method.clone(), &path)
                    .body(String::new().into())
                    .unwrap(),
            )
            .await;
        assert_ne!(answer.status, 403, "{method} {path}: {}", answer.body);
        assert_ne!(answer.status, 401, "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a10_csrf_of_the_sign_in_itself() {
    let app = App::new().await;
    app.local_account("ada").await;
    let form = format!("username=ada&password={}", PASSWORD.replace(' ', "+"));
    let post = |media: &'static str| {
        request(Method::POST, "/api/auth/password").header(header::CONTENT_TYPE, media)
    };
    let plain = "application/x-www-form-urlencoded";
    // Another site signs nobody in with a form, and its script not with JSON either.
    for builder in [
        post(plain),
        post(plain).header(header::ORIGIN, "null"),
        post(plain).header(header::ORIGIN, "http://evil.example"),
        post(plain)
            .header(header::ORIGIN, ORIGIN)
            .header("sec-fetch-site", "cross-site"),
    ] {
        let answer = app.send(builder.body(form.clone().into()).unwrap()).await;
        answer.problem(403, "cross-site-request");
        assert_eq!(answer.cookie("__Host-oct-session"), None);
    }
    let json = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    for builder in [
        post("application/json").header(header::ORIGIN, "http://evil.example"),
        post("application/json").header("sec-fetch-site", "cross-site"),
    ] {
        let answer = app.send(builder.body(json.clone().into()).unwrap()).await;
        answer.problem(403, "cross-site-request");
        assert_eq!(answer.cookie("__Host-oct-session"), None);
    }
    // text/plain is what a form can send across sites with a JSON body.
    let answer = app
        .send(post("text/plain").body(json.into()).unwrap())
        .await;
    answer.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn a10_cookie_theft_a_sign_in_ends_the_session_before_it() {
    let app = App::new().await;
    app.local_account("ada").await;
    let ada = app.account("mallory").await;
    let planted = app.browser(&ada).await;
    let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    let request = request(Method::POST, "/api/auth/password")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::COOKIE, &planted.cookie);
    let answer = app.send(request.body(body.into()).unwrap()).await;
    let fresh = answer.cookie("__Host-oct-session").unwrap();
    assert!(!planted.cookie.contains(&fresh));
    assert_eq!(app.send(planted.open("/api/auth/me")).await.status, 401);
}
