//! F12: limits change in one call, and not below what is in use.

use openclaw_tenancy::backend::BackendError;
use openclaw_tenancy::container::AppliedLimits;
use serde_json::json;
use test_support::engine::{Fault, Rule};

use super::bench;
use crate::common::{plan, told};

#[tokio::test]
async fn f12_all_fields_go_in_one_call_and_are_seen_afterwards() {
    let (engine, tenancy) = bench().await;
    let id = tenancy.created(plan("pro")).await;
    tenancy.start(&id).await.unwrap();
    for name in ["free", "basic", "pro", "free"] {
        tenancy
            .backend
            .update(&tenancy.host, &id, &plan(name))
            .await
            .unwrap();
        let seen = tenancy
            .backend
            .inspect(&tenancy.host, &id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(seen.limits, AppliedLimits::from(plan(name)), "{name}");
    }
    let updates: Vec<_> = engine
        .calls()
        .into_iter()
        .filter(|call| call.path.ends_with("/update"))
        .map(|call| call.body)
        .collect();
    assert_eq!(updates.len(), 4);
    assert_eq!(
        updates[0],
        json!({ "NanoCpus": 500_000_000, "Memory": 536_870_912, "MemorySwap": 1_610_612_736, "PidsLimit": 256 })
    );
}

#[tokio::test]
async fn f12_below_what_is_in_use_is_refused_with_the_figures_and_nothing_changes() {
    let (engine, tenancy) = bench().await;
    let id = tenancy.created(plan("pro")).await;
    tenancy.start(&id).await.unwrap();
    engine.world().set_usage(&id.0, 700 << 20);
    let refused = tenancy
        .backend
        .update(&tenancy.host, &id, &plan("free"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, BackendError::Refused { .. }),
        "{refused:?}"
    );
    assert!(
        told(&refused).contains("700 MiB") && told(&refused).contains("512 MiB"),
        "{}",
        told(&refused)
    );
    let seen = tenancy
        .backend
        .inspect(&tenancy.host, &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.limits, AppliedLimits::from(plan("pro")));
    assert!(
        engine
            .calls()
            .iter()
            .all(|call| !call.path.ends_with("/update")),
        "the kernel was asked to shrink"
    );
}

#[tokio::test]
async fn f12_what_the_kernel_refuses_is_refused() {
    let (engine, tenancy) = bench().await;
    let id = tenancy.created(plan("pro")).await;
    let message = "Cannot update container 0f: runc did not terminate successfully: unable to set memory limit to 1 (current usage: 2, peak usage: 2): device or resource busy";
    engine.on(
        Rule::call("POST", "/containers/*/update").fault(Fault::Refuse {
            status: 500,
            message: message.into(),
        }),
    );
    let refused = tenancy
        .backend
        .update(&tenancy.host, &id, &plan("free"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, BackendError::Refused { .. }),
        "{refused:?}"
    );
}
