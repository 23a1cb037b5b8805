//! A3: one provider's answer taken for another's.

use test_support::provider::{Endpoint, Provider, remove};

use crate::support::{self, BROWSER, NOW, World, config, parameter, reason, with, without};

/// Two providers of ours; one of them is hostile and sends the browser to the other, or back with its own answer.
#[tokio::test]
async fn a03_mix_up_two_providers_swapped() {
    let world = World::new().await;
    let other = Provider::start(NOW).await;
    let other_party = support::relying_party(config(other.issuer()), &world.store, &world.clock);

    // Begun at ours, finished at the other's redirect path.
    let query = world.callback().await;
    let refused = support::finish(&other_party, &query, BROWSER).await;
    assert_eq!(reason(refused), "the sign-in was begun at another provider");
    assert_eq!(
        other.count(Endpoint::Token),
        0,
        "our code never reached the other's token endpoint"
    );

    // The other's answer under the state of ours: RFC 9207's `iss` tells.
    let url = world.begin().await.unwrap();
    let state = parameter(url.split_once('?').unwrap().1, "state");
    let others = other
        .authorize(&support::begin(&other_party).await.unwrap())
        .await;
    let refused = world.finish(&with(&others, "state", &state)).await;
    assert_eq!(reason(refused), "the answer is from another provider");
    assert_eq!(
        world.provider.count(Endpoint::Token),
        0,
        "and its code never reached ours"
    );
}

#[tokio::test]
async fn a03_mix_up_iss_is_checked_when_sent_or_promised() {
    let world = World::new().await;
    let promised = "the answer does not name its provider";
    assert_eq!(
        reason(world.finish(&without(&world.callback().await, "iss")).await),
        promised
    );
    let errors = with(
        &without(&world.callback().await, "iss"),
        "error",
        "access_denied",
    );
    assert_eq!(reason(world.finish(&errors).await), promised);
    for iss in [
        "https://evil.example",
        "",
        &format!("{}/", world.provider.issuer()),
    ] {
        let refused = world
            .finish(&with(&world.callback().await, "iss", iss))
            .await;
        assert_eq!(
            reason(refused),
            "the answer is from another provider",
            "{iss}"
        );
    }

    let world = World::new().await;
    let name = "authorization_response_iss_parameter_supported";
    world.provider.bend(|bends| bends.discovery = remove(name));
    let silent = without(&world.callback().await, "iss");
    assert!(
        world.finish(&silent).await.is_ok(),
        "not promised, not sent"
    );
    let refused = world
        .finish(&with(
            &world.callback().await,
            "iss",
            "https://evil.example",
        ))
        .await;
    assert_eq!(
        reason(refused),
        "the answer is from another provider",
        "not promised, but sent"
    );
}
