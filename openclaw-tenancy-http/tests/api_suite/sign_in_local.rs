//! Signing in by name and password, and signing out.

use std::time::Duration;

use http::{Method, header};
use openclaw_tenancy::access::{AccessStore as _, Grant, GrantKind, SecretHash};
use openclaw_tenancy::clock::Clock as _;

use crate::support::{App, ORIGIN, PASSWORD, request};

#[tokio::test]
async fn a_form_says_what_was_wrong_and_keeps_the_name() {
    let app = App::new().await;
    app.local_account("ada").await;
    let form = |body: &str| {
        request(Method::POST, "/api/auth/password")
            .header(header::ORIGIN, ORIGIN)
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.to_owned().into())
            .unwrap()
    };
    let wrong = app
        .send(form("username=%3Cb%3Eada&password=wrong&return_to=%2Fx"))
        .await;
    assert_eq!(wrong.status, 401);
    assert!(
        wrong.body.contains(r#"value="&#60;b&#62;ada""#),
        "{}",
        wrong.body
    );
    assert!(wrong.body.contains("The name or the password is wrong."));
    assert!(wrong.body.contains(r#"name="return_to" value="/x""#));
    assert!(!wrong.body.contains("wrong&"));
    assert_eq!(wrong.cookie("__Host-oct-session"), None);
    // The same answer, whether there is such a name or not.
    let nobody = app.send(form("username=nobody&password=wrong")).await;
    assert!(nobody.body.contains("The name or the password is wrong."));
    let missing = app.send(form("username=ada")).await;
    assert_eq!(missing.status, 422);
    let strange = app.send(form("username=ada&password=x&remember=1")).await;
    assert_eq!(strange.status, 422);
}
#[tokio::test]
async fn a_sign_out_ends_the_session_and_what_it_opened() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let (here, elsewhere) = (app.browser(&ada).await, app.browser(&ada).await);
    let token = app.program(&ada).await;
    let put = |kind, secret: &'static str| {
        let grant = Grant {
            kind,
            secret: SecretHash::of(secret),
            account: Some(ada.id),
            data: String::new(),
            created_at: app.clock.now(),
            expires_at: app.clock.now().plus(Duration::from_secs(60)),
        };
        app.access.put_grant(grant)
    };
    let is_open = |kind, secret: &'static str| {
        app.access
            .grant(kind, SecretHash::of(secret), app.clock.now())
    };
    put(GrantKind::InstanceSession, "i").await.unwrap();
    put(GrantKind::HandOver, "h").await.unwrap();

    let answer = app
        .send(
            here.write(Method::POST, "/api/auth/logout")
                .body(String::new().into())
                .unwrap(),
        )
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.cookie("__Host-oct-session").unwrap(), "");
    assert_eq!(app.send(here.open("/api/auth/me")).await.status, 401);
    assert_eq!(
        is_open(GrantKind::InstanceSession, "i").await.unwrap(),
        None
    );
    assert_eq!(is_open(GrantKind::HandOver, "h").await.unwrap(), None);
    assert_eq!(app.send(elsewhere.open("/api/auth/me")).await.status, 200);

    put(GrantKind::InstanceSession, "i").await.unwrap();
    let everywhere = elsewhere
        .write(Method::POST, "/api/auth/logout")
        .body(r#"{"everywhere":true}"#.to_owned().into());
    assert_eq!(app.send(everywhere.unwrap()).await.status, 204);
    assert_eq!(app.send(elsewhere.open("/api/auth/me")).await.status, 401);
    assert_eq!(
        token.get("/api/auth/me").await.status,
        401,
        "bearers of ours too"
    );
    assert_eq!(
        is_open(GrantKind::InstanceSession, "i").await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_bearer_is_had_for_a_password_or_by_a_session() {
    let app = App::new().await;
    app.local_account("ada").await;
    let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    let post =
        request(Method::POST, "/api/auth/token").header(header::CONTENT_TYPE, "application/json");
    let answer = app.send(post.body(body.into()).unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        (&answer.json()["token_type"], &answer.json()["expires_in"]),
        (&"Bearer".into(), &3600.into())
    );
    assert_eq!(answer.cookie("__Host-oct-session"), None);
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let by_token = |token: &str| {
        request(Method::GET, "/api/auth/me")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
    };
    let me = app
        .send(by_token(&token).body(String::new().into()).unwrap())
        .await;
    assert_eq!(me.json()["account"]["subject"], "ada");
    app.clock.advance(Duration::from_secs(3600));
    let late = app
        .send(by_token(&token).body(String::new().into()).unwrap())
        .await;
    assert_eq!(
        late.problem(401, "bearer-refused")["detail"],
        "The token has no expiry or has expired."
    );

    let bob = app.account("bob").await;
    let browser = app.browser(&bob).await;
    let answer = app
        .send(
            browser
                .write(Method::POST, "/api/auth/token")
                .body(String::new().into())
                .unwrap(),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let nobody = app
        .send(
            request(Method::POST, "/api/auth/token")
                .body(String::new().into())
                .unwrap(),
        )
        .await;
    nobody.problem(401, "unauthenticated");
}
