//! Settlements: what the holder of a claim writes, and what nobody else can.

use std::time::Duration;

use super::StoreFixture;
use super::given::{
    AFTER_LEASE, DAY, HOUR, LATER, T0, claim_all, claim_one, everything, made, now_of, placed,
    ready_host, settle, settlement,
};
use crate::container::{EngineId, Image};
use crate::event::{EventKind, NewEvent};
use crate::host::Reserved;
use crate::id::Generation;
use crate::quantity::Bytes;
use crate::store::{Change, Settlement, StoreError, TenantStore};
use crate::tenant::{Certainty, ContainerRecord, Failure, FailureReason, Hold, HoldReason, Power};

/// All of what was seen is there afterwards, and only that: wishes stay as they are.
pub(super) async fn settle_writes_what_was_seen(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let (claim, _) = placed(&*store, &host).await;
    let mut seen = settlement(&claim);
    let location = &mut seen.observed.locations[0];
    location.certainty = Certainty::Known;
    location.has_data = true;
    location.container = Some(ContainerRecord {
        config: Some("abc".to_owned()),
        restart_epoch: 2,
        started_at: Some(T0),
        ready_at: Some(T0.plus(HOUR)),
        stop_asked_at: None,
        ..ContainerRecord::new(EngineId("f".repeat(64)))
    });
    seen.observed.failure = Some(Failure {
        reason: FailureReason::OutOfMemory,
        message: "killed \u{0} for \"memory\" — 内存".to_owned(),
        attempts: u32::MAX,
        since: T0,
        retry_at: T0.plus(DAY),
    });
    seen.observed.hold = Some(Hold {
        reason: HoldReason::GhostSuspected,
        message: "a process may run".to_owned(),
        since: T0,
    });
    seen.observed.queued = Some("no room".to_owned());
    seen.observed.converged = Some(claim.item.revision);
    settle(&*store, &claim, seen.clone()).await;

    let stored = now_of(&*fixture.replica(), &claim.item).await;
    assert_eq!(stored.observed, seen.observed);
    assert_eq!(stored.desired, claim.item.desired);
    assert_eq!(stored.revision, claim.item.revision);
}

/// It is due again after the time that the settlement gives, not before.
pub(super) async fn settle_makes_the_tenant_due_when_it_says(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    made(&*store).await;
    let claim = claim_one(&*store).await;
    let soon = Settlement {
        next_due: LATER,
        ..settlement(&claim)
    };
    settle(&*store, &claim, soon).await;
    fixture.pass(LATER / 2).await;
    assert_eq!(claim_all(&*store, "w1").await, []);
    fixture.pass(LATER / 2 + Duration::from_secs(1)).await;
    let next = claim_one(&*store).await;
    assert!(claim.fence < next.fence);
}

/// A claim is settled once.
pub(super) async fn settle_again_is_fenced(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    made(&*store).await;
    let claim = claim_one(&*store).await;
    settle(&*store, &claim, settlement(&claim)).await;
    let before = everything(&store).await;
    fenced(&*store, &claim, eventful(&claim)).await;
    assert_eq!(everything(&store).await, before);
}

/// I10: whoever lost the claim writes nothing at all, not even an event; nor does it end the claim.
pub(super) async fn settle_is_fenced_when_the_claim_has_passed_on(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let (lost, _) = placed(&*store, &host).await;
    fixture.pass(AFTER_LEASE).await;
    let held = claim_one(&*store).await;
    let before = everything(&store).await;
    let mut late = eventful(&lost);
    late.observed.locations.clear();
    late.pin = Some(image("sha256:late"));
    fenced(&*store, &lost, late.clone()).await;
    late.gone = true;
    fenced(&*store, &lost, late).await;
    assert_eq!(everything(&store).await, before);
    assert_eq!(claim_all(&*store, "w3").await, [], "it is still held");

    settle(&*store, &held, settlement(&held)).await;
    // Whoever is late but was not overtaken has lost nothing.
    store
        .change(held.item.id, None, Change::Restart, T0)
        .await
        .expect("due again");
    let claim = claim_one(&*store).await;
    fixture.pass(AFTER_LEASE).await;
    settle(&*store, &claim, settlement(&claim)).await;
}

/// What is reserved is what the settled places say, no more and no less.
pub(super) async fn settle_frees_the_places_it_left(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let (claim, location) = placed(&*store, &host).await;
    let reserved = async || store.hosts().await.expect("listed")[0].reserved;

    let mut smaller = settlement(&claim);
    smaller.observed.locations[0].granted.memory = Bytes::mib(100);
    smaller.next_due = Duration::ZERO;
    let granted = smaller.observed.locations[0].granted;
    settle(&*store, &claim, smaller).await;
    assert_eq!(reserved().await, Reserved::default().with(&granted));

    let claim = claim_one(&*store).await;
    let mut left = settlement(&claim);
    left.observed.locations.clear();
    settle(&*store, &claim, left).await;
    assert_eq!(reserved().await, Reserved::default());
    assert_eq!(store.tenants_on(host.clone()).await.expect("listed"), []);
    let now = now_of(&*store, &claim.item).await;
    assert_eq!(now.observed.generation, location.generation, "never again");
}

fn image(digest: &str) -> Image {
    Image {
        reference: format!("reference of {digest}"),
        digest: Some(digest.to_owned()),
    }
}

/// The first image with a digest stays; pinning is no change of what the owner wants.
pub(super) async fn settle_pins_a_digest_once(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    for digest in [Some("sha256:first"), None, Some("sha256:second")] {
        let claim = claim_one(&*store).await;
        let pin = Settlement {
            pin: digest.map(image),
            next_due: Duration::ZERO,
            ..settlement(&claim)
        };
        settle(&*store, &claim, pin).await;
        let now = now_of(&*store, &tenant).await;
        assert_eq!(now.desired.image, image("sha256:first"));
        assert_eq!(now.revision, tenant.revision);
    }
}

/// A generation is never used twice, whatever a worker writes.
pub(super) async fn settle_never_lowers_the_generation(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    for (seen, kept) in [(7, 7), (3, 7)] {
        let claim = claim_one(&*store).await;
        let mut settlement = settlement(&claim);
        settlement.observed.generation = Generation(seen);
        settlement.next_due = Duration::ZERO;
        settle(&*store, &claim, settlement).await;
        let now = now_of(&*store, &tenant).await;
        assert_eq!(now.observed.generation, Generation(kept));
    }
}

/// Gone means gone from every read, with its place free; what happened to it can still be read.
pub(super) async fn settle_removes_what_is_gone(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let (claim, _) = placed(&*store, &host).await;
    let tenant = claim.item.clone();
    let deleted = Change::Power(Power::Deleted);
    store
        .change(tenant.id, None, deleted, T0)
        .await
        .expect("to be deleted");
    let gone = Settlement {
        gone: true,
        ..eventful(&claim)
    };
    settle(&*store, &claim, gone.clone()).await;

    assert_eq!(store.get(tenant.id).await.expect("an answer"), None);
    let found = store.find_by_owner(tenant.owner).await;
    assert_eq!(found.expect("an answer"), None);
    let page = store.list(None, 10).await.expect("listed");
    assert_eq!(page.tenants, []);
    assert_eq!(store.tenants_on(host).await.expect("listed"), []);
    let hosts = store.hosts().await.expect("listed");
    assert_eq!(hosts[0].reserved, Reserved::default());
    assert_eq!(claim_all(&*store, "w1").await, []);
    let position = store.queue_position(tenant.id).await;
    assert_eq!(position.expect("an answer"), None);
    fenced(&*store, &claim, gone).await;
    let change = store.change(tenant.id, None, Change::Restart, T0).await;
    assert!(
        matches!(change, Err(StoreError::NotFound { .. })),
        "{change:?}"
    );
    let events = store.events(Some(tenant.id), 0, 10).await.expect("read");
    let last = events.last().expect("events stay").event.kind;
    assert_eq!(last, EventKind::Ended);
}

/// I6: data goes only after somebody decided so; a worker alone cannot.
pub(super) async fn settle_removes_only_what_was_to_be_deleted(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    let before = everything(&store).await;
    let gone = Settlement {
        gone: true,
        ..settlement(&claim)
    };
    let answer = store.settle(tenant.id, claim.fence, gone, T0).await;
    let refused = matches!(answer, Err(StoreError::Conflict { .. }));
    assert!(refused, "{answer:?}");
    assert_eq!(everything(&store).await, before);
    settle(&*store, &claim, settlement(&claim)).await;
}

async fn fenced(
    store: &dyn TenantStore,
    claim: &crate::store::Claim<crate::tenant::Tenant>,
    settlement: Settlement,
) {
    let answer = store
        .settle(claim.item.id, claim.fence, settlement, T0)
        .await;
    assert!(matches!(answer, Err(StoreError::Fenced)), "{answer:?}");
}

fn eventful(claim: &crate::store::Claim<crate::tenant::Tenant>) -> Settlement {
    Settlement {
        events: vec![NewEvent {
            kind: EventKind::Ended,
            detail: "it ended".to_owned(),
        }],
        ..settlement(claim)
    }
}
