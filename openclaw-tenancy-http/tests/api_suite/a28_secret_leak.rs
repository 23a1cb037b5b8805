//! A28: canaries in every secret, looked for in every body, header and log line.

use http::{Method, header};
use openclaw_tenancy_http::access::csrf;
use secrecy::{ExposeSecret as _, SecretString};
use test_support::provider::CLIENT_SECRET;

use crate::logs::Logs;
use crate::sign_in::with_provider;
use crate::support::{Answer, App, ORIGIN, PASSWORD, SECRET, request};

/// Keeps every answer, with what was asked.
struct Watched<'a> {
    app: &'a App,
    seen: Vec<(String, Answer)>,
}

impl Watched<'_> {
    async fn send(&mut self, request: http::Request<axum::body::Body>) -> Answer {
        let what = format!("{} {}", request.method(), request.uri().path());
        let answer = self.app.send(request).await;
        self.seen.push((what, answer.clone()));
        answer
    }

    /// Where `secret` stands in an answer: `what` with the header's name or `body`.
    fn places(&self, secret: &str) -> Vec<String> {
        let mut places = Vec::new();
        for (what, answer) in &self.seen {
            if answer.body.contains(secret) {
                places.push(format!("{what} body"));
            }
            for (name, value) in &answer.headers {
                if String::from_utf8_lossy(value.as_bytes()).contains(secret) {
                    places.push(format!("{what} {name}"));
                }
            }
        }
        places.dedup();
        places
    }
}

#[tokio::test]
async fn a28_secret_leak_canaries() {
    let (app, provider) = with_provider().await;
    app.local_account("ada").await;
    let claim = app.state.claims().issue().await.unwrap().unwrap();
    let logs = Logs::capture();
    let mut watched = Watched {
        app: &app,
        seen: Vec::new(),
    };
    let json = |method: Method, path: &str| {
        request(method, path).header(header::CONTENT_TYPE, "application/json")
    };
    let credentials = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);

    // In, by password, with everything that can go wrong on the way.
    let answer = watched
        .send(
            json(Method::POST, "/api/auth/password")
                .body(credentials.clone().into())
                .unwrap(),
        )
        .await;
    let session = answer.cookie("__Host-oct-session").unwrap();
    let csrf_token = csrf::token(&SecretString::from(session.clone()));
    for body in [
        credentials.replace("username", "usernam"),
        credentials.replace("password\"", "passwort\""),
        credentials
            .replace(r#""correct"#, r#"["correct"#)
            .replace(r#"staple""#, r#"staple"]"#),
        credentials.replace("ada", "nobody"),
        format!("{credentials}{credentials}"),
        credentials.replace('{', r#"{"password":"x","#),
    ] {
        watched
            .send(
                json(Method::POST, "/api/auth/password")
                    .body(body.clone().into())
                    .unwrap(),
            )
            .await;
        watched
            .send(
                json(Method::POST, "/api/auth/token")
                    .body(body.into())
                    .unwrap(),
            )
            .await;
    }
    let form = format!("username=ada&password={}&x=1", PASSWORD.replace(' ', "+"));
    let request_form = request(Method::POST, "/api/auth/password")
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    watched.send(request_form.body(form.into()).unwrap()).await;

    // A bearer, used and misused.
    let answer = watched
        .send(
            json(Method::POST, "/api/auth/token")
                .body(credentials.into())
                .unwrap(),
        )
        .await;
    let bearer = answer.json()["token"].as_str().unwrap().to_owned();
    let signature = bearer.rsplit('.').next().unwrap().to_owned();
    for token in [
        bearer.clone(),
        format!("{bearer}x"),
        format!("x {bearer}"),
        bearer[1..].to_owned(),
    ] {
        for path in ["/api/auth/me", "/api/hosts", "/api/tenants/me"] {
            let request =
                request(Method::GET, path).header(header::AUTHORIZATION, format!("Bearer {token}"));
            watched
                .send(request.body(String::new().into()).unwrap())
                .await;
        }
    }

    // The browser's pages, a create, the hand-over.
    let cookie = format!("__Host-oct-session={session}");
    let made = json(Method::POST, "/api/tenants")
        .header(header::COOKIE, &cookie)
        .header(header::ORIGIN, ORIGIN)
        .header(csrf::HEADER, &csrf_token);
    watched
        .send(
            made.body(r#"{"name":"ada-lab"}"#.to_owned().into())
                .unwrap(),
        )
        .await;
    app.reconcile().await;
    let authorize = format!(
        "/api/edge/authorize?slug=ada-lab&challenge={}&return_to=/",
        "c".repeat(43)
    );
    let mut code = String::new();
    for path in [
        "/",
        "/instance",
        "/api/auth/me",
        "/api/tenants/me",
        "/api/plans",
        "/login",
        &authorize,
        "/api/nothing",
    ] {
        let request = request(Method::GET, path)
            .header(header::COOKIE, &cookie)
            .header(header::ACCEPT, "text/html");
        let answer = watched
            .send(request.body(String::new().into()).unwrap())
            .await;
        if let Some((_, rest)) = answer.header("location").split_once("code=") {
            code = rest.split('&').next().unwrap().to_owned();
        }
    }
    assert_eq!(code.len(), 43);

    // The provider's way, good and bad, and the first administrator's link.
    let answer = watched
        .send(
            request(Method::GET, "/api/auth/login?provider=idp")
                .body(String::new().into())
                .unwrap(),
        )
        .await;
    let login = answer.cookie("__Host-oct-login").unwrap();
    let query = provider.authorize(answer.header("location")).await;
    let state = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let login_cookie = format!("__Host-oct-login={login}");
    for _ in 0..2 {
        let callback = request(Method::GET, &format!("/api/auth/callback/idp?{query}"))
            .header(header::COOKIE, &login_cookie);
        watched
            .send(callback.body(String::new().into()).unwrap())
            .await;
    }
    let link = format!("/claim?code={}", claim.expose_secret());
    watched
        .send(
            request(Method::GET, &link)
                .body(String::new().into())
                .unwrap(),
        )
        .await;

    // Each secret stands where its owner must get it, and nowhere else.
    let places = |secret: &str| watched.places(secret);
    assert_eq!(places(PASSWORD), [""; 0]);
    assert_eq!(places(&PASSWORD.replace(' ', "+")), [""; 0]);
    assert_eq!(places(SECRET), [""; 0]);
    assert_eq!(places(CLIENT_SECRET), [""; 0]);
    assert_eq!(places(&session), ["POST /api/auth/password set-cookie"]);
    assert_eq!(places(&bearer), ["POST /api/auth/token body"]);
    assert_eq!(places(&signature), ["POST /api/auth/token body"]);
    assert_eq!(places(&code), ["GET /api/edge/authorize location"]);
    assert_eq!(places(&login), ["GET /api/auth/login set-cookie"]);
    assert_eq!(places(&state), ["GET /api/auth/login location"]);
    assert_eq!(places(claim.expose_secret()), ["GET /claim set-cookie"]);
    assert_eq!(
        places(&csrf_token),
        [
            "POST /api/auth/password body",
            "GET / body",
            "GET /api/auth/me body"
        ]
    );
    assert_eq!(places("$argon2"), [""; 0]);

    let lines = logs.lines();
    assert!(
        lines.iter().any(|line| line.contains("answered")),
        "{lines:?}"
    );
    let logged = format!("{}\n{:?}", lines.join("\n"), app.state);
    for secret in [
        PASSWORD,
        SECRET,
        CLIENT_SECRET,
        &session,
        &bearer,
        &signature,
        &code,
        &login,
        &state,
        &csrf_token,
        claim.expose_secret(),
        "$argon2",
    ] {
        assert!(
            !logged.contains(secret),
            "{secret} is logged or shown by Debug"
        );
    }
}
