//! Idempotency keys of creates (safety.md I5, F26, A34).

use std::sync::Arc;

use super::super::race::{CALLERS, race};
use super::StoreFixture;
use super::given::{DAY, HOUR, T0, delete, everything, made, new_tenant, now_of};
use crate::store::{Created, StoreError};
use crate::tenant::{IdempotencyKey, NewTenant, Power, Tenant};

/// The same key and request give the first tenant, as it is now, and make nothing.
pub(super) async fn create_replays_the_same_request_by_its_key(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let first = keyed("k1", "a");
    let tenant = store.create(first.clone()).await.expect("made").tenant();
    let before = everything(&store).await;
    let replica = fixture.replica();
    let replayed = replica.create(again(&first)).await.expect("replayed");
    assert_eq!(replayed, Created::Replayed(tenant));
    assert_eq!(everything(&store).await, before);
}

/// The same key with another request is refused, and makes nothing.
pub(super) async fn create_refuses_a_key_of_another_request(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let first = keyed("k1", "a");
    store.create(first.clone()).await.expect("made");
    let before = everything(&store).await;
    let mut other = again(&first);
    other.idempotency = key("k1", "b");
    let answer = store.create(other).await;
    let refused = matches!(answer, Err(StoreError::IdempotencyMismatch));
    assert!(refused, "{answer:?}");
    assert_eq!(everything(&store).await, before);
}

/// Another owner's key of the same text is another key.
pub(super) async fn create_scopes_a_key_to_its_owner(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    store.create(keyed("k1", "a")).await.expect("made");
    let other = keyed("k1", "b");
    let created = store.create(other.clone()).await.expect("made");
    assert!(matches!(created, Created::New(tenant) if tenant.owner == other.owner));
}

/// A key answers for 24 hours, then it is as if it had never been used.
pub(super) async fn create_forgets_a_key_after_24_hours(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let first = keyed("k1", "a");
    let tenant = store.create(first.clone()).await.expect("made").tenant();
    let at = |time, request| NewTenant {
        created_at: time,
        idempotency: key("k1", request),
        ..again(&first)
    };
    let late = at(T0.plus(DAY.saturating_sub(HOUR)), "a");
    let replayed = store.create(late).await.expect("replayed");
    assert_eq!(replayed, Created::Replayed(tenant.clone()));

    delete(&*store, &tenant).await;
    let created = store.create(at(T0.plus(DAY), "b")).await;
    assert!(matches!(created, Ok(Created::New(_))), "{created:?}");
    // And the key answers for its new request from now on.
    let replayed = store.create(at(T0.plus(DAY + HOUR), "b")).await;
    assert!(matches!(replayed, Ok(Created::Replayed(_))), "{replayed:?}");
}

/// A late repeat does not make a second tenant after the first was deleted; it tells that it was.
pub(super) async fn create_replays_even_after_the_tenant_is_gone(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let first = keyed("k1", "a");
    let tenant = store.create(first.clone()).await.expect("made").tenant();
    delete(&*store, &tenant).await;
    let answer = store.create(again(&first)).await.expect("replayed");
    let Created::Replayed(replayed) = answer else {
        panic!("replayed: {answer:?}");
    };
    assert_eq!((replayed.id, &replayed.slug), (tenant.id, &tenant.slug));
    assert_eq!(replayed.desired.power, Power::Deleted);
    assert_eq!(replayed.settings.email, None, "contact text does not stay");
    let page = store.list(None, 10).await.expect("listed");
    assert_eq!(page.tenants, []);
}

/// A refused create leaves its key, its slug and its seat for another.
pub(super) async fn create_uses_up_nothing_when_it_refuses(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let holder = made(&*store).await;
    let before = everything(&store).await;
    let refused = NewTenant {
        slug: holder.slug.clone(),
        seats: Some(2),
        ..keyed("k1", "a")
    };
    let answer = store.create(refused.clone()).await;
    let taken = matches!(answer, Err(StoreError::SlugTaken { .. }));
    assert!(taken, "{answer:?}");
    let other = NewTenant {
        owner: holder.owner,
        ..refused.clone()
    };
    let answer = store.create(other).await;
    let has_one = matches!(answer, Err(StoreError::AlreadyHasTenant { .. }));
    assert!(has_one, "{answer:?}");
    assert_eq!(everything(&store).await, before);

    let free = NewTenant {
        idempotency: key("k1", "b"),
        slug: new_tenant().slug,
        ..refused
    };
    let created = store.create(free).await;
    assert!(matches!(created, Ok(Created::New(_))), "{created:?}");
}

/// F26: one key, 32 callers on two replicas: one effect, 32 equal answers.
pub(super) async fn concurrent_creates_with_one_key_have_one_effect(fixture: &dyn StoreFixture) {
    let first = keyed("k1", "a");
    let stores = [fixture.store(), fixture.replica()];
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let new = again(&first);
        async move { store.create(new).await }
    })
    .await;
    let mut made = 0;
    let mut tenants: Vec<Tenant> = Vec::new();
    for answer in answers {
        let created = answer.expect("every caller has an answer");
        made += usize::from(matches!(created, Created::New(_)));
        tenants.push(created.tenant());
    }
    assert_eq!((made, tenants.len()), (1, CALLERS as usize));
    tenants.dedup();
    assert_eq!(tenants.len(), 1, "the answers are equal: {tenants:?}");
    assert_eq!(now_of(&*stores[0], &tenants[0]).await, tenants[0]);
}

/// A key that two requests use at once belongs to one of them.
pub(super) async fn concurrent_creates_of_two_requests_with_one_key_have_one_effect(
    fixture: &dyn StoreFixture,
) {
    let first = keyed("k1", "a");
    let stores = [fixture.store(), fixture.replica()];
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let mut new = again(&first);
        new.idempotency = key("k1", if n % 4 < 2 { "a" } else { "b" });
        async move { store.create(new).await }
    })
    .await;
    let ok = answers.iter().filter(|answer| answer.is_ok()).count();
    let is_mismatch =
        |answer: &Result<_, _>| matches!(answer, Err(StoreError::IdempotencyMismatch));
    let mismatches = answers.iter().filter(|answer| is_mismatch(answer)).count();
    assert_eq!((ok, mismatches), (16, 16), "{answers:?}");
    let page = stores[0].list(None, 10).await.expect("listed");
    assert_eq!(page.tenants.len(), 1);
}

fn key(key: &str, request: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey {
        key: key.to_owned(),
        request: request.to_owned(),
    })
}

fn keyed(text: &str, request: &str) -> NewTenant {
    NewTenant {
        idempotency: key(text, request),
        ..new_tenant()
    }
}

/// The same request once more: a caller draws a new id and a new random slug.
fn again(first: &NewTenant) -> NewTenant {
    NewTenant {
        owner: first.owner,
        settings: first.settings.clone(),
        idempotency: first.idempotency.clone(),
        ..new_tenant()
    }
}
