//! Changing what is wanted, and ending holds.

use std::sync::Arc;

use super::super::race::{CALLERS, race};
use super::StoreFixture;
use super::given::{
    HOUR, T0, claim_all, claim_one, everything, made, new_tenant, now_of, placed, ready_host,
    settle, settlement,
};
use crate::id::Revision;
use crate::store::{Change, StoreError};
use crate::tenant::{
    Certainty, Failure, FailureReason, Hold, HoldReason, Observed, Power, Settings,
};

const SUSPEND: Change = Change::Power(Power::Suspended);
const DELETE: Change = Change::Power(Power::Deleted);

/// Each kind of change is written, answered, and raises the revision by one.
pub(super) async fn change_writes_what_is_wanted(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let mut wanted = made(&*store).await;
    let settings = Settings {
        email: None,
        timezone: Some("Asia/Shanghai".to_owned()),
    };
    for change in [SUSPEND, Change::Settings(settings.clone()), DELETE] {
        match &change {
            Change::Power(power) => wanted.desired.power = *power,
            Change::Restart => {}
            Change::Settings(settings) => wanted.settings = settings.clone(),
        }
        let expected = Some(wanted.revision);
        wanted.revision = wanted.revision.next();
        wanted.observed.stir(T0);
        let changed = store.change(wanted.id, expected, change, T0).await;
        assert_eq!(changed.expect("it changes"), wanted);
        assert_eq!(now_of(&*fixture.replica(), &wanted).await, wanted);
    }
}

/// A change does not wait for the next regular look.
pub(super) async fn change_makes_the_tenant_due_at_once(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    settle(&*store, &claim, settlement(&claim)).await;
    assert_eq!(claim_all(&*store, "w1").await, []);
    store
        .change(tenant.id, None, SUSPEND, T0)
        .await
        .expect("it changes");
    assert_eq!(claim_one(&*store).await.item.id, tenant.id);
}

/// A change decided on an older revision changes nothing and tells the one there is.
pub(super) async fn change_refuses_a_stale_revision(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let restarted = store.change(tenant.id, None, Change::Restart, T0).await;
    let current = restarted.expect("it changes").revision;
    let before = everything(&store).await;
    for stale in [tenant.revision, current.next(), Revision(0)] {
        let answer = store.change(tenant.id, Some(stale), SUSPEND, T0).await;
        let refused =
            matches!(answer, Err(StoreError::StaleRevision { current: c }) if c == current);
        assert!(refused, "{answer:?}");
    }
    assert_eq!(everything(&store).await, before);
}

/// Asking again for what is wanted succeeds and is no change, whatever revision it was decided on.
pub(super) async fn change_to_the_wanted_power_changes_nothing(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    settle(&*store, &claim, settlement(&claim)).await;
    let before = everything(&store).await;
    for expected in [None, Some(tenant.revision), Some(Revision(77))] {
        let running = Change::Power(Power::Running);
        let same = store.change(tenant.id, expected, running, T0).await;
        assert_eq!(same.expect("success").revision, tenant.revision);
    }
    assert_eq!(everything(&store).await, before);
    assert_eq!(claim_all(&*store, "w1").await, [], "it is not due");
}

/// Two restarts are two.
pub(super) async fn change_restarts_once_each_time(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    for epoch in 1..=2 {
        let answer = store.change(tenant.id, None, Change::Restart, T0).await;
        assert_eq!(answer.expect("it changes").desired.restart_epoch, epoch);
    }
}

/// Deleted is never taken back; deleting again is success.
pub(super) async fn change_refuses_what_is_to_be_deleted(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let deleting = store.change(tenant.id, None, DELETE, T0).await;
    let deleting = deleting.expect("it changes");
    let before = everything(&store).await;
    let changes = [
        SUSPEND,
        Change::Power(Power::Running),
        Change::Restart,
        Change::Settings(Settings::default()),
    ];
    for change in changes {
        let answer = store.change(tenant.id, None, change, T0).await;
        let refused = matches!(answer, Err(StoreError::Deleting));
        assert!(refused, "{answer:?}");
    }
    let again = store.change(tenant.id, None, DELETE, T0).await;
    assert_eq!(again.expect("success"), deleting);
    assert_eq!(everything(&store).await, before);
}

/// Neither a change nor a release makes a tenant.
pub(super) async fn change_refuses_what_is_not_there(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let absent = new_tenant().id;
    let change = store.change(absent, None, SUSPEND, T0).await;
    let refused = matches!(change, Err(StoreError::NotFound { .. }));
    assert!(refused, "{change:?}");
    let release = store.release(absent, T0).await;
    let refused = matches!(release, Err(StoreError::NotFound { .. }));
    assert!(refused, "{release:?}");
}

/// A change ends the wait for a retry and the hold that is the owner's, and no other hold.
pub(super) async fn change_ends_the_owners_waits(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    for (reason, stays) in [
        (HoldReason::Configuration, false),
        (HoldReason::Conflict, true),
    ] {
        let claim = claim_one(&*store).await;
        let mut settlement = settlement(&claim);
        settlement.observed.failure = Some(failure());
        settlement.observed.hold = Some(hold(reason, "a hold"));
        settle(&*store, &claim, settlement).await;
        let answer = store.change(tenant.id, None, Change::Restart, T0).await;
        let observed = answer.expect("it changes").observed;
        let retry_at = observed
            .failure
            .expect("the failure is still told")
            .retry_at;
        assert_eq!((retry_at, observed.hold.is_some()), (T0, stays));
    }
}

/// A holder that did not know of a change does not undo what it ended, and the tenant is due at once.
pub(super) async fn change_survives_the_settle_of_a_claim_before_it(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    let changed = store.change(tenant.id, None, SUSPEND, T0).await;
    let changed = changed.expect("it changes");
    assert_eq!(claim_all(&*store, "w2").await, [], "it is held");

    let mut settlement = settlement(&claim);
    settlement.observed.hold = Some(hold(HoldReason::Configuration, "decided before"));
    settlement.observed.failure = Some(failure());
    settlement.observed.converged = Some(claim.item.revision);
    settle(&*store, &claim, settlement).await;

    let now = now_of(&*store, &tenant).await;
    assert_eq!(
        (now.revision, now.desired),
        (changed.revision, changed.desired)
    );
    assert_eq!(now.observed.hold, None);
    assert_eq!(now.observed.failure.map(|f| f.retry_at), Some(T0));
    assert_eq!(now.observed.converged, Some(tenant.revision));
    assert_eq!(claim_one(&*store).await.item.id, tenant.id, "due at once");
}

/// Of 32 changes decided on one revision, one is made.
pub(super) async fn concurrent_changes_on_one_revision_have_one_winner(fixture: &dyn StoreFixture) {
    let stores = [fixture.store(), fixture.replica()];
    let tenant = made(&*stores[0]).await;
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let (id, expected) = (tenant.id, Some(tenant.revision));
        async move { store.change(id, expected, Change::Restart, T0).await }
    })
    .await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    let stale = |answer: &Result<_, _>| matches!(answer, Err(StoreError::StaleRevision { current }) if current.0 == 2);
    let stale = answers.iter().filter(|answer| stale(answer)).count();
    assert_eq!((won, stale), (1, CALLERS as usize - 1), "{answers:?}");
    let now = now_of(&*stores[0], &tenant).await;
    assert_eq!((now.revision.0, now.desired.restart_epoch), (2, 1));
}

/// A release ends any hold, takes a suspected ghost to be cleared, and makes the tenant due.
pub(super) async fn release_ends_a_hold(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let (claim, _) = placed(&*store, &host).await;
    let mut settlement = settlement(&claim);
    settlement.observed.locations[0].certainty = Certainty::GhostSuspected;
    settlement.observed.hold = Some(hold(HoldReason::GhostSuspected, "a ghost"));
    settle(&*store, &claim, settlement).await;

    let released = store.release(claim.item.id, T0).await.expect("released");
    assert_eq!(released.observed.hold, None);
    assert_ne!(
        released.observed.locations[0].certainty,
        Certainty::GhostSuspected
    );
    assert_eq!(now_of(&*store, &claim.item).await, released);
    assert_eq!(claim_one(&*store).await.item.id, claim.item.id);
}

/// A release where nothing is held is no change.
pub(super) async fn release_without_a_hold_changes_nothing(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    settle(&*store, &claim, settlement(&claim)).await;
    let before = everything(&store).await;
    let same = store.release(tenant.id, T0).await.expect("success");
    assert_eq!(same, now_of(&*store, &tenant).await);
    assert_eq!(everything(&store).await, before);
    assert_eq!(claim_all(&*store, "w1").await, [], "it is not due");
}

/// A holder that did not know of the release does not bring that hold back; a new hold of its own counts.
pub(super) async fn release_survives_the_settle_of_a_claim_before_it(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let old = hold(HoldReason::Conflict, "the old one");
    let new = hold(HoldReason::HostQuarantined, "a new one");
    for (settled, stays) in [(old.clone(), None), (new.clone(), Some(new))] {
        let claim = claim_all(&*store, "w1").await.remove(0);
        let held = Observed {
            hold: Some(old.clone()),
            ..claim.item.observed.clone()
        };
        let mut first = settlement(&claim);
        first.observed = held;
        first.next_due = std::time::Duration::ZERO;
        settle(&*store, &claim, first).await;

        let claim = claim_one(&*store).await;
        store.release(tenant.id, T0).await.expect("released");
        let mut late = settlement(&claim);
        late.observed.hold = Some(settled);
        settle(&*store, &claim, late).await;
        assert_eq!(now_of(&*store, &tenant).await.observed.hold, stays);
    }
}

fn hold(reason: HoldReason, message: &str) -> Hold {
    Hold {
        reason,
        message: message.to_owned(),
        since: T0,
    }
}

fn failure() -> Failure {
    Failure {
        reason: FailureReason::Engine,
        message: "it failed".to_owned(),
        attempts: 3,
        since: T0,
        retry_at: T0.plus(HOUR),
    }
}
