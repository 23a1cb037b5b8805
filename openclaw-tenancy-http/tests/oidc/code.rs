//! A2: the code, PKCE, and the token request that redeems it.

use std::time::Duration;

use openclaw_tenancy::access::{AccessStore as _, GrantKind, SecretHash};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::identity::{IdentityError, IdentityProvider as _, LoginAnswer};
use openclaw_tenancy_http::identity::oidc::ClientCredential;
use serde_json::json;
use test_support::provider::{CLIENT_SECRET, Endpoint, Fault, remove, set};

use crate::support::{BROWSER, NOW, World, parameter, reason, with};

/// Nothing that the store holds, and nothing in the callback's URL, is enough to make nonce or verifier.
#[tokio::test]
async fn a02_code_injection_the_store_keeps_no_secret() {
    let world = World::new().await;
    let url: url::Url = world.begin().await.unwrap().parse().unwrap();
    let query = url.query().unwrap();
    let state = SecretHash::of(&parameter(query, "state"));
    let now = Timestamp::from_seconds(NOW);
    let grant = world
        .store
        .grant(GrantKind::LoginState, state, now)
        .await
        .unwrap()
        .unwrap();
    for secret in [
        &parameter(query, "state"),
        &parameter(query, "nonce"),
        &parameter(query, "code_challenge"),
        BROWSER,
    ] {
        assert!(!grant.data.contains(secret), "{}", grant.data);
    }
    assert_eq!(
        grant.expires_at.since(grant.created_at),
        Duration::from_secs(600)
    );
}

/// The attacker's code in the victim's own callback: PKCE and the nonce belong to the victim's sign-in.
#[tokio::test]
async fn a02_code_injection_a_code_of_another_sign_in_is_refused() {
    let world = World::new().await;
    let stolen = parameter(&world.callback().await, "code");
    let query = with(&world.callback().await, "code", &stolen);
    assert_eq!(
        reason(world.finish(&query).await),
        "the provider refused the code"
    );
    // A provider that ignores the verifier: the nonce refuses it.
    let world = World::new().await;
    world
        .provider
        .bend(|bends| bends.claims = set("nonce", json!("of another sign-in")));
    assert_eq!(
        world.refused().await,
        "the token belongs to another sign-in"
    );
}

#[tokio::test]
async fn a02_pkce_is_refused_where_the_provider_lists_others_only() {
    let world = World::new().await;
    for methods in [json!(["plain"]), json!([]), json!("S256"), json!(null)] {
        let listed = methods.clone();
        world
            .provider
            .bend(|bends| bends.discovery = set("code_challenge_methods_supported", methods));
        let reason = world.unavailable().await;
        let wanted = "`code_challenge_methods_supported` in discovery lacks `S256`";
        assert_eq!(reason, wanted, "{listed}");
    }
    // One that says nothing is sent the challenge all the same.
    let world = World::new().await;
    world
        .provider
        .bend(|bends| bends.discovery = remove("code_challenge_methods_supported"));
    world.login().await.unwrap();
    let request = world.provider.last_token_request().unwrap();
    assert_eq!(request.form["code_verifier"].len(), 43);
}

#[tokio::test]
async fn token_responses_that_cannot_be_used() {
    for (name, value) in [
        ("token_type", json!("mac")),
        ("token_type", json!(null)),
        ("id_token", json!(null)),
        ("id_token", json!(["x"])),
        ("access_token", json!(7)),
    ] {
        let world = World::new().await;
        world
            .provider
            .bend(|bends| bends.token_response = set(name, value));
        let reason = world.unavailable().await;
        assert!(reason.contains(name), "{reason}");
    }
    let world = World::new().await;
    world
        .provider
        .bend(|bends| bends.token_response = set("id_token", json!("a.b.c")));
    assert_eq!(
        world.refused().await,
        "the token is not a signed JWT in compact form"
    );
    for (status, body, told) in [
        (
            400,
            r#"{"error":"invalid_request"}"#,
            "status 400 instead of 200",
        ),
        (503, "down", "status 503 instead of 200"),
        (201, "{}", "status 201 instead of 200"),
    ] {
        let world = World::new().await;
        world
            .provider
            .fault(Endpoint::Token, Fault::Status(status, body));
        let reason = world.unavailable().await;
        assert!(reason.contains(told), "{reason}");
    }
}

/// A provider that refuses us, and not the person: whoever operates the server is told which setting to change.
#[tokio::test]
async fn a_provider_that_refuses_our_credentials_names_the_setting() {
    let encoded = "some providers read it as it stands";
    let basic = [
        r#"client_auth is "basic", and it lists client_secret_basic, client_secret_post"#,
        r#"set client_auth to "post" (client_secret_post), as the client is registered there"#,
        "correct client_id and client_secret",
        encoded,
    ];
    for (status, body, answer) in [
        (
            401,
            r#"{"error":"invalid_client"}"#,
            "answered invalid_client",
        ),
        (
            400,
            r#"{"error":"invalid_client"}"#,
            "answered invalid_client",
        ),
        (401, "go away", "answered 401"),
    ] {
        let world = World::new().await;
        world
            .provider
            .fault(Endpoint::Token, Fault::Status(status, body));
        let what = world.misconfigured().await;
        for told in basic.iter().chain([&answer, &world.provider.issuer()]) {
            assert!(what.contains(told), "{told}: {what}");
        }
        assert!(!what.contains(CLIENT_SECRET), "{what}");
    }
    // In a form everything is encoded, and every provider decodes it.
    let world = World::with(|config| {
        config.credential = ClientCredential::Post(CLIENT_SECRET.into());
    })
    .await;
    let body = r#"{"error":"invalid_client"}"#;
    world
        .provider
        .fault(Endpoint::Token, Fault::Status(401, body));
    let what = world.misconfigured().await;
    assert!(!what.contains(encoded), "{what}");

    let world = World::new().await;
    let body = r#"{"error":"unauthorized_client"}"#;
    world
        .provider
        .fault(Endpoint::Token, Fault::Status(400, body));
    let what = world.misconfigured().await;
    assert!(what.contains("grant type authorization_code"), "{what}");
    // Straightened, it works again: nothing of it is remembered.
    world.provider.straighten();
    world.login().await.unwrap();
}

/// The provider's own description can rule our way out before anybody is sent there, as often as it is tried.
#[tokio::test]
async fn a_provider_that_does_not_list_our_way_to_authenticate_names_the_setting() {
    for (listed, told) in [
        (
            json!(["client_secret_post"]),
            "set client_auth to \"post\" (client_secret_post), as",
        ),
        (
            json!(["none", "x\u{1b}[31m"]),
            "it lists none, x\u{fffd}[31m; set client_auth to \"none\" (none)",
        ),
        (
            json!(["private_key_jwt"]),
            "it lists private_key_jwt: register the client there with",
        ),
        (
            json!([]),
            "it lists no method: register the client there with",
        ),
        (
            json!("client_secret_basic"),
            "it lists no method: register the client there with",
        ),
    ] {
        let world = World::new().await;
        world
            .provider
            .bend(|bends| bends.discovery = set("token_endpoint_auth_methods_supported", listed));
        for _ in 0..12 {
            let what = world.misconfigured().await;
            assert!(what.contains(told), "{what}");
            assert!(
                what.contains("in discovery lacks `client_secret_basic`"),
                "{what}"
            );
        }
        assert_eq!(
            world.provider.count(Endpoint::Discovery),
            5,
            "it is not asked each time"
        );
    }
}

#[tokio::test]
async fn client_secret_post_and_a_public_client() {
    let world = World::with(|config| {
        config.credential = ClientCredential::Post(CLIENT_SECRET.into());
    })
    .await;
    world.login().await.unwrap();
    let request = world.provider.last_token_request().unwrap();
    assert_eq!(request.authorization, None);
    assert_eq!(request.form["client_secret"], CLIENT_SECRET);

    let world = World::with(|config| config.credential = ClientCredential::Public).await;
    let what = world.misconfigured().await;
    let wanted = "`token_endpoint_auth_methods_supported` in discovery lacks `none`";
    assert!(what.contains(wanted), "{what}");
}

#[tokio::test]
async fn a_password_is_nothing_for_a_provider() {
    let world = World::new().await;
    let answer = LoginAnswer::Password {
        username: "ann".to_owned(),
        password: "password".into(),
    };
    let refused = world.relying_party.finish(answer).await.unwrap_err();
    assert!(matches!(
        refused,
        IdentityError::Unsupported { what: "passwords" }
    ));
}

/// A sign-in and the server's start survive a provider that is down; both work again when it is back.
#[tokio::test]
async fn a_provider_that_comes_back_is_used_again() {
    let world = World::new().await;
    world
        .provider
        .fault(Endpoint::Discovery, Fault::Status(502, "<html>"));
    assert!(world.unavailable().await.contains("status 502"));
    world.provider.straighten();
    world.login().await.unwrap();
    // Down again: what is known is used until it is old, and then still.
    world
        .provider
        .fault(Endpoint::Discovery, Fault::Status(502, "<html>"));
    world.advance(Duration::from_secs(7200));
    world.login().await.unwrap();
}

#[tokio::test]
async fn a28_secret_leak_nothing_secret_in_debug_or_errors() {
    let world = World::new().await;
    let query = world.callback().await;
    world.provider.fault(
        Endpoint::Token,
        Fault::Status(400, r#"{"error":"invalid_request"}"#),
    );
    let error = world.finish(&query).await.unwrap_err();
    let shown = format!(
        "{:?} {error:?} {error} {}",
        world.relying_party,
        openclaw_tenancy::error::chain(&error)
    );
    for secret in [
        CLIENT_SECRET,
        BROWSER,
        &parameter(&query, "code"),
        &parameter(&query, "state"),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
