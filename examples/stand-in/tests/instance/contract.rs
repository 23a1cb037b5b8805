//! The stand-in keeps what it claims, and the shared test notices when an instance does not.

use std::sync::Arc;

use crate::support::{Home, gateway, replace};
use futures::FutureExt as _;
use serde_json::json;
use stand_in::contract::{Claim, Target, check, check_reload, check_shutdown};

fn assert_kept(claims: &[Claim]) {
    let broken: Vec<_> = claims
        .iter()
        .filter(|claim| !claim.ok)
        .map(ToString::to_string)
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn the_stand_in_keeps_every_claim() {
    let home = Home::new();
    let mut instance = home.start();
    let target = instance.target();

    let claims = check(&target).await;
    assert_eq!(claims.len(), 37);
    assert_kept(&claims);

    let file = Arc::new(home.gateway_file());
    let write = move |text: String| {
        let file = Arc::clone(&file);
        async move {
            replace(&file, &text);
            Ok(())
        }
        .boxed()
    };
    let claims = check_reload(&target, &gateway(), &write).await;
    assert_eq!(claims.len(), 5);
    assert_kept(&claims);

    let stop = async {
        instance.terminate();
        Ok(())
    };
    let claims = check_shutdown(&target, stop).await;
    assert_eq!(claims.len(), 2);
    assert_kept(&claims);
    assert_eq!(instance.wait().code(), Some(0));
}

/// A test that cannot fail proves nothing, so each of these instances must be caught.
#[tokio::test]
async fn the_shared_test_notices_a_broken_instance() {
    let mut anyone = gateway();
    anyone["auth"]["trustedProxy"]["allowUsers"] = json!([]);
    let mut any_origin = gateway();
    any_origin["controlUi"]["allowedOrigins"] = json!(["*"]);
    let mut no_proxy = gateway();
    no_proxy["trustedProxies"] = json!(["10.0.0.1"]);
    let mut not_admin = gateway();
    not_admin["auth"]["identityScopes"] = json!({});
    let mut no_required = gateway();
    no_required["auth"]["trustedProxy"]["requiredHeaders"] = json!([]);
    let impatient = ("STAND_IN_HANDSHAKE_TIMEOUT_MS", "3000");
    let slow = ("STAND_IN_HANDSHAKE_TIMEOUT_MS", "15000");

    let caught = |gateway: serde_json::Value, variable: (&'static str, &'static str)| async move {
        let home = Home::with(&gateway);
        let instance = home.start_with(&[variable]);
        failed(&instance.target()).await
    };
    let (anyone, any_origin, no_proxy, not_admin, no_required, impatient) = tokio::join!(
        caught(anyone, slow),
        caught(any_origin, slow),
        caught(no_proxy, slow),
        caught(not_admin, slow),
        caught(no_required, slow),
        caught(gateway(), impatient),
    );
    assert!(anyone.contains(&"a_stranger_is_refused"), "{anyone:?}");
    assert!(
        any_origin.contains(&"a_foreign_origin_is_refused"),
        "{any_origin:?}"
    );
    assert!(no_proxy.contains(&"startupz_says_started"), "{no_proxy:?}");
    assert!(
        not_admin.contains(&"the_owner_is_admitted_without_token_or_device"),
        "{not_admin:?}"
    );
    assert!(
        no_required.contains(&"a_missing_required_header_is_named"),
        "{no_required:?}"
    );
    assert_eq!(impatient, ["a_silent_socket_is_closed_after_15_s"]);
}

async fn failed(target: &Target) -> Vec<&'static str> {
    check(target)
        .await
        .iter()
        .filter(|claim| !claim.ok)
        .map(|claim| claim.name)
        .collect()
}
