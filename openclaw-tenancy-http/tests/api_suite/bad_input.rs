//! Bad input: each a clear 4xx problem that names the field and the fix, and nothing written.

use std::time::Duration;

use http::{Method, header};
use openclaw_tenancy::access::AccessStore as _;
use openclaw_tenancy::clock::{Clock as _, Timestamp};
use serde_json::{Value, json};

use crate::sign_in::with_provider;
use crate::support::{Answer, App, request};

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The problem, after checking that it names a field and a fix.
#[track_caller]
fn clear(answer: &Answer, status: u16, slug: &str, field: &str) -> Value {
    let problem = answer.problem(status, slug);
    assert_eq!(problem["field"], field, "{problem}");
    assert!(problem["fix"].as_str().unwrap().len() > 8, "{problem}");
    problem
}

#[tokio::test]
async fn bad_bodies_are_named_and_nothing_is_written() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let large = format!(r#"{{"plan":"{}"}}"#, "x".repeat(70_000));
    for (body, status, slug, field) in [
        (r#"{"plan":"gold"}"#, 422, "plan-unknown", "plan"),
        (r#"{"plan":""}"#, 422, "plan-unknown", "plan"),
        (r#"{"plan":"pro"}"#, 403, "plan-not-entitled", "plan"),
        (r#"{"plan":2}"#, 422, "invalid-fields", "plan"),
        (r#"{"email":"no address"}"#, 422, "invalid-fields", "email"),
        (r#"{"email":"a@b"}"#, 422, "invalid-fields", "email"),
        (
            r#"{"email":"a@b.example\r\nBcc: c@d.example"}"#,
            422,
            "invalid-fields",
            "email",
        ),
        (
            r#"{"email":["a@b.example"]}"#,
            422,
            "invalid-fields",
            "email",
        ),
        (r#"{"name":"Not A Label"}"#, 422, "invalid-fields", "name"),
        (r#"{"name":"api"}"#, 422, "invalid-fields", "name"),
        (
            r#"{"name":"xn--80ak6aa92e"}"#,
            422,
            "invalid-fields",
            "name",
        ),
        (
            r#"{"timezone":"../../etc/passwd"}"#,
            422,
            "invalid-fields",
            "timezone",
        ),
        (r#"{"plann":"free"}"#, 422, "invalid-fields", "plann"),
        (
            r#"{"plan":"free","plan":"basic"}"#,
            400,
            "invalid-body",
            "plan",
        ),
    ] {
        let problem = clear(
            &program.post("/api/tenants", body).await,
            status,
            slug,
            field,
        );
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{body}");
    }
    let oversized = program.post("/api/tenants", &large).await;
    clear(&oversized, 413, "body-too-large", "body");
    for body in ["[]", "{} x", "{\"plan\":\"\\u0000\"}"] {
        clear(
            &program.post("/api/tenants", body).await,
            400,
            "invalid-body",
            "body",
        );
    }
    assert_eq!(app.tenants().await, 0);
}

#[tokio::test]
async fn bad_tokens_are_named_and_nothing_is_written() {
    let (app, provider) = with_provider().await;
    let now = app.clock.now().as_seconds();
    let key = provider.key();
    let good = json!({
        "iss": provider.issuer(), "sub": "mallory", "aud": "urn:test:api", "iat": now, "exp": now + 300,
    });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        key.token(&json!({"typ": "at+jwt"}), &claims)
    };
    let token = with("jti", "1".into());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let part = |value: Value| base64url(value.to_string().as_bytes());
    let none = part(json!({"alg": "none", "typ": "at+jwt"}));
    // HS256 with the provider's public key as the secret.
    let hs256 = part(json!({"alg": "HS256", "typ": "at+jwt", "kid": "key-1"}));
    let forged = {
        use hmac::Mac as _;
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key.public_der()).unwrap();
        mac.update(format!("{hs256}.{payload}").as_bytes());
        format!(
            "{hs256}.{payload}.{}",
            base64url(&mac.finalize().into_bytes())
        )
    };
    let cases = [
        ("malformed", "not.a.jwt".to_owned()),
        ("one part", "x".to_owned()),
        ("padded", format!("{token}=")),
        ("four parts", format!("{token}.x")),
        ("wrong audience", with("aud", "somebody else".into())),
        ("no audience", with("aud", json!([]))),
        ("wrong issuer", with("iss", "https://evil.example".into())),
        ("expired", with("exp", (now - 61).into())),
        ("no expiry", with("exp", Value::Null)),
        ("not yet", with("nbf", (now + 3600).into())),
        ("alg none", format!("{none}.{payload}.")),
        ("alg none, signed", format!("{none}.{payload}.{signature}")),
        ("HS256 with the public key", forged),
        (
            "another signature",
            format!("{header}.{payload}.{}", base64url(&[7; 256])),
        ),
        (
            "another payload",
            format!("{header}.{}.{signature}", part(json!({"sub": "root"}))),
        ),
        (
            "a type of ours",
            key.token(&json!({"typ": "openclaw-api+jwt"}), &good),
        ),
        (
            "crit",
            key.token(&json!({"typ": "at+jwt", "crit": ["x"], "x": 1}), &good),
        ),
    ];
    for (what, token) in cases {
        for (method, path) in [
            (Method::GET, "/api/tenants/me"),
            (Method::POST, "/api/tenants"),
        ] {
            let request = request(method, path)
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .header(header::CONTENT_TYPE, "application/json");
            let answer = app
                .send(request.body("{}".to_owned().into()).unwrap())
                .await;
            let problem = clear(&answer, 401, "bearer-refused", "Authorization");
            assert_eq!(
                problem["fix"], "Get a new token, such as by POST /api/auth/token.",
                "{what}"
            );
        }
    }
    assert_eq!(app.tenants().await, 0);
    // Not even an account came of it; the good one makes one.
    let request = request(Method::GET, "/api/auth/me")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = app.send(request.body(String::new().into()).unwrap()).await;
    assert_eq!(
        answer.json()["account"]["subject"],
        "mallory",
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn bad_queries_headers_and_paths_are_named() {
    let app = App::new().await;
    let root = app.administrator("root").await;
    let program = app.program(&root).await;
    for (path, field) in [
        ("/api/tenants?limit=0", "limit"),
        ("/api/tenants?limit=201", "limit"),
        ("/api/tenants?limit=-1", "limit"),
        ("/api/tenants?limit=ten", "limit"),
        ("/api/tenants?limit=1&limit=2", "limit"),
        ("/api/tenants?after=x", "after"),
    ] {
        clear(&program.get(path).await, 400, "invalid-parameter", field);
    }
    for path in [
        "/api/hosts/nobody/cordon",
        "/api/hosts/%00/cordon",
        "/api/hosts/UPPER/uncordon",
        "/api/hosts/nobody/release",
        "/api/hosts/%00/release",
    ] {
        program.post(path, "").await.problem(404, "not-found");
    }
    for path in [
        "/api",
        "/api/",
        "/api/tenants/",
        "/api/tenants/me/",
        "/API/tenants/me",
        "//api/tenants/me",
        "/api/tenants/../hosts",
        "/api/tenants/me/sandboxes",
    ] {
        program.get(path).await.problem(404, "not-found");
    }
    for (method, path, allow) in [
        (Method::PUT, "/api/tenants/me", "GET,HEAD,DELETE"),
        (Method::DELETE, "/api/tenants", "POST,GET,HEAD"),
        (Method::OPTIONS, "/api/tenants", "POST,GET,HEAD"),
        (Method::GET, "/api/auth/logout", "POST"),
    ] {
        let request = program
            .request(method, path)
            .body(String::new().into())
            .unwrap();
        let answer = app.send(request).await;
        answer.problem(405, "method-not-allowed");
        let mut allowed: Vec<_> = answer.header("allow").split(',').collect();
        let mut expected: Vec<_> = allow.split(',').collect();
        allowed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(allowed, expected, "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "",
            "no other origin reads us"
        );
    }
}

#[tokio::test]
async fn what_was_refused_left_no_grant() {
    let app = App::new().await;
    app.local_account("ada").await;
    for body in [
        r#"{"username":"ada","password":"wrong"}"#,
        r#"{"username":"ada"}"#,
        r#"{"password":"x"}"#,
        r#"{"username":"ada","password":null}"#,
        r#"{"username":"ada","password":"x","remember":true}"#,
        "{}",
    ] {
        for path in ["/api/auth/password", "/api/auth/token"] {
            app.clock.advance(Duration::from_secs(60));
            let post = request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
            let answer = app.send(post.body(body.to_owned().into()).unwrap()).await;
            assert!(
                matches!(answer.status.as_u16(), 401 | 422),
                "{path} {body}: {}",
                answer.body
            );
            assert_eq!(answer.cookie("__Host-oct-session"), None);
        }
    }
    let left = app
        .access
        .sweep_grants(Timestamp::from_millis(i64::MAX), u32::MAX)
        .await
        .unwrap();
    assert_eq!(left, 0);
}
