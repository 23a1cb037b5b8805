//! The OpenID Foundation's relying-party tests for the code flow, by their names
//! (conformance suite, plans `oidcc-client-basic-certification-test-plan` and `…-config-…`).
//!
//! Where a module leaves a choice, the stricter one is asserted. Every refusal also asserts that no identity,
//! no session and no login state is left.

use std::collections::BTreeMap;

use openclaw_tenancy::identity::LoggedIn;
use serde_json::json;
use test_support::provider::keys::SigningKey;
use test_support::provider::{Endpoint, SUBJECT, Signature, remove, set};

use crate::support::World;

fn is_ann(logged_in: &LoggedIn, world: &World) {
    assert_eq!(logged_in.identity.who.issuer, world.provider.issuer());
    assert_eq!(logged_in.identity.who.subject, SUBJECT);
}

#[tokio::test]
async fn oidcc_client_test() {
    let world = World::new().await;
    let logged_in = world.login().await.unwrap();
    is_ann(&logged_in, &world);
    assert_eq!(logged_in.return_to.as_deref(), Some("/instances"));
    assert_eq!(world.grants().await, 0, "the login state was used up");
}

#[tokio::test]
async fn oidcc_client_test_invalid_iss() {
    let world = World::new().await;
    for iss in ["https://evil.example", "", "HTTP://127.0.0.1"] {
        world
            .provider
            .bend(|bends| bends.claims = set("iss", json!(iss)));
        assert_eq!(world.refused().await, "the token is from another issuer");
    }
    let slash = format!("{}/", world.provider.issuer());
    world
        .provider
        .bend(|bends| bends.claims = set("iss", json!(slash)));
    assert_eq!(world.refused().await, "the token is from another issuer");
}

#[tokio::test]
async fn oidcc_client_test_missing_sub() {
    let world = World::new().await;
    world.provider.bend(|bends| bends.claims = remove("sub"));
    assert_eq!(world.refused().await, "the token has no usable subject");
}

#[tokio::test]
async fn oidcc_client_test_invalid_aud() {
    let world = World::new().await;
    for aud in [json!("other"), json!(["other"]), json!([])] {
        world.provider.bend(|bends| bends.claims = set("aud", aud));
        assert_eq!(world.refused().await, "the token is for another audience");
    }
}

#[tokio::test]
async fn oidcc_client_test_missing_iat() {
    let world = World::new().await;
    world.provider.bend(|bends| bends.claims = remove("iat"));
    assert_eq!(
        world.refused().await,
        "the token has no issue time or one in the future"
    );
}

/// The one key of the set that fits is used.
#[tokio::test]
async fn oidcc_client_test_kid_absent_single_jwks() {
    let world = World::new().await;
    world
        .provider
        .publish(vec![SigningKey::rs256("").without_kid()]);
    is_ann(&world.login().await.unwrap(), &world);
    // Keys for other algorithms beside it leave no doubt either.
    world.provider.publish(vec![
        SigningKey::rs256("").without_kid(),
        SigningKey::es256("ec"),
        SigningKey::ps256("pss"),
    ]);
    is_ann(&world.login().await.unwrap(), &world);
}

/// Several keys fit: trying them all is allowed, refusing is safer.
#[tokio::test]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    let world = World::new().await;
    let keys = vec![
        SigningKey::rs256("").without_kid(),
        SigningKey::rs256("").without_kid(),
    ];
    world.provider.publish(keys);
    assert_eq!(
        world.refused().await,
        "the token does not say which key signed it"
    );
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_rs256() {
    let world = World::new().await;
    assert_eq!(world.provider.key().alg(), "RS256");
    is_ann(&world.login().await.unwrap(), &world);
}

/// The module lets a client that asked for `none` accept it. We never ask.
#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    let world = World::new().await;
    world
        .provider
        .bend(|bends| bends.signature = Signature::None);
    assert_eq!(
        world.refused().await,
        "the token is not a signed JWT in compact form"
    );
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_rs256() {
    let world = World::new().await;
    for signature in [Signature::Broken, Signature::Stranger] {
        world.provider.bend(|bends| bends.signature = signature);
        assert_eq!(world.refused().await, "the token's signature is not valid");
    }
    world
        .provider
        .bend(|bends| bends.signature = Signature::HmacOfPublicKey);
    assert_eq!(
        world.refused().await,
        "the token's algorithm is not acceptable"
    );
}

#[tokio::test]
async fn oidcc_client_test_userinfo_invalid_sub() {
    let world = World::new().await;
    for sub in [
        json!("somebody else"),
        json!(""),
        json!(null),
        json!(248_289_761_001_u64),
    ] {
        world
            .provider
            .bend(|bends| bends.userinfo = set("sub", sub));
        assert_eq!(
            world.refused().await,
            "the UserInfo response is about somebody else"
        );
    }
    world.provider.bend(|bends| bends.userinfo = remove("sub"));
    assert_eq!(
        world.refused().await,
        "the UserInfo response is about somebody else"
    );
}

#[tokio::test]
async fn oidcc_client_test_nonce_invalid() {
    let world = World::new().await;
    world
        .provider
        .bend(|bends| bends.claims = set("nonce", json!("another")));
    assert_eq!(
        world.refused().await,
        "the token belongs to another sign-in"
    );
    world.provider.bend(|bends| bends.claims = remove("nonce"));
    assert_eq!(
        world.refused().await,
        "the token belongs to another sign-in"
    );
}

#[tokio::test]
async fn oidcc_client_test_scope_userinfo_claims() {
    let world = World::with(|config| config.scopes.push("groups".to_owned())).await;
    let identity = world.login().await.unwrap().identity;
    assert_eq!(world.provider.count(Endpoint::Userinfo), 1);
    assert_eq!(identity.email.as_deref(), Some("ann@example.com"));
    assert!(identity.email_verified);
    assert_eq!(identity.name.as_deref(), Some("Ann Example"));
    assert_eq!(identity.groups.iter().collect::<Vec<_>>(), ["staff"]);

    // What is not asked for is not told.
    let world = World::with(|config| config.scopes.clear()).await;
    let identity = world.login().await.unwrap().identity;
    assert_eq!((identity.email, identity.name), (None, None));
}

/// The provider decodes both halves, and its client's id and secret have every awkward character.
#[tokio::test]
async fn oidcc_client_test_client_secret_basic() {
    let world = World::new().await;
    is_ann(&world.login().await.unwrap(), &world);
    let request = world.provider.last_token_request().unwrap();
    assert!(request.authorization.unwrap().starts_with("Basic "));
    let names: Vec<&str> = request.form.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["code", "code_verifier", "grant_type", "redirect_uri"]
    );
}

#[tokio::test]
async fn oidcc_client_test_discovery_openid_config() {
    let world = World::new().await;
    let url: url::Url = world.begin().await.unwrap().parse().unwrap();
    assert_eq!(world.provider.count(Endpoint::Discovery), 1);
    assert_eq!(url.path(), "/authorize");
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(query["scope"], "openid email profile");
    assert_eq!(
        (&*query["response_type"], &*query["code_challenge_method"]),
        ("code", "S256")
    );
    for (name, least) in [("state", 43), ("nonce", 43), ("code_challenge", 43)] {
        assert_eq!(query[name].len(), least, "{name}");
    }
}

#[tokio::test]
async fn oidcc_client_test_discovery_issuer_mismatch() {
    let world = World::new().await;
    let issuer = world.provider.issuer().to_owned();
    for stated in [
        "https://evil.example".to_owned(),
        format!("{issuer}/"),
        String::new(),
    ] {
        world
            .provider
            .bend(|bends| bends.discovery = set("issuer", json!(stated)));
        let reason = world.unavailable().await;
        assert!(reason.contains("issuer is not"), "{reason}");
    }
    assert_eq!(world.provider.count(Endpoint::Authorize), 0);
}

/// The keys come from the `jwks_uri` of the discovery document and from nowhere else.
#[tokio::test]
async fn oidcc_client_test_discovery_jwks_uri_keys() {
    let world = World::new().await;
    is_ann(&world.login().await.unwrap(), &world);
    assert_eq!(world.provider.count(Endpoint::Jwks), 1);
    assert_eq!(world.provider.count(Endpoint::Elsewhere), 0);
}

/// The configuration plan's module of that name: the discovery document lists `none`.
#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none_in_discovery() {
    let world = World::new().await;
    world.provider.bend(|bends| {
        bends.discovery = set(
            "id_token_signing_alg_values_supported",
            json!(["none", "RS256"]),
        );
        bends.signature = Signature::None;
    });
    assert_eq!(
        world.refused().await,
        "the token is not a signed JWT in compact form"
    );
}

#[tokio::test]
async fn oidcc_client_test_signing_key_rotation() {
    let world = World::new().await;
    is_ann(&world.login().await.unwrap(), &world);
    world.provider.rotate();
    is_ann(&world.login().await.unwrap(), &world);
    assert_eq!(world.provider.count(Endpoint::Jwks), 2);
}

/// The key changes between our authorization request and the token response.
#[tokio::test]
async fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    let world = World::new().await;
    is_ann(&world.login().await.unwrap(), &world);
    let query = world.callback().await;
    world.provider.rotate();
    is_ann(&world.finish(&query).await.unwrap(), &world);
    assert_eq!(world.provider.count(Endpoint::Jwks), 2);
}
