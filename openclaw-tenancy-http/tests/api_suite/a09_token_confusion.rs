//! A9: a token of one kind is none of another, and a credential counts in its own place only.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use openclaw_tenancy::access::{Rights, SecretHash};
use openclaw_tenancy_http::access::session::SessionUse;
use openclaw_tenancy_http::api::{Access, routes};
use openclaw_tenancy_http::identity::jwt::{OwnTokens, TokenGrant, TokenKind, TokenSecret};
use secrecy::{ExposeSecret as _, SecretString};

use crate::support::{Answer, App, ORIGIN, SECRET, request};

fn own(app: &App, secret: &str, issuer: &str) -> OwnTokens {
    let secret = TokenSecret::new(SecretString::from(secret)).unwrap();
    let entropy = Arc::clone(app.tenancy.entropy());
    OwnTokens::new(issuer, &secret, Arc::new(app.clock.clone()), entropy)
}

async fn session(app: &App, used_by: SessionUse) -> (TokenGrant, SecretString) {
    let ada = app.account("ada").await;
    let hour = Duration::from_secs(3600);
    let sessions = app.state.sessions();
    let session = sessions
        .begin(ada.id, Rights::default(), used_by, hour)
        .await
        .unwrap();
    let grant = TokenGrant {
        account: ada.id,
        session: session.hash,
        bound_to: None,
        lifetime: Duration::from_secs(60),
    };
    (grant, session.secret)
}

async fn as_bearer(app: &App, method: Method, path: &str, token: &str) -> Answer {
    let request = request(method, path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    app.send(request.body(String::new().into()).unwrap()).await
}

#[tokio::test]
async fn a09_token_confusion_kinds_by_endpoints() {
    let app = App::new().await;
    let (grant, _) = session(&app, SessionUse::Token).await;
    let keys = own(&app, SECRET, ORIGIN);
    let mut tried = 0;
    for route in routes() {
        if matches!(route.access, Access::Public | Access::Browser) {
            continue;
        }
        let path = route.path.replace("{id}", "x");
        for kind in TokenKind::ALL {
            tried += 1;
            let token = keys.issue(kind, &grant).unwrap();
            let answer = as_bearer(&app, route.method.clone(), &path, token.expose_secret()).await;
            app.clock.advance(Duration::from_secs(1));
            if kind == TokenKind::Api {
                assert_ne!(
                    answer.status, 401,
                    "{} {path}: {}",
                    route.method, answer.body
                );
            } else {
                let problem = answer.problem(401, "bearer-refused");
                assert_eq!(problem["field"], "Authorization");
                assert!(answer.header("www-authenticate").contains("invalid_token"));
            }
            // A sign-out has ended the session.
            if path == "/api/auth/logout" && kind == TokenKind::Api {
                let (fresh, _) = session(&app, SessionUse::Token).await;
                assert_ne!(fresh.session, grant.session);
                return assert!(tried > 10, "the rest is tried in the next test");
            }
        }
    }
}

#[tokio::test]
async fn a09_token_confusion_by_key_issuer_session_and_binding() {
    let app = App::new().await;
    let (grant, _) = session(&app, SessionUse::Token).await;
    let (of_browser, _) = session(&app, SessionUse::Browser).await;
    let other = "Zx9Yw8Vu7Ts6Rq5Po4Nm3Lk2Ji1Hg0FeDcBaAbCdEfG=";
    let ours = own(&app, SECRET, ORIGIN);
    let unknown = TokenGrant {
        session: SecretHash([7; 32]),
        ..grant.clone()
    };
    let somebody = TokenGrant {
        account: app.account("bob").await.id,
        ..grant.clone()
    };
    let bound = TokenGrant {
        bound_to: Some("x".to_owned()),
        ..grant.clone()
    };
    let api = TokenKind::Api;
    for (what, token) in [
        ("another key", own(&app, other, ORIGIN).issue(api, &grant)),
        (
            "another issuer",
            own(&app, SECRET, "http://localhost:3001").issue(api, &grant),
        ),
        ("a browser's session", ours.issue(api, &of_browser)),
        ("an unknown session", ours.issue(api, &unknown)),
        ("somebody else's session", ours.issue(api, &somebody)),
        ("bound to something", ours.issue(api, &bound)),
    ] {
        let answer = as_bearer(
            &app,
            Method::GET,
            "/api/auth/me",
            token.unwrap().expose_secret(),
        )
        .await;
        answer.problem(401, "bearer-refused");
        assert!(!answer.body.contains("ada"), "{what}");
    }
    let good = ours.issue(api, &grant).unwrap();
    assert_eq!(
        as_bearer(&app, Method::GET, "/api/auth/me", good.expose_secret())
            .await
            .status,
        200
    );
    // Revocation is by session, and at once.
    app.state.sessions().end(grant.session).await.unwrap();
    as_bearer(&app, Method::GET, "/api/auth/me", good.expose_secret())
        .await
        .problem(401, "bearer-refused");
}

#[tokio::test]
async fn a09_token_confusion_a_credential_counts_in_its_place_only() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let token = app.program(&ada).await.token;
    let (_, secret_of_token) = session(&app, SessionUse::Token).await;
    let browser = app.browser(&ada).await;
    let cookie = browser.cookie.split_once('=').unwrap().1.to_owned();
    let me = |path: &str| request(Method::GET, path);
    let nobody =
        |builder: http::request::Builder| app.send(builder.body(String::new().into()).unwrap());

    // RFC 6750 §2.1 only: no query, no form.
    let path = format!("/api/auth/me?access_token={token}");
    nobody(me(&path)).await.problem(401, "unauthenticated");
    // A token in the cookie, a cookie in the header, a token's own session in the cookie.
    for value in [&*token, secret_of_token.expose_secret(), "", "x"] {
        let cookie = format!("__Host-oct-session={value}");
        nobody(me("/api/auth/me").header(header::COOKIE, cookie))
            .await
            .problem(401, "unauthenticated");
    }
    let twice = format!("{}; {}", browser.cookie, browser.cookie);
    nobody(me("/api/auth/me").header(header::COOKIE, twice))
        .await
        .problem(401, "unauthenticated");
    for authorization in [
        format!("Bearer {cookie}"),
        format!("Basic {token}"),
        format!("Bearer  {token} {token}"),
        format!("Bearer {token}, Bearer {token}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        token.clone(),
    ] {
        let answer = nobody(me("/api/auth/me").header(header::AUTHORIZATION, &authorization)).await;
        answer.problem(401, "bearer-refused");
    }
    // Two credentials are none, and a bad bearer is not excused by a good cookie.
    let bearer = format!("Bearer {token}");
    let two = me("/api/auth/me")
        .header(header::AUTHORIZATION, &bearer)
        .header(header::AUTHORIZATION, &bearer);
    nobody(two).await.problem(401, "bearer-refused");
    let beside = me("/api/auth/me")
        .header(header::AUTHORIZATION, "Bearer x")
        .header(header::COOKIE, &browser.cookie);
    nobody(beside).await.problem(401, "bearer-refused");
    // The scheme's case does not matter (RFC 9110 §11.1).
    let lower = me("/api/auth/me").header(header::AUTHORIZATION, format!("bearer {token}"));
    assert_eq!(nobody(lower).await.status, 200);
}

#[tokio::test]
async fn a09_token_confusion_a_bearer_does_not_get_another() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let problem = program
        .post("/api/auth/token", "")
        .await
        .problem(401, "bearer-refused");
    assert_eq!(problem["detail"], "A bearer token does not get another.");
}
