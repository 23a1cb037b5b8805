//! Making tenants.

use std::sync::Arc;

use super::super::race::{CALLERS, race};
use super::StoreFixture;
use super::given::{DAY, T0, claim_all, delete, made, new_tenant, now_of};
use crate::store::{Change, Created, StoreError, rules};
use crate::tenant::{NewTenant, Observed, Power, Tenant};

/// The row has what was asked for, revision 1 and nothing observed; reads agree with the answer.
pub(super) async fn create_writes_what_was_asked_for(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let new = new_tenant();
    let created = store.create(new.clone()).await.expect("it is made");
    let Created::New(tenant) = created else {
        panic!("made now: {created:?}");
    };
    assert_eq!(tenant, rules::made(new.clone()));
    assert_eq!(tenant.revision.0, 1);
    assert_eq!(tenant.observed, Observed::default());
    assert_eq!(now_of(&*fixture.replica(), &tenant).await, tenant);
    assert_eq!((tenant.settings, tenant.created_at), (new.settings, T0));
}

/// A worker can claim it without waiting.
pub(super) async fn create_makes_the_tenant_due_at_once(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claims = claim_all(&*store, "w1").await;
    let ids: Vec<_> = claims.iter().map(|claim| claim.item.id).collect();
    assert_eq!(ids, [tenant.id]);
}

/// One live tenant for each owner; one that is being deleted still counts, one that is gone does not.
pub(super) async fn create_refuses_an_owner_who_has_one(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let first = made(&*store).await;
    let again = || NewTenant {
        owner: first.owner,
        ..new_tenant()
    };
    let refused = |answer| match answer {
        Err(StoreError::AlreadyHasTenant { existing }) => assert_eq!(existing, first.id),
        other => panic!("refused, naming the first: {other:?}"),
    };
    refused(store.create(again()).await);
    let deleted = Change::Power(Power::Deleted);
    store
        .change(first.id, None, deleted, T0)
        .await
        .expect("it is to be deleted");
    refused(store.create(again()).await);
    delete(&*store, &first).await;
    store.create(again()).await.expect("the owner has none now");
}

/// A slug leads to one tenant.
pub(super) async fn create_refuses_a_slug_in_use(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let first = made(&*store).await;
    let answer = store.create(with_slug_of(&first)).await;
    let Err(StoreError::SlugTaken { slug }) = answer else {
        panic!("refused: {answer:?}");
    };
    assert_eq!(slug, first.slug);
}

/// Nobody gets a freed slug for 30 days (safety.md A32), then anybody may.
pub(super) async fn create_refuses_a_slug_for_30_days_after_it_was_freed(
    fixture: &dyn StoreFixture,
) {
    let store = fixture.store();
    let first = made(&*store).await;
    delete(&*store, &first).await;
    let after = |days| NewTenant {
        created_at: T0.plus(DAY * days),
        ..with_slug_of(&first)
    };
    for days in [0, 29] {
        let answer = store.create(after(days)).await;
        let kept = matches!(answer, Err(StoreError::SlugTaken { .. }));
        assert!(kept, "kept back after {days} days: {answer:?}");
    }
    store.create(after(30)).await.expect("free after 30 days");
    let events = store.events(Some(first.id), 0, 10).await.expect("read");
    assert_eq!(events, [], "what happened to it is forgotten with it");
}

/// A plan's seats are counted over live tenants of that plan.
pub(super) async fn create_refuses_more_than_the_seats_of_the_plan(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let seated = || NewTenant {
        seats: Some(2),
        ..new_tenant()
    };
    let first = store.create(seated()).await.expect("the first seat");
    store.create(seated()).await.expect("the second seat");
    let answer = store.create(seated()).await;
    let full = matches!(answer, Err(StoreError::NoSeat { seats: 2 }));
    assert!(full, "{answer:?}");

    let mut other = seated();
    other.desired.plan = crate::plan::PlanName::new("pro").expect("a plan name");
    store.create(other).await.expect("another plan has its own");
    delete(&*store, &first.tenant()).await;
    store.create(seated()).await.expect("a seat is free again");
}

/// An id is one tenant's.
pub(super) async fn create_refuses_an_id_in_use(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let first = made(&*store).await;
    let other = NewTenant {
        id: first.id,
        ..new_tenant()
    };
    let answer = store.create(other).await;
    let refused = matches!(answer, Err(StoreError::Conflict { .. }));
    assert!(refused, "{answer:?}");
    assert_eq!(now_of(&*store, &first).await, first);
}

/// Of 32 creates of one owner at once, one succeeds and the others name it.
pub(super) async fn concurrent_creates_give_an_owner_one_tenant(fixture: &dyn StoreFixture) {
    let owner = new_tenant().owner;
    let answers = race_to_create(fixture, |_| NewTenant {
        owner,
        ..new_tenant()
    })
    .await;
    let winner = one_winner(&answers);
    for answer in &answers {
        if let Err(error) = answer {
            let names_it = matches!(error, StoreError::AlreadyHasTenant { existing } if *existing == winner.id);
            assert!(names_it, "{error:?}");
        }
    }
    let page = fixture.store().list(None, 100).await.expect("listed");
    assert_eq!(page.tenants, [winner]);
}

/// Of 32 creates with one slug at once, one succeeds.
pub(super) async fn concurrent_creates_give_a_slug_once(fixture: &dyn StoreFixture) {
    let slug = new_tenant().slug;
    let answers = race_to_create(fixture, |_| NewTenant {
        slug: slug.clone(),
        ..new_tenant()
    })
    .await;
    one_winner(&answers);
    let taken = |answer: &Result<_, _>| matches!(answer, Err(StoreError::SlugTaken { .. }));
    assert_eq!(answers.iter().filter(|answer| taken(answer)).count(), 31);
}

/// Of 32 creates at once on a plan of 5 seats, 5 succeed.
pub(super) async fn concurrent_creates_never_exceed_the_seats(fixture: &dyn StoreFixture) {
    let answers = race_to_create(fixture, |_| NewTenant {
        seats: Some(5),
        ..new_tenant()
    })
    .await;
    let seated = answers.iter().filter(|answer| answer.is_ok()).count();
    let full = |answer: &Result<_, _>| matches!(answer, Err(StoreError::NoSeat { seats: 5 }));
    let refused = answers.iter().filter(|answer| full(answer)).count();
    assert_eq!((seated, refused), (5, 27), "{answers:?}");
    let page = fixture.store().list(None, 100).await.expect("listed");
    assert_eq!(page.tenants.len(), 5);
}

fn with_slug_of(tenant: &Tenant) -> NewTenant {
    NewTenant {
        slug: tenant.slug.clone(),
        ..new_tenant()
    }
}

async fn race_to_create(
    fixture: &dyn StoreFixture,
    new: impl Fn(u32) -> NewTenant + Send + Sync,
) -> Vec<Result<Created, StoreError>> {
    let stores = [fixture.store(), fixture.replica()];
    race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let new = new(n);
        async move { store.create(new).await }
    })
    .await
}

fn one_winner(answers: &[Result<Created, StoreError>]) -> Tenant {
    assert_eq!(answers.len(), CALLERS as usize);
    let mut made = answers.iter().filter_map(|answer| match answer {
        Ok(Created::New(tenant)) => Some(tenant.clone()),
        Ok(Created::Replayed(_)) | Err(_) => None,
    });
    let winner = made.next().expect("one succeeds");
    assert_eq!(made.next(), None, "only one succeeds");
    winner
}
