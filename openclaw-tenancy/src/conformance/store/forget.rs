//! Hosts that left the configuration.

use std::sync::Arc;
use std::time::Duration;

use super::super::race::race;
use super::StoreFixture;
use super::given::{
    claim_all, host_id, host_settlement, made, now_of, place_on, placed, ready_host, settle,
    settlement,
};
use super::host::{claim_hosts, never_seen, put, settle_host};
use crate::store::{Cordon, HostSettlement, StoreError};

/// An empty host is gone, and known again as one never seen when it is put again.
pub(super) async fn remove_host_forgets_an_empty_host(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    put(&*store, "h2", "ssd").await;
    let other = claim_hosts(&*store, "w1").await.remove(0);
    settle_host(&*store, &other, host_settlement()).await;
    let closed = store.cordon(host.clone(), Cordon::Closed).await;
    closed.expect("cordoned");
    store.remove_host(host.clone()).await.expect("forgotten");

    let replica = fixture.replica();
    let left = replica.hosts().await.expect("listed");
    let left: Vec<_> = left.into_iter().map(|host| host.id).collect();
    assert_eq!(left, [host_id("h2")]);
    for gone in [host, host_id("nowhere")] {
        let again = replica.remove_host(gone).await;
        let unknown = matches!(again, Err(StoreError::NotFound { .. }));
        assert!(unknown, "{again:?}");
    }
    assert_eq!(claim_hosts(&*replica, "w1").await, [], "nobody looks at it");

    put(&*replica, "h1", "nvme").await;
    let claims = claim_hosts(&*store, "w1").await;
    let found: Vec<_> = claims.into_iter().map(|claim| claim.item).collect();
    assert_eq!(found, [never_seen("h1", "nvme")]);
}

/// A host on which a tenant has its place stays as it is, until the tenant has left it.
pub(super) async fn remove_host_keeps_a_host_that_holds_a_tenant(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let (claim, _) = placed(&*store, &host).await;
    let before = store.hosts().await.expect("listed");
    let tenant = now_of(&*store, &claim.item).await;
    let refused = fixture.replica().remove_host(host.clone()).await;
    let in_use = matches!(
        &refused,
        Err(StoreError::HostInUse { host: named, tenants: 1 }) if *named == host
    );
    assert!(in_use, "{refused:?}");
    assert_eq!(store.hosts().await.expect("listed"), before);
    assert_eq!(now_of(&*store, &claim.item).await, tenant);

    let mut left = settlement(&claim);
    left.observed.locations.clear();
    settle(&*store, &claim, left).await;
    store.remove_host(host).await.expect("forgotten");
    assert_eq!(store.hosts().await.expect("listed"), []);
}

/// Whoever looked at the host before it was forgotten writes nothing, also when it is known again and held by another.
pub(super) async fn remove_host_fences_a_claim_of_before(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    put(&*store, "h1", "ssd").await;
    let looking = claim_hosts(&*store, "w1").await.remove(0);
    store.remove_host(host_id("h1")).await.expect("forgotten");
    let late = async || {
        let settlement = HostSettlement {
            marker: Some("late".to_owned()),
            next_due: Duration::ZERO,
            ..host_settlement()
        };
        let answer = store
            .settle_host(looking.item.id.clone(), looking.fence, settlement)
            .await;
        assert!(matches!(answer, Err(StoreError::Fenced)), "{answer:?}");
    };
    late().await;
    assert_eq!(store.hosts().await.expect("listed"), []);
    put(&*store, "h1", "ssd").await;
    late().await;
    let next = claim_hosts(&*store, "w2").await.remove(0);
    late().await;
    assert_eq!(next.item.marker, None);
    settle_host(&*store, &next, host_settlement()).await;
}

/// A tenant is placed or its host is forgotten, and never both.
pub(super) async fn concurrent_remove_and_place_lose_no_host(fixture: &dyn StoreFixture) {
    let stores = [fixture.store(), fixture.replica()];
    let mut hosts = Vec::new();
    for n in 0..16 {
        hosts.push(ready_host(&*stores[0], &format!("h{n:02}")).await);
        made(&*stores[0]).await;
    }
    let claims = claim_all(&*stores[0], "w1").await;
    let answers = race(|n| {
        // Of one host both, each through a store of its own.
        let (pair, removes) = (n as usize / 2, n % 2 == 0);
        let store = Arc::clone(&stores[n as usize % 2]);
        let (id, fence) = (claims[pair].item.id, claims[pair].fence);
        let request = place_on(&hosts[pair], 1000);
        async move {
            if removes {
                store.remove_host(request.host).await
            } else {
                store.place(id, fence, request).await.map(drop)
            }
        }
    })
    .await;
    let left = stores[1].hosts().await.expect("listed");
    for (pair, claim) in claims.iter().enumerate() {
        let (removed, place) = (&answers[pair * 2], &answers[pair * 2 + 1]);
        let (known, places) = match (removed, place) {
            (Ok(()), Err(StoreError::NotFound { .. })) => (false, 0),
            (Err(StoreError::HostInUse { .. }), Ok(())) => (true, 1),
            both => panic!("{both:?}"),
        };
        let listed = left.iter().any(|host| host.id == hosts[pair]);
        let tenant = now_of(&*stores[0], &claim.item).await;
        let found = (listed, tenant.observed.locations.len());
        assert_eq!(found, (known, places), "{}", hosts[pair]);
    }
}
