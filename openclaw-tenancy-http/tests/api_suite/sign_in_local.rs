//! Signing in by name and password, and signing out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, header};
use openclaw_tenancy::access::{AccessStore as _, Grant, GrantKind, Replace, SecretHash};
use openclaw_tenancy::clock::{Clock as _, SystemEntropy};
use openclaw_tenancy::identity::{
    Identity, IdentityError, IdentityProvider, LoggedIn, LoginAnswer, LoginRequest, LoginStep,
    Subject,
};
use openclaw_tenancy_http::api::SESSION_LIFETIME;
use openclaw_tenancy_http::identity::local::{ISSUER, LocalAccounts};
use secrecy::SecretString;

use crate::support::{Answer, App, Browser, ORIGIN, PASSWORD, request};

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

/// A bearer that a browser asked for is a part of its session; one for a password, or made by the command line, is not.
#[tokio::test]
async fn a09_token_confusion_a_sign_out_ends_the_bearers_of_the_session_and_no_others() {
    let app = App::new().await;
    app.local_account("ada").await;
    let post =
        |path: &str| request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
    let credentials = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    let by_password = app
        .send(
            post("/api/auth/token")
                .body(credentials.clone().into())
                .unwrap(),
        )
        .await;
    let sign_in = async || {
        let answer = app
            .send(
                post("/api/auth/password")
                    .body(credentials.clone().into())
                    .unwrap(),
            )
            .await;
        Browser {
            cookie: format!(
                "__Host-oct-session={}",
                answer.cookie("__Host-oct-session").unwrap()
            ),
            csrf: answer.json()["csrf_token"].as_str().unwrap().to_owned(),
        }
    };
    let by_session = async |browser: &Browser| {
        let ask = browser.write(Method::POST, "/api/auth/token");
        let answer = app.send(ask.body(String::new().into()).unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    };
    let me = async |issued: &Answer| {
        let bearer = format!("Bearer {}", issued.json()["token"].as_str().unwrap());
        let ask = request(Method::GET, "/api/auth/me").header(header::AUTHORIZATION, bearer);
        app.send(ask.body(String::new().into()).unwrap()).await
    };
    let (here, elsewhere) = (sign_in().await, sign_in().await);
    let (of_here, of_elsewhere) = (by_session(&here).await, by_session(&elsewhere).await);
    for token in [&by_password, &of_here, &of_elsewhere] {
        assert_eq!(me(token).await.status, 200);
    }
    let out = here.write(Method::POST, "/api/auth/logout");
    assert_eq!(
        app.send(out.body(String::new().into()).unwrap())
            .await
            .status,
        204
    );
    let refused = me(&of_here).await.problem(401, "bearer-refused");
    assert_eq!(refused["detail"], "The token was revoked.");
    for token in [&by_password, &of_elsewhere] {
        assert_eq!(me(token).await.status, 200, "it is not of this session");
    }
    // It has no longer than its session has.
    app.clock
        .advance(SESSION_LIFETIME - Duration::from_secs(60));
    let late = by_session(&elsewhere).await;
    let left = late.json()["expires_in"].as_u64().unwrap();
    assert!(left <= 60, "{left}");
    assert_eq!(me(&late).await.status, 200);
    app.clock.advance(Duration::from_secs(left));
    assert_eq!(me(&late).await.status, 401);
}

/// An edge in the same process hears of a sign-out when the store knows of it, and of nobody else's.
#[tokio::test]
async fn a20_cross_site_websocket_a_sign_out_is_told_to_the_edge() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let app = App::with(|_, builder| {
        builder.on_sign_out(move |account| heard.lock().unwrap().push(account))
    })
    .await;
    let (ada, bob) = (app.account("ada").await, app.account("bob").await);
    let out = async |browser: &Browser, body: &'static str| {
        let ask = browser.write(Method::POST, "/api/auth/logout");
        app.send(ask.body(body.into()).unwrap()).await.status
    };
    assert_eq!(out(&app.browser(&ada).await, "").await, 204);
    assert_eq!(
        out(&app.browser(&bob).await, r#"{"everywhere":true}"#).await,
        204
    );
    assert_eq!(*told.lock().unwrap(), [ada.id, bob.id]);
}

/// A provider of local accounts that takes so long to check a password that there is a new one meanwhile.
#[derive(Debug)]
struct Overtaken(Arc<LocalAccounts>);

#[async_trait::async_trait]
impl IdentityProvider for Overtaken {
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    async fn verify(&self, token: &SecretString) -> Result<Identity, IdentityError> {
        self.0.verify(token).await
    }

    async fn begin(&self, request: LoginRequest) -> Result<LoginStep, IdentityError> {
        self.0.begin(request).await
    }

    async fn finish(&self, answer: LoginAnswer) -> Result<LoggedIn, IdentityError> {
        let logged_in = self.0.finish(answer).await?;
        self.0.reset_password("ada").await?;
        Ok(logged_in)
    }
}

/// Otherwise whoever keeps signing in by the old password has a session that the new one did not end.
#[tokio::test]
async fn a10_cookie_theft_a_sign_in_that_a_new_password_overtakes_comes_to_nothing() {
    let app = App::with(|parts, builder| {
        let clock = Arc::new(parts.clock.clone());
        let access = Arc::clone(&parts.access) as _;
        let local = LocalAccounts::new(access, clock, Arc::new(SystemEntropy)).unwrap();
        builder.local_accounts(Arc::new(Overtaken(Arc::new(local))))
    })
    .await;
    let who = Subject {
        issuer: ISSUER.to_owned(),
        subject: "ada".to_owned(),
    };
    let ada = app.account_of(who).await;
    for path in ["/api/auth/password", "/api/auth/token"] {
        let password = SecretString::from(PASSWORD);
        let given = app.local.set_password("ada", password, Replace::Yes).await;
        assert!(given.unwrap());
        let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
        let post = request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        let answer = app.send(post.body(body.into()).unwrap()).await;
        answer.problem(401, "password-refused");
        assert_eq!(answer.cookie("__Host-oct-session"), None);
        let left = app.access.revoke_grants(GrantKind::Session, ada.id);
        assert_eq!(left.await.unwrap(), 0, "{path}");
    }
}
