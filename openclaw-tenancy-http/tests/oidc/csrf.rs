//! A1: sign-ins that somebody else began.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::MockAccessStore;
use openclaw_tenancy::clock::{SystemClock, SystemEntropy};
use openclaw_tenancy::identity::{IdentityProvider as _, LoginRequest};
use openclaw_tenancy_http::identity::oidc::OidcProvider;
use test_support::provider::Endpoint;

use crate::support::{self, BROWSER, World, parameter, reason, unavailable, with, without};

const OTHER_BROWSER: &str = "0tHeRbRoWsEr0tHeRbRoWsEr0tHeRbRoWsEr0tHeRbR";

/// The attacker begins a sign-in, stops before the last step, and has the victim's browser take it.
#[tokio::test]
async fn a01_login_csrf_a_foreign_code_and_state_are_refused() {
    let world = World::new().await;
    let attackers = world.callback().await;
    let refused = support::finish(&world.relying_party, &attackers, OTHER_BROWSER).await;
    assert_eq!(reason(refused), "the sign-in was begun in another browser");
    assert_eq!(
        world.provider.count(Endpoint::Token),
        0,
        "the code went nowhere"
    );
    let again = world.finish(&attackers).await;
    assert!(
        reason(again).starts_with("the sign-in is unknown"),
        "the state is used up"
    );
    assert_eq!(world.grants().await, 0);
}

#[tokio::test]
async fn a01_login_csrf_without_a_cookie_nothing_begins_or_ends() {
    let world = World::new().await;
    for browser in ["", "short"] {
        let request = LoginRequest {
            browser: browser.into(),
            return_to: "/".to_owned(),
        };
        let refused = reason(world.relying_party.begin(request).await);
        assert_eq!(refused, "the browser sent no pre-login cookie");
        let query = world.callback().await;
        assert!(
            support::finish(&world.relying_party, &query, browser)
                .await
                .is_err()
        );
    }
    assert_eq!(world.grants().await, 0);
}

#[tokio::test]
async fn a01_login_csrf_state_is_random_and_used_once() {
    let world = World::new().await;
    let query = world.callback().await;
    world.finish(&query).await.unwrap();
    let again = reason(world.finish(&query).await);
    assert_eq!(
        again,
        "the sign-in is unknown, already used or older than ten minutes"
    );
    let states: std::collections::BTreeSet<String> =
        futures::future::join_all((0..50).map(|_| world.callback()))
            .await
            .iter()
            .map(|query| parameter(query, "state"))
            .collect();
    assert_eq!(states.len(), 50);
}

#[tokio::test]
async fn a01_login_csrf_of_many_finishers_one_gets_in() {
    let world = World::new().await;
    let query = world.callback().await;
    let results = futures::future::join_all((0..32).map(|_| world.finish(&query))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(
        world.provider.count(Endpoint::Token),
        1,
        "the code is sent once"
    );
}

#[tokio::test]
async fn a01_login_csrf_state_ends_after_ten_minutes() {
    let world = World::new().await;
    let query = world.callback().await;
    world.advance(Duration::from_secs(599));
    assert!(world.finish(&query).await.is_ok());
    let query = world.callback().await;
    world.advance(Duration::from_secs(600));
    assert!(reason(world.finish(&query).await).starts_with("the sign-in is unknown"));
}

#[tokio::test]
async fn a01_login_csrf_bent_callbacks() {
    let world = World::new().await;
    let query = world.callback().await;
    for (bent, why) in [
        (String::new(), "the provider's answer has no state"),
        ("?".to_owned(), "the provider's answer has no state"),
        (
            without(&query, "state"),
            "the provider's answer has no state",
        ),
        (
            with(&query, "state", ""),
            "the provider's answer has no state",
        ),
        (
            with(&query, "state", "invented"),
            "the sign-in is unknown, already used or older than ten minutes",
        ),
        (
            format!("{query}&state=x"),
            "the provider's answer repeats a parameter",
        ),
        (
            format!("{query}&code=x"),
            "the provider's answer repeats a parameter",
        ),
        (
            format!("{query}&iss=x"),
            "the provider's answer repeats a parameter",
        ),
        (
            format!("{query}&x={}", "y".repeat(8192)),
            "the provider's answer is too long",
        ),
    ] {
        assert_eq!(reason(world.finish(&bent).await), why, "{bent}");
    }
    // None of those used the state up: its owner still gets in.
    assert!(world.finish(&query).await.is_ok());
}

#[tokio::test]
async fn errors_of_the_provider_end_the_sign_in() {
    let world = World::new().await;
    for (error, wanted) in [
        (
            "access_denied",
            Some("the sign-in was cancelled at the provider"),
        ),
        ("login_required", Some("the provider refused the sign-in")),
        ("<script>", Some("the provider refused the sign-in")),
        ("", Some("the provider refused the sign-in")),
        ("server_error", None),
        ("temporarily_unavailable", None),
    ] {
        // The code that stands beside an error is not taken.
        let query = with(&world.callback().await, "error", error);
        let result = world.finish(&query).await;
        match wanted {
            Some(wanted) => assert_eq!(reason(result), wanted, "{error}"),
            None => assert_eq!(
                unavailable(result),
                "the provider reports a fault of its own"
            ),
        }
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    assert_eq!(world.grants().await, 0);
}

/// Anybody can invent a state, and taking one is a write.
#[tokio::test]
async fn a26_exhaustion_an_invented_state_is_only_read() {
    let mut store = MockAccessStore::new();
    store.expect_grant().times(1).returning(|_, _, _| Ok(None));
    store.expect_take_grant().never();
    let relying_party = OidcProvider::new(
        support::config("https://id.example"),
        Arc::new(store),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    );
    let finished = support::finish(&relying_party.unwrap(), "state=invented&code=x", BROWSER).await;
    assert_eq!(
        reason(finished),
        "the sign-in is unknown, already used or older than ten minutes"
    );
}
