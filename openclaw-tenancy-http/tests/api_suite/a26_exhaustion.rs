//! A26: how often things may be tried, and how much is read.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::{Method, header};
use openclaw_tenancy::access::{AccessStore as _, GrantKind};

use crate::support::{Answer, App, PASSWORD, request};

async fn password(app: &App, from: &str, name: &str, password: &str) -> Answer {
    password_in(app, "", from, name, password).await
}

/// The same, in a browser that keeps this cookie.
async fn password_in(app: &App, cookie: &str, from: &str, name: &str, password: &str) -> Answer {
    let body = format!(r#"{{"username":"{name}","password":"{password}"}}"#);
    let mut request = request(Method::POST, "/api/auth/password")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::COOKIE, cookie)
        .body(body.into())
        .unwrap();
    let peer: SocketAddr = from.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    app.send(request).await
}

#[tokio::test]
async fn a26_exhaustion_passwords_are_rationed_by_name_and_address() {
    let app = App::new().await;
    app.local_account("ada").await;
    let guess = |from: &'static str| password(&app, from, "ada", "wrong password");
    for _ in 0..5 {
        guess("192.0.2.1:1").await.problem(401, "password-refused");
    }
    let answer = guess("192.0.2.1:2").await;
    answer.problem(429, "too-many-requests");
    assert_eq!(answer.header("retry-after"), "30");
    // Not even the right one now; and another spelling is the same name.
    password(&app, "192.0.2.1:3", "ada", PASSWORD)
        .await
        .problem(429, "too-many-requests");
    password(&app, "192.0.2.1:3", " ADA ", PASSWORD)
        .await
        .problem(429, "too-many-requests");
    // Somebody else's address is not locked out by it.
    assert_eq!(
        password(&app, "192.0.2.2:1", "ada", PASSWORD).await.status,
        200
    );
    // One subscriber's /64 is one address.
    for host in 1..=5 {
        let from = format!("[2001:db8:1:1::{host}]:1");
        password(&app, &from, "ada", "wrong password")
            .await
            .problem(401, "password-refused");
    }
    password(&app, "[2001:db8:1:1:ffff::1]:1", "ada", "x")
        .await
        .problem(429, "too-many-requests");
    // It refills.
    app.clock.advance(Duration::from_secs(30));
    assert_eq!(
        password(&app, "192.0.2.1:1", "ada", PASSWORD).await.status,
        200
    );
}

/// Whoever knows the password signs in as often as they like, up to what hashing may cost.
#[tokio::test]
async fn a26_exhaustion_right_passwords_do_not_count_as_guesses() {
    let app = App::new().await;
    app.local_account("ada").await;
    let mut seen = Vec::new();
    // The first is of the address, and those after it are the name's own there.
    for _ in 0..63 {
        let answer = password(&app, "192.0.2.1:1", "ada", PASSWORD).await;
        seen.push(answer.status.as_u16());
    }
    assert!(seen[..61].iter().all(|status| *status == 200), "{seen:?}");
    assert_eq!(seen[61..], [429, 429], "hashing is bounded all the same");
    // They give nobody more guesses either.
    app.clock.advance(Duration::from_secs(60));
    for _ in 0..5 {
        password(&app, "192.0.2.1:1", "ada", "wrong")
            .await
            .problem(401, "password-refused");
        // The fifth guess has used up what a name has at an address.
        let right = password(&app, "192.0.2.1:1", "ada", PASSWORD).await;
        seen.push(right.status.as_u16());
    }
    assert_eq!(seen[63..], [200, 200, 200, 200, 429]);
    password(&app, "192.0.2.1:1", "ada", "wrong")
        .await
        .problem(429, "too-many-requests");
}

/// Guesses of one name from many addresses are bounded together, and do not keep its owner out.
#[tokio::test]
async fn a26_exhaustion_strangers_do_not_lock_an_owner_out() {
    let app = App::new().await;
    app.local_account("ada").await;
    let home = "198.51.100.7:1";
    assert_eq!(password(&app, home, "ada", PASSWORD).await.status, 200);
    let mut refused = 0;
    for from in 0..30 {
        for _ in 0..4 {
            let from = format!("192.0.2.{from}:1");
            refused += usize::from(password(&app, &from, "ada", "wrong").await.status == 429);
        }
    }
    assert_eq!(refused, 20, "a hundred in all");
    // Not from a place that nobody knows, and from home as ever, with no more guesses than from anywhere.
    password(&app, "203.0.113.1:1", "ada", PASSWORD)
        .await
        .problem(429, "too-many-requests");
    assert_eq!(password(&app, home, "Ada", PASSWORD).await.status, 200);
    for _ in 0..5 {
        password(&app, home, "ada", "wrong")
            .await
            .problem(401, "password-refused");
    }
    password(&app, home, "ada", PASSWORD)
        .await
        .problem(429, "too-many-requests");
    // Another name is not of this.
    app.local_account("bob").await;
    assert_eq!(
        password(&app, "203.0.113.1:1", "bob", PASSWORD)
            .await
            .status,
        200
    );
}

/// Behind one address may be a whole office, or everybody there is where a proxy is not listed.
#[tokio::test]
async fn a26_exhaustion_somebody_at_the_same_address_does_not_lock_the_others_out() {
    let app = App::with(|parts, builder| {
        let provider = crate::sign_in::Redirecting::new(&parts.access, &parts.clock);
        builder.provider("there", "There", std::sync::Arc::new(provider))
    })
    .await;
    let here = "192.0.2.1:1";
    for name in ["ada", "bob"] {
        app.local_account(name).await;
        assert_eq!(password(&app, here, name, PASSWORD).await.status, 200);
    }
    app.local_account("new").await;
    for number in 0..100 {
        password(&app, here, &format!("name{number}"), "wrong").await;
    }
    // Whoever has not signed in from here before has to wait, and nobody else.
    password(&app, here, "new", PASSWORD)
        .await
        .problem(429, "too-many-requests");
    for name in ["ada", "bob", "ada"] {
        assert_eq!(password(&app, here, name, PASSWORD).await.status, 200);
    }
    let mut begin = request(Method::GET, "/api/auth/login?provider=there")
        .body(axum::body::Body::empty())
        .unwrap();
    let peer: SocketAddr = here.parse().unwrap();
    begin.extensions_mut().insert(ConnectInfo(peer));
    assert_eq!(app.send(begin).await.status, 303);
    // A name that is known here is no way to guess without end, and its guesses are not the others'.
    for guess in 0..20 {
        let answer = password(&app, here, "ada", "wrong").await;
        assert_eq!(answer.status, if guess < 5 { 401 } else { 429 });
    }
    assert_eq!(password(&app, here, "bob", PASSWORD).await.status, 200);
}

/// Who sits in the same office and knows a name keeps nobody out of a browser in which they have signed in before.
#[tokio::test]
async fn a26_exhaustion_guesses_of_a_colleague_do_not_count_in_an_owners_browser() {
    let app = App::new().await;
    let here = "192.0.2.1:1";
    for name in ["ada", "bob"] {
        app.local_account(name).await;
    }
    let browser_of = |answer: &Answer| {
        let cookies = answer.headers.get_all(header::SET_COOKIE);
        cookies
            .iter()
            .filter_map(|cookie| cookie.to_str().unwrap().split(';').next())
            .find(|pair| pair.starts_with("__Host-oct-browser="))
            .map(str::to_owned)
    };
    let first = password(&app, here, "ada", PASSWORD).await;
    let hers = browser_of(&first).expect("a browser that is new");
    let wrong = password(&app, here, "bob", "wrong").await;
    assert_eq!(browser_of(&wrong), None, "of a sign-in alone");
    let his = browser_of(&password(&app, here, "bob", PASSWORD).await).expect("another");
    for _ in 0..20 {
        password_in(&app, &his, here, "ada", "wrong").await;
    }
    password(&app, here, "ada", PASSWORD)
        .await
        .problem(429, "too-many-requests");
    // Wherever she takes it.
    for from in [here, "203.0.113.1:1"] {
        let again = password_in(&app, &hers, from, "ada", PASSWORD).await;
        assert_eq!(again.status, 200);
        assert_eq!(browser_of(&again), None, "it has one");
    }
    // One that is stolen is no way to guess without end, and none to another name.
    for guess in 0..20 {
        let answer = password_in(&app, &hers, here, "ada", "wrong").await;
        assert_eq!(answer.status, if guess < 5 { 401 } else { 429 });
    }
    let made_up = format!("__Host-oct-browser={}", "a".repeat(43));
    for cookie in [&his, &made_up] {
        password_in(&app, cookie, here, "ada", PASSWORD)
            .await
            .problem(429, "too-many-requests");
    }
}

#[tokio::test]
async fn a26_exhaustion_many_names_from_one_address_are_rationed() {
    let app = App::new().await;
    let mut refused = 0;
    for number in 0..40 {
        let answer = password(&app, "192.0.2.1:1", &format!("name{number}"), "wrong").await;
        refused += usize::from(answer.status == 429);
    }
    assert_eq!(refused, 10, "30 at once");
}

#[tokio::test]
async fn a26_exhaustion_creates_and_tokens_are_rationed_by_account() {
    let app = App::new().await;
    let (ada, bob) = (app.account("ada").await, app.account("bob").await);
    let program = app.program(&ada).await;
    let mut made = Vec::new();
    for _ in 0..45 {
        made.push(program.post("/api/tenants", "{}").await.status.as_u16());
    }
    assert_eq!((made[0], made[1], made[39], made[40]), (202, 409, 409, 429));
    assert_eq!(
        app.program(&bob)
            .await
            .post("/api/tenants", "{}")
            .await
            .status,
        202
    );

    let browser = app.browser(&ada).await;
    let mut issued = Vec::new();
    for _ in 0..12 {
        let request = browser
            .write(Method::POST, "/api/auth/token")
            .body(String::new().into());
        issued.push(app.send(request.unwrap()).await.status.as_u16());
    }
    assert_eq!((issued[0], issued[9], issued[10]), (200, 200, 429));
}

#[tokio::test]
async fn a26_exhaustion_guessed_bearers_and_floods_are_rationed() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let mut guesses = Vec::new();
    for _ in 0..70 {
        let request =
            request(Method::GET, "/api/auth/me").header(header::AUTHORIZATION, "Bearer x");
        guesses.push(
            app.send(request.body(String::new().into()).unwrap())
                .await
                .status
                .as_u16(),
        );
    }
    assert_eq!((guesses[59], guesses[60]), (401, 429));
    // Who has a good one is served on, from the same address too.
    assert_eq!(program.get("/api/auth/me").await.status, 200);
    let mut seen = Vec::new();
    for _ in 0..210 {
        seen.push(program.get("/api/auth/me").await.status.as_u16());
    }
    assert_eq!((seen[198], seen[209]), (200, 429));
}

/// Whoever has a bearer of somebody's and floods by it cannot keep them from signing out everywhere.
#[tokio::test]
async fn a26_exhaustion_a_flood_does_not_keep_anybody_from_signing_out() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let (stolen, browser) = (app.program(&ada).await, app.browser(&ada).await);
    while stolen.get("/api/auth/me").await.status != 429 {}
    // Not by bad sign-outs either.
    for _ in 0..50 {
        let refused = stolen.post("/api/auth/logout", r#"{"nobody":true}"#).await;
        assert_eq!(refused.status, 422);
    }
    let everywhere = browser
        .write(Method::POST, "/api/auth/logout")
        .body(r#"{"everywhere":true}"#.to_owned().into());
    assert_eq!(app.send(everywhere.unwrap()).await.status, 204);
    assert_eq!(stolen.get("/api/auth/me").await.status, 401);
}

/// Inventing cookies and claims costs us a read each, and so they are bounded; whoever has good ones notices nothing.
#[tokio::test]
async fn a26_exhaustion_invented_cookies_and_claims_are_rationed() {
    let app = App::new().await;
    app.local_account("ada").await;
    let ada = app.account("ada").await;
    let browser = app.browser(&ada).await;
    let invented = |number: usize| crate::support::Browser {
        cookie: format!("__Host-oct-session={number:043}"),
        csrf: String::new(),
    };
    assert_eq!(app.send(browser.open("/api/auth/me")).await.status, 200);
    // Old cookies of two hundred people come from one address at once.
    for number in 0..200 {
        let answer = app.send(invented(number).open("/api/auth/me")).await;
        assert_eq!(answer.status, 401, "{number}");
    }
    let refused = app.send(invented(200).open("/api/auth/me")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (429, "1")
    );
    assert_eq!(app.send(browser.open("/api/auth/me")).await.status, 200);
    // A person whose cookie is old can sign in anew, and is signed in.
    assert_eq!(
        app.send(invented(201).open("/")).await.header("location"),
        "/login"
    );
    assert_eq!(app.send(invented(201).open("/login")).await.status, 200);
    let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    let post = request(Method::POST, "/api/auth/password")
        .header(header::COOKIE, invented(201).cookie)
        .header(header::CONTENT_TYPE, "application/json");
    let signed_in = app.send(post.body(body.into()).unwrap()).await;
    assert_eq!(signed_in.status, 200);
    let cookie = signed_in.cookie("__Host-oct-session").unwrap();
    let fresh = crate::support::Browser {
        cookie: format!("__Host-oct-session={cookie}"),
        csrf: String::new(),
    };
    assert_eq!(app.send(fresh.open("/api/auth/me")).await.status, 200);
    // A cookie that has ended is one of the invented from then on.
    app.access
        .revoke_grants(GrantKind::Session, ada.id)
        .await
        .unwrap();
    assert_eq!(app.send(browser.open("/api/auth/me")).await.status, 401);
    assert_eq!(app.send(browser.open("/api/auth/me")).await.status, 429);

    for number in 0..200 {
        let answer = app.get(&format!("/claim?code={number:043}")).await;
        assert_ne!(answer.status, 429, "{number}");
    }
    assert_eq!(app.get("/claim?code=another").await.status, 429);
    app.clock.advance(Duration::from_millis(50));
    assert_ne!(app.get("/claim?code=another").await.status, 429);
}

#[tokio::test]
async fn a26_exhaustion_sign_ins_begun_are_bounded() {
    let app = App::with(|parts, builder| {
        let provider = crate::sign_in::Redirecting::new(&parts.access, &parts.clock);
        builder.provider("there", "There", std::sync::Arc::new(provider))
    })
    .await;
    let mut begun = Vec::new();
    for _ in 0..35 {
        begun.push(
            app.get("/api/auth/login?provider=there")
                .await
                .status
                .as_u16(),
        );
    }
    assert_eq!((begun[29], begun[30]), (303, 429));
}

#[tokio::test]
async fn a26_exhaustion_bodies_are_read_to_64_kib() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let just = format!(r#"{{"plan":"{}"}}"#, "x".repeat(64 * 1024 - 11));
    assert_eq!(just.len(), 64 * 1024);
    program
        .post("/api/tenants", &just)
        .await
        .problem(422, "invalid-fields");
    let problem = program
        .post("/api/tenants", &format!("{just} "))
        .await
        .problem(413, "body-too-large");
    assert_eq!(problem["detail"], "At most 65536 bytes are read.");
    // Announced and not sent, and sent without being announced.
    let announced = program
        .request(Method::POST, "/api/tenants")
        .header(header::CONTENT_LENGTH, "99999999999");
    app.send(announced.body(String::new().into()).unwrap())
        .await
        .problem(413, "body-too-large");
    let chunks = futures::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; 4096]))
    });
    let endless = program
        .request(Method::POST, "/api/tenants")
        .header(header::CONTENT_TYPE, "application/json");
    let endless = endless.body(axum::body::Body::from_stream(chunks)).unwrap();
    app.send(endless).await.problem(413, "body-too-large");
    assert_eq!(app.tenants().await, 0);
}
