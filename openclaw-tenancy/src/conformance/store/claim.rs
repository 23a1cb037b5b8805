//! Claims on tenants, and their leases.

use std::sync::Arc;
use std::time::Duration;

use super::super::race::race;
use super::StoreFixture;
use super::given::{
    AFTER_LEASE, HOUR, LATER, LEASE, claim_all, claim_one, claim_request, made, now_of, placed,
    ready_host, settle, settlement, worker,
};
use crate::store::{ClaimRequest, Settlement, StoreError};
use crate::tenant::Certainty;

/// At most the limit, and who has waited longest comes first.
pub(super) async fn claim_takes_the_longest_due_first(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let mut waits = Vec::new();
    for quarters in [2_u32, 1, 3] {
        let tenant = made(&*store).await;
        let claim = claim_one(&*store).await;
        let settlement = Settlement {
            next_due: LATER / 4 * quarters,
            ..settlement(&claim)
        };
        settle(&*store, &claim, settlement).await;
        waits.push(tenant.id);
    }
    fixture.pass(LATER).await;
    let mut order = Vec::new();
    for limit in [2, 2] {
        let claims = store.claim_tenants(claim_request("w1", limit)).await;
        let claims = claims.expect("claimed");
        order.push(claims.iter().map(|c| c.item.id).collect::<Vec<_>>());
    }
    assert_eq!(order, [vec![waits[1], waits[0]], vec![waits[2]]]);
}

/// What is not due yet is not given.
pub(super) async fn claim_leaves_what_is_not_due(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    assert_eq!(claim_all(&*store, "w1").await, []);
    made(&*store).await;
    let claim = claim_one(&*store).await;
    let settlement = Settlement {
        next_due: LATER,
        ..settlement(&claim)
    };
    settle(&*store, &claim, settlement).await;
    assert_eq!(claim_all(&*store, "w1").await, []);
}

/// A clock that is set back keeps nothing waiting: what was to be due then is due now (safety.md F25).
pub(super) async fn claim_takes_what_a_clock_set_back_left_behind(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    settle(&*store, &claim, settlement(&claim)).await;
    fixture.set_back(HOUR).await;
    assert_eq!(claim_one(&*store).await.item.id, tenant.id);
    let hosts = store.claim_hosts(claim_request("w1", 9)).await;
    let hosts: Vec<_> = hosts
        .expect("claimed")
        .into_iter()
        .map(|c| c.item.id)
        .collect();
    assert_eq!(hosts, [host]);
    // A lease is nobody else's all the same.
    assert_eq!(claim_all(&*store, "w2").await, []);
}

/// While the lease lasts nobody else gets it, not even its own worker once more.
pub(super) async fn claim_excludes_a_second_holder(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    assert_eq!((claim.item.id, claim.worker), (tenant.id, worker("w1")));
    for name in ["w2", "w1"] {
        assert_eq!(claim_all(&*fixture.replica(), name).await, []);
    }
    fixture
        .pass(LEASE.saturating_sub(Duration::from_secs(300)))
        .await;
    assert_eq!(claim_all(&*store, "w2").await, [], "the lease lasts");
}

/// A holder that vanished loses its claim when the lease ends; the next one has a higher fence.
pub(super) async fn claim_passes_on_when_its_lease_ends(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let first = claim_one(&*store).await;
    fixture.pass(AFTER_LEASE).await;
    let second = claim_all(&*fixture.replica(), "w2").await.remove(0);
    assert_eq!((second.item.id, second.worker), (tenant.id, worker("w2")));
    assert!(
        first.fence < second.fence,
        "{:?} {:?}",
        first.fence,
        second.fence
    );
}

/// The row says unknown before the holder acts; the answer says what the last holder left.
pub(super) async fn claim_marks_places_unknown_and_answers_what_was_before(
    fixture: &dyn StoreFixture,
) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let (claim, _) = placed(&*store, &host).await;
    let certainty = async |claimed: &crate::store::Claim<_>| {
        let stored = now_of(&*store, &claimed.item).await;
        (
            claimed.item.observed.locations[0].certainty,
            stored.observed.locations[0].certainty,
        )
    };
    let mut known = settlement(&claim);
    known.observed.locations[0].certainty = Certainty::Known;
    known.next_due = Duration::ZERO;
    settle(&*store, &claim, known.clone()).await;

    let claim = claim_one(&*store).await;
    assert_eq!(
        certainty(&claim).await,
        (Certainty::Known, Certainty::Unknown)
    );
    fixture.pass(AFTER_LEASE).await;
    let claim = claim_one(&*store).await;
    assert_eq!(
        certainty(&claim).await,
        (Certainty::Unknown, Certainty::Unknown),
        "the holder before never settled"
    );
    known.observed.locations[0].certainty = Certainty::GhostSuspected;
    settle(&*store, &claim, known).await;
    let claim = claim_one(&*store).await;
    assert_eq!(
        certainty(&claim).await,
        (Certainty::GhostSuspected, Certainty::GhostSuspected),
        "a suspicion is not forgotten"
    );
}

/// 32 workers on two replicas: each due tenant has one holder, and none is left over.
pub(super) async fn concurrent_claims_share_nothing(fixture: &dyn StoreFixture) {
    let stores = [fixture.store(), fixture.replica()];
    let mut ids = Vec::new();
    for _ in 0..48 {
        ids.push(made(&*stores[0]).await.id);
    }
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let request = claim_request(&format!("w{n}"), 2);
        async move { store.claim_tenants(request).await }
    })
    .await;
    let mut claimed: Vec<_> = answers
        .into_iter()
        .flat_map(|answer| answer.expect("an answer"))
        .map(|claim| claim.item.id)
        .collect();
    // One worker may pass over what another is just taking; what is left is there for the next claim.
    claimed.extend(
        claim_all(&*stores[0], "late")
            .await
            .iter()
            .map(|c| c.item.id),
    );
    claimed.sort();
    assert_eq!(claimed, ids);
}

/// A renewed lease lasts from the renewal.
pub(super) async fn renew_begins_the_lease_anew(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    let two_thirds = LEASE * 2 / 3;
    for _ in 0..3 {
        fixture.pass(two_thirds).await;
        let renewed = store.renew(tenant.id, claim.fence, worker("w1"), LEASE);
        renewed.await.expect("renewed");
        let again = store.renew(tenant.id, claim.fence, worker("w1"), LEASE);
        again.await.expect("again is success");
        assert_eq!(claim_all(&*store, "w2").await, []);
    }
    fixture.pass(AFTER_LEASE).await;
    assert_eq!(claim_all(&*store, "w2").await.len(), 1);
}

/// Who lost the claim, or never had it, cannot renew it.
pub(super) async fn renew_is_fenced_when_the_claim_has_passed_on(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let lost = claim_one(&*store).await;
    let renew = async |claim: &crate::store::Claim<_>, name: &str| {
        let renewed = store
            .renew(tenant.id, claim.fence, worker(name), LEASE)
            .await;
        match renewed {
            Ok(()) => "renewed",
            Err(StoreError::Fenced) => "fenced",
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(renew(&lost, "w2").await, "fenced", "another's claim");
    fixture.pass(AFTER_LEASE).await;
    // Nobody has taken it: the late holder may still go on.
    assert_eq!(renew(&lost, "w1").await, "renewed");
    fixture.pass(AFTER_LEASE).await;
    let request = ClaimRequest {
        worker: worker("w1"),
        ..claim_request("w1", 1)
    };
    let held = store
        .claim_tenants(request)
        .await
        .expect("claimed")
        .remove(0);
    assert_eq!(renew(&lost, "w1").await, "fenced", "an older claim");
    assert_eq!(renew(&held, "w1").await, "renewed");
    settle(&*store, &held, settlement(&held)).await;
    assert_eq!(renew(&held, "w1").await, "fenced", "a settled claim");
}
