//! Reading tenants, the queue, and whether the store answers.

use super::StoreFixture;
use super::given::{
    T0, claim_all, delete, made, new_tenant, now_of, place_on, ready_host, settle, settlement,
};
use crate::store::Change;
use crate::tenant::{Hold, HoldReason, NewTenant, Power};

/// Absent is a value, not an error.
pub(super) async fn get_finds_only_what_is_there(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    assert_eq!(now_of(&*store, &tenant).await, tenant);
    let absent = new_tenant();
    assert_eq!(store.get(absent.id).await.expect("an answer"), None);
    let none = store.find_by_owner(absent.owner).await;
    assert_eq!(none.expect("an answer"), None);
}

/// The owner's tenant is found until it is gone.
pub(super) async fn find_by_owner_finds_the_live_tenant(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    made(&*store).await;
    let tenant = made(&*store).await;
    let found = store.find_by_owner(tenant.owner).await;
    assert_eq!(found.expect("an answer"), Some(tenant.clone()));
    delete(&*store, &tenant).await;
    let found = store.find_by_owner(tenant.owner).await;
    assert_eq!(found.expect("an answer"), None);
}

/// Pages follow the ids, without gap or repetition, and the last says that it is.
pub(super) async fn list_pages_by_id(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let empty = store.list(None, 2).await.expect("an empty page");
    assert_eq!((empty.tenants, empty.next), (vec![], None));

    let mut made_ids = Vec::new();
    for _ in 0..5 {
        made_ids.push(made(&*store).await.id);
    }
    made_ids.sort();
    let (mut listed, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.list(after, 2).await.expect("a page");
        sizes.push(page.tenants.len());
        listed.extend(page.tenants.iter().map(|tenant| tenant.id));
        let Some(next) = page.next else { break };
        assert_eq!(Some(next), listed.last().copied());
        after = Some(next);
    }
    assert_eq!((listed, sizes), (made_ids, vec![2, 2, 1]));
    let whole = store.list(None, 5).await.expect("a page");
    assert_eq!(whole.next, None, "nothing follows a full last page");
}

/// Only those that wait for a host have a position: to run, no place, no hold.
pub(super) async fn queue_position_counts_those_made_before(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let mut queue = Vec::new();
    // Made in another order than they were asked for.
    for millis in [3_u64, 1, 2] {
        let new = NewTenant {
            created_at: T0.plus(std::time::Duration::from_millis(millis)),
            ..new_tenant()
        };
        queue.push(store.create(new).await.expect("made").tenant());
    }
    let positions = async || {
        let mut positions = Vec::new();
        for tenant in &queue {
            positions.push(store.queue_position(tenant.id).await.expect("an answer"));
        }
        positions
    };
    assert_eq!(positions().await, [Some(2), Some(0), Some(1)]);
    let absent = store.queue_position(new_tenant().id).await;
    assert_eq!(absent.expect("an answer"), None);

    let host = ready_host(&*store, "h1").await;
    for claim in claim_all(&*store, "w1").await {
        let mut settlement = settlement(&claim);
        if claim.item.id == queue[1].id {
            let place = store.place(claim.item.id, claim.fence, place_on(&host, 9));
            let location = place.await.expect("the host has room");
            settlement.observed.locations.push(location);
        }
        settle(&*store, &claim, settlement).await;
    }
    assert_eq!(positions().await, [Some(1), None, Some(0)]);

    let suspended = Change::Power(Power::Suspended);
    let change = store.change(queue[2].id, None, suspended, T0).await;
    change.expect("suspended");
    assert_eq!(positions().await, [Some(0), None, None]);

    let restart = store.change(queue[0].id, None, Change::Restart, T0);
    restart.await.expect("due again");
    for claim in claim_all(&*store, "w1").await {
        let mut settlement = settlement(&claim);
        settlement.observed.hold = Some(Hold {
            reason: HoldReason::Conflict,
            message: "held".to_owned(),
            since: T0,
        });
        settle(&*store, &claim, settlement).await;
    }
    assert_eq!(positions().await, [None, None, None]);
}

/// A store that works says so.
pub(super) async fn ping_answers(fixture: &dyn StoreFixture) {
    fixture.store().ping().await.expect("it answers");
    fixture.replica().ping().await.expect("it answers");
}
