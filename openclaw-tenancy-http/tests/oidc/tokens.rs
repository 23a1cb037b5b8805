//! A6 and A9: the wrong token in the right place.

use std::sync::Arc;

use openclaw_tenancy::clock::SystemEntropy;
use openclaw_tenancy::identity::{IdentityError, IdentityProvider as _};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy_http::identity::oidc::OidcProvider;
use secrecy::SecretString;
use serde_json::json;
use test_support::provider::{CLIENT_ID, remove, set};

use crate::support::{NOW, World, config, reason};

#[tokio::test]
async fn a06_bad_id_token_through_the_whole_flow() {
    for (change, why) in [
        (
            set("exp", json!(NOW - 3600)),
            "the token has no expiry or has expired",
        ),
        (remove("exp"), "the token has no expiry or has expired"),
        (set("nbf", json!(NOW + 3600)), "the token is not valid yet"),
        (
            set("aud", json!([CLIENT_ID, "other"])),
            "the token was issued to another client",
        ),
        (
            set("azp", json!("other")),
            "the token was issued to another client",
        ),
        (
            set("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
            "the token belongs to another access token",
        ),
        (
            set("sub", json!("x".repeat(256))),
            "the token has no usable subject",
        ),
    ] {
        let world = World::new().await;
        world.provider.bend(|bends| bends.claims = change);
        assert_eq!(world.refused().await, why);
    }
    let world = World::new().await;
    world.provider.bend(|bends| {
        bends.claims_text = Box::new(|text| text.replacen('{', r#"{"sub":"admin","#, 1));
    });
    assert_eq!(
        world.refused().await,
        "the token's claims are not acceptable"
    );
}

#[tokio::test]
async fn a09_token_confusion_bearers_of_a_provider() {
    let world = World::with(|config| config.bearer_audience = Some("the API".to_owned())).await;
    let key = world.provider.key();
    let bearer = |header: serde_json::Value, change: &dyn Fn(&mut serde_json::Value)| {
        let mut claims = world.provider.good_claims("unused");
        claims.as_object_mut().unwrap().remove("nonce");
        claims["aud"] = json!("the API");
        claims["groups"] = json!(["staff"]);
        change(&mut claims);
        SecretString::from(key.token(&header, &claims))
    };
    let relying_party = &world.relying_party;
    let verify = |token: SecretString| async move { relying_party.verify(&token).await };

    let identity = verify(bearer(json!({ "typ": "at+jwt" }), &|_| {}))
        .await
        .unwrap();
    assert_eq!(identity.groups.iter().collect::<Vec<_>>(), ["staff"]);
    for (token, why) in [
        (
            bearer(json!({}), &|claims| claims["aud"] = json!(CLIENT_ID)),
            "the token is for another audience",
        ),
        (
            bearer(json!({}), &|claims| claims["nonce"] = json!("n")),
            "an ID token is not a bearer token",
        ),
        (
            bearer(json!({}), &|claims| {
                claims["iss"] = json!("https://evil.example")
            }),
            "the token is from another issuer",
        ),
        (
            bearer(json!({}), &|claims| claims["exp"] = json!(NOW - 61)),
            "the token has no expiry or has expired",
        ),
        (
            bearer(json!({ "typ": "openclaw-api+jwt" }), &|_| {}),
            "the token is of another type",
        ),
        (
            SecretString::from("opaque"),
            "the token is not a signed JWT in compact form",
        ),
        (
            SecretString::from(""),
            "the token is not a signed JWT in compact form",
        ),
    ] {
        assert_eq!(reason(verify(token).await), why);
    }
}

#[tokio::test]
async fn a09_token_confusion_no_bearers_unless_configured_and_never_for_the_client_id() {
    let world = World::new().await;
    let token = SecretString::from("x");
    let refused = world.relying_party.verify(&token).await.unwrap_err();
    assert!(matches!(
        refused,
        IdentityError::Unsupported {
            what: "bearer tokens"
        }
    ));

    let mut config = config("https://id.example");
    config.bearer_audience = Some(CLIENT_ID.to_owned());
    let clock = Arc::new(world.clock.clone());
    let store = Arc::new(MemoryAccess::new());
    let error = OidcProvider::new(config, store, clock, Arc::new(SystemEntropy)).unwrap_err();
    assert!(error.to_string().contains("bearer_audience"), "{error}");
}
