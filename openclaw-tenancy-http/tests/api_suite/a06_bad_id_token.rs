//! A6: the OpenID Foundation's relying-party modules (safety.md §5) at our callback: the status that a browser gets,
//! and whether a session exists. Why each is refused is in `tests/oidc/relying_party.rs`.

use http::StatusCode;
use serde_json::{Value, json};
use test_support::provider::keys::SigningKey;
use test_support::provider::{Endpoint, Provider, SUBJECT, Signature, remove, set};

use crate::sign_in::{CALLBACK, call_back, me, sessions, to_provider_and_back, with_provider};

fn claim(provider: &Provider, name: &'static str, value: Value) {
    provider.bend(|bends| bends.claims = set(name, value));
}

fn signed(provider: &Provider, signature: Signature) {
    provider.bend(|bends| bends.signature = signature);
}

fn without_kid() -> SigningKey {
    SigningKey::rs256("").without_kid()
}

/// What a module does to the provider.
type Bend = fn(&Provider);

/// The modules whose token or answer is bad, in each of its forms.
const BAD: &[(&str, Bend)] = &[
    ("oidcc-client-test-invalid-iss", |provider| {
        claim(provider, "iss", json!("https://evil.example"));
    }),
    ("oidcc-client-test-invalid-iss: a slash more", |provider| {
        claim(provider, "iss", json!(format!("{}/", provider.issuer())));
    }),
    ("oidcc-client-test-missing-sub", |provider| {
        provider.bend(|bends| bends.claims = remove("sub"));
    }),
    ("oidcc-client-test-invalid-aud", |provider| {
        claim(provider, "aud", json!("other"));
    }),
    ("oidcc-client-test-invalid-aud: none", |provider| {
        claim(provider, "aud", json!([]));
    }),
    ("oidcc-client-test-missing-iat", |provider| {
        provider.bend(|bends| bends.claims = remove("iat"));
    }),
    ("oidcc-client-test-kid-absent-multiple-jwks", |provider| {
        provider.publish(vec![without_kid(), without_kid()]);
    }),
    ("oidcc-client-test-idtoken-sig-none", |provider| {
        signed(provider, Signature::None);
    }),
    (
        "oidcc-client-test-idtoken-sig-none, in discovery",
        |provider| {
            let listed = json!(["none", "RS256"]);
            provider.bend(|bends| {
                bends.discovery = set("id_token_signing_alg_values_supported", listed);
                bends.signature = Signature::None;
            });
        },
    ),
    ("oidcc-client-test-invalid-sig-rs256", |provider| {
        signed(provider, Signature::Broken);
    }),
    (
        "oidcc-client-test-invalid-sig-rs256: a stranger's",
        |provider| {
            signed(provider, Signature::Stranger);
        },
    ),
    ("oidcc-client-test-invalid-sig-rs256: HS256", |provider| {
        signed(provider, Signature::HmacOfPublicKey);
    }),
    ("oidcc-client-test-userinfo-invalid-sub", |provider| {
        provider.bend(|bends| bends.userinfo = set("sub", json!("somebody else")));
    }),
    ("oidcc-client-test-nonce-invalid", |provider| {
        claim(provider, "nonce", json!("another"));
    }),
    ("oidcc-client-test-nonce-invalid: none", |provider| {
        provider.bend(|bends| bends.claims = remove("nonce"));
    }),
    ("expired", |provider| claim(provider, "exp", json!(1))),
    ("not yet", |provider| {
        claim(provider, "nbf", json!(4_000_000_000_u64))
    }),
    ("azp", |provider| claim(provider, "azp", json!("other"))),
    ("at_hash", |provider| {
        claim(provider, "at_hash", json!("AAAA"))
    }),
];

/// The modules in which nothing is wrong.
const GOOD: &[(&str, Bend)] = &[
    ("oidcc-client-test", |_| ()),
    ("oidcc-client-test-idtoken-sig-rs256", |provider| {
        assert_eq!(provider.key().alg(), "RS256");
    }),
    ("oidcc-client-test-kid-absent-single-jwks", |provider| {
        provider.publish(vec![without_kid()]);
    }),
    ("oidcc-client-test-signing-key-rotation", Provider::rotate),
];

#[tokio::test]
async fn a06_bad_id_token_is_400_and_no_session() {
    for (module, bend) in BAD {
        let (app, provider) = with_provider().await;
        bend(&provider);
        let (query, cookie) = to_provider_and_back(&app, &provider, "/instance").await;
        // A second try with what the first one has used up is no better.
        for _ in 0..2 {
            let answer = call_back(&app, CALLBACK, &query, &cookie).await;
            assert_eq!(
                answer.status,
                StatusCode::BAD_REQUEST,
                "{module}: {}",
                answer.body
            );
            let problem = answer.problem(400, "sign-in-refused");
            assert!(
                !problem["detail"].to_string().contains("evil.example"),
                "{module}"
            );
            assert_eq!(answer.cookie("__Host-oct-session"), None, "{module}");
            assert_eq!(answer.header("location"), "", "{module}");
        }
        assert_eq!(
            sessions(&app).await,
            0,
            "{module}: no session and no login state"
        );
        // It was the token: the same provider, straight, signs in.
        provider.straighten();
        provider.rotate();
        let (query, cookie) = to_provider_and_back(&app, &provider, "/instance").await;
        let answer = call_back(&app, CALLBACK, &query, &cookie).await;
        assert_eq!(
            answer.status,
            StatusCode::SEE_OTHER,
            "{module}: {}",
            answer.body
        );
        assert_eq!(sessions(&app).await, 1, "{module}");
    }
}

#[tokio::test]
async fn a06_a_good_id_token_is_one_session() {
    for (module, bend) in GOOD {
        let (app, provider) = with_provider().await;
        bend(&provider);
        let (query, cookie) = to_provider_and_back(&app, &provider, "/instance").await;
        // Also when the key changes just before it signs.
        if module.ends_with("rotation") {
            provider.rotate();
        }
        let answer = call_back(&app, CALLBACK, &query, &cookie).await;
        assert_eq!(
            answer.status,
            StatusCode::SEE_OTHER,
            "{module}: {}",
            answer.body
        );
        let session = answer.cookie("__Host-oct-session").unwrap();
        let me = me(&app, &session).await.json();
        assert_eq!(me["account"]["issuer"], provider.issuer(), "{module}");
        assert_eq!(me["account"]["subject"], SUBJECT, "{module}");
        assert_eq!(provider.count(Endpoint::Elsewhere), 0, "{module}");
        let request = provider.last_token_request().unwrap();
        assert!(
            request.authorization.unwrap().starts_with("Basic "),
            "client-secret-basic"
        );
        assert_eq!(sessions(&app).await, 1, "{module}");
    }
}

/// `oidcc-client-test-discovery-issuer-mismatch`: nobody is sent to a provider that says it is another one.
#[tokio::test]
async fn a06_discovery_issuer_mismatch_sends_nobody_there() {
    let (app, provider) = with_provider().await;
    for stated in ["https://evil.example", ""] {
        provider.bend(|bends| bends.discovery = set("issuer", json!(stated)));
        let answer = app.get("/api/auth/login?provider=idp").await;
        assert!(answer.status.is_server_error(), "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.cookie("__Host-oct-session"), None);
        assert_eq!(answer.header("location"), "");
        assert!(!answer.body.contains("evil.example"), "{}", answer.body);
    }
    assert_eq!(provider.count(Endpoint::Authorize), 0);
    assert_eq!(sessions(&app).await, 0);
}
