//! A9: a token of one kind is none of another, and a credential counts in its own place only.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, header};
use openclaw_tenancy::access::{Rights, SecretHash};
use openclaw_tenancy_http::access::session::SessionUse;
use openclaw_tenancy_http::api::{Access, routes};
use openclaw_tenancy_http::identity::jwt::{OwnTokens, TokenGrant, TokenSecret};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

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
        lifetime: Duration::from_secs(60),
    };
    (grant, session.secret)
}

async fn as_bearer(app: &App, method: Method, path: &str, token: &str) -> Answer {
    let request = request(method, path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    app.send(request.body(String::new().into()).unwrap()).await
}

/// A token of ours with another `typ`, other claims or both, signed with our own secret.
fn forged(token: &SecretString, typ: Option<&str>, claims: &[(&str, &str)]) -> String {
    use hmac::Mac as _;

    let mut parts = token
        .expose_secret()
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap());
    let (mut header, mut payload): (Value, Value) = (parts.next().unwrap(), parts.next().unwrap());
    match typ {
        Some(typ) => header["typ"] = json!(typ),
        None => drop(header.as_object_mut().unwrap().remove("typ")),
    }
    for (name, value) in claims {
        payload[*name] = json!(value);
    }
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let text = format!("{}.{}", encode(&header), encode(&payload));
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{text}.{signature}")
}

/// A `typ`, or none, and the claims that go with it.
type Kind = (
    Option<&'static str>,
    &'static [(&'static str, &'static str)],
);

/// Every kind of token that A9 names, and each half of one, at every route that takes a bearer.
#[tokio::test]
async fn a09_token_confusion_kinds_by_endpoints() {
    const OURS: &str = "openclaw-api+jwt";
    const KINDS: &[Kind] = &[
        (
            Some("openclaw-edge+jwt"),
            &[("aud", "urn:openclaw-tenancy:edge")],
        ),
        (
            Some("openclaw-instance+jwt"),
            &[("aud", "urn:openclaw-tenancy:instance")],
        ),
        (
            Some("openclaw-sandbox+jwt"),
            &[("aud", "urn:openclaw-tenancy:sandbox")],
        ),
        (
            Some("openclaw-handover+jwt"),
            &[("aud", "urn:openclaw-tenancy:handover")],
        ),
        (
            Some("openclaw-refresh+jwt"),
            &[("aud", "urn:openclaw-tenancy:refresh")],
        ),
        (Some("JWT"), &[("nonce", "n")]),
        (Some("at+jwt"), &[]),
        (Some("logout+jwt"), &[]),
        (None, &[]),
        (Some(OURS), &[("aud", "urn:openclaw-tenancy:refresh")]),
        (Some(OURS), &[("aud", "tenancy")]),
        (Some(OURS), &[("iss", "https://id.example")]),
    ];
    let app = App::new().await;
    let keys = own(&app, SECRET, ORIGIN);
    let mut tried = Vec::new();
    for route in routes() {
        if matches!(route.access, Access::Public | Access::Browser) {
            continue;
        }
        let path = route.path.replace("{id}", "x");
        // Of its own for each route: one of them ends it.
        let (grant, _) = session(&app, SessionUse::Token).await;
        let token = keys.issue(&grant).unwrap();
        for (typ, claims) in KINDS {
            app.clock.advance(Duration::from_secs(1));
            let other = forged(&token, *typ, claims);
            let answer = as_bearer(&app, route.method.clone(), &path, &other).await;
            let problem = answer.problem(401, "bearer-refused");
            assert_eq!(problem["field"], "Authorization");
            assert!(answer.header("www-authenticate").contains("invalid_token"));
        }
        // What was changed is why: the same token unchanged is one.
        for good in [token.expose_secret(), &*forged(&token, Some(OURS), &[])] {
            let (method, me) = (Method::GET, "/api/auth/me");
            assert_eq!(
                as_bearer(&app, method, me, good).await.status,
                200,
                "{path}"
            );
        }
        let answer = as_bearer(&app, route.method.clone(), &path, token.expose_secret()).await;
        assert_ne!(
            answer.status, 401,
            "{} {path}: {}",
            route.method, answer.body
        );
        tried.push(format!("{} {path}", route.method));
    }
    for path in [
        "POST /api/auth/logout",
        "POST /api/tenants",
        "GET /api/tenants/me",
        "DELETE /api/tenants/x",
    ] {
        assert!(tried.iter().any(|tried| tried == path), "{path}: {tried:?}");
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
    for (what, token) in [
        ("another key", own(&app, other, ORIGIN).issue(&grant)),
        (
            "another issuer",
            own(&app, SECRET, "http://localhost:3001").issue(&grant),
        ),
        ("a browser's session", ours.issue(&of_browser)),
        ("an unknown session", ours.issue(&unknown)),
        ("somebody else's session", ours.issue(&somebody)),
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
    let good = ours.issue(&grant).unwrap();
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
