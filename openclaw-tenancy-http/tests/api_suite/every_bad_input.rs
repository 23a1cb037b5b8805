//! The table of bad input: each is a 4xx problem that names its place, what is wrong and the fix, in both languages,
//! and leaves the stores as they were.

use axum::body::Body;
use http::{Method, Request, header};
use openclaw_tenancy::clock::Clock as _;
use serde_json::{Value, json};
use test_support::provider::Provider;
use test_support::provider::keys::{compact, hs256};

use crate::sign_in::{CALLBACK, call_back, to_provider_and_back, with_provider};
use crate::support::{App, Program, request};

/// What an answer has to be.
struct Case {
    what: &'static str,
    status: u16,
    slug: &'static str,
    field: &'static str,
    detail: &'static str,
    fix: &'static str,
}

/// A request made anew for each language.
type Make<'a> = Box<dyn Fn() -> Request<Body> + 'a>;

fn create<'a>(program: &'a Program<'_>, body: &'a str) -> Make<'a> {
    Box::new(move || {
        program
            .request(Method::POST, "/api/tenants")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_owned().into())
            .unwrap()
    })
}

/// A create with this bearer.
fn bearer<'a>(token: String) -> Make<'a> {
    Box::new(move || {
        request(Method::POST, "/api/tenants")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body("{}".to_owned().into())
            .unwrap()
    })
}

/// Everything that the stores hold.
async fn held(app: &App) -> String {
    let tenants = app.tenancy.store().list(None, 1000).await.unwrap();
    format!("{tenants:?} {:?}", app.access)
}

fn tokens(app: &App, provider: &Provider) -> [(Case, Make<'static>); 5] {
    let (now, key) = (app.clock.now().as_seconds(), provider.key());
    let with = |name: &str, value: Value| {
        let mut claims = json!({
            "iss": provider.issuer(), "sub": "mallory", "aud": "urn:test:api", "iat": now, "exp": now + 300,
        });
        claims[name] = value;
        claims
    };
    let good = with("jti", json!("1"));
    let signed = |claims: &Value| key.token(&json!({ "typ": "at+jwt" }), claims);
    let headed = |alg: &str| {
        let head = json!({ "alg": alg, "typ": "at+jwt", "kid": "key-1" });
        compact(&head.to_string(), &good.to_string())
    };
    let case = |what, detail| Case {
        what,
        status: 401,
        slug: "bearer-refused",
        field: "Authorization",
        detail,
        fix: "Get a new token, such as by POST /api/auth/token.",
    };
    let unsigned = "The token is not a signed JWT in compact form.";
    let algorithm = "The token's algorithm is not acceptable.";
    [
        (
            case("a malformed JWT", unsigned),
            bearer("not.a.jwt".to_owned()),
        ),
        (
            case("a wrong audience", "The token is for another audience."),
            bearer(signed(&with("aud", json!("somebody else")))),
        ),
        (
            case(
                "an expired token",
                "The token has no expiry or has expired.",
            ),
            bearer(signed(&with("exp", json!(now - 3600)))),
        ),
        (
            case("alg none", unsigned),
            bearer(format!("{}.", headed("none"))),
        ),
        (
            case("HS256 with the public key", algorithm),
            bearer(hs256(&headed("HS256"), &key.public_der())),
        ),
    ]
}

#[tokio::test]
async fn every_bad_input_names_its_place_and_the_fix_and_writes_nothing() {
    let (app, provider) = with_provider().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
    let first = call_back(&app, CALLBACK, &query, &cookie).await;
    assert_eq!(first.status, 303, "{}", first.body);
    let large = format!(r#"{{"plan":"{}"}}"#, "x".repeat(70_000));

    let case = |what, status, slug, field, detail, fix| Case {
        what,
        status,
        slug,
        field,
        detail,
        fix,
    };
    let mut table = vec![
        (
            case(
                "a wrong plan",
                422,
                "plan-unknown",
                "plan",
                "There is no plan `gold`.",
                "The plans are: free, basic, pro, enterprise.",
            ),
            create(&program, r#"{"plan":"gold"}"#),
        ),
        (
            case(
                "a bad e-mail",
                422,
                "invalid-fields",
                "email",
                "`email` is not valid.",
                "An address such as name@example.org, at most 254 bytes.",
            ),
            create(&program, r#"{"email":"no address"}"#),
        ),
        (
            case(
                "an unknown field",
                422,
                "invalid-fields",
                "plann",
                "There is no field `plann`.",
                "Did you mean `plan`?",
            ),
            create(&program, r#"{"plann":"free"}"#),
        ),
        (
            case(
                "a duplicate key",
                400,
                "invalid-body",
                "plan",
                "The key `plan` stands twice in one object.",
                r#"Send one JSON object in UTF-8, each key once, such as {"plan": "basic"}."#,
            ),
            create(&program, r#"{"plan":"free","plan":"free"}"#),
        ),
        (
            case(
                "an oversized body",
                413,
                "body-too-large",
                "body",
                "At most 65536 bytes are read.",
                "Send at most 65536 bytes.",
            ),
            create(&program, &large),
        ),
        (
            case(
                "a reused state",
                400,
                "sign-in-refused",
                "state",
                "The sign-in is unknown, already used or older than ten minutes.",
                "Begin the sign-in again.",
            ),
            Box::new(|| {
                request(Method::GET, &format!("{CALLBACK}?{query}"))
                    .header(header::COOKIE, &cookie)
                    .body(Body::empty())
                    .unwrap()
            }),
        ),
        (
            case(
                "a foreign host name",
                421,
                "foreign-host",
                "Host",
                "This server does not answer for the host `evil.example`.",
                "Use the address in `server.public_url`, or, if the name is this server's, add it to the setting \
                 `server.host_names`.",
            ),
            Box::new(|| {
                let mut foreign = create(&program, "{}")();
                let evil = header::HeaderValue::from_static("evil.example");
                foreign.headers_mut().insert(header::HOST, evil);
                foreign
            }),
        ),
    ];
    table.extend(tokens(&app, &provider));
    assert_eq!(table.len(), 12);

    let before = held(&app).await;
    for (case, make) in table {
        let what = case.what;
        let problem = app.send(make()).await.problem(case.status, case.slug);
        assert!((400..500).contains(&case.status), "{what}");
        let told = ["field", "detail", "fix"].map(|name| problem[name].as_str());
        let wanted = [case.field, case.detail, case.fix].map(Some);
        assert_eq!(told, wanted, "{what}: {problem}");

        let mut chinese = make();
        let language = header::HeaderValue::from_static("zh-CN");
        chinese
            .headers_mut()
            .insert(header::ACCEPT_LANGUAGE, language);
        let problem = app.send(chinese).await.problem(case.status, case.slug);
        assert_eq!(problem["field"], case.field, "{what}: {problem}");
        for name in ["title", "detail", "fix"] {
            let text = problem[name].as_str().unwrap();
            assert!(!text.is_ascii(), "{what}: {name}: {text}");
        }
        assert_eq!(held(&app).await, before, "{what}: nothing is written");
    }
    // The stores do show what is written: the same request, put right.
    assert_eq!(
        app.send(create(&program, r#"{"plan":"free"}"#)())
            .await
            .status,
        202
    );
    assert_ne!(held(&app).await, before);
}
