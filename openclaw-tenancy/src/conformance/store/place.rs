//! Places on hosts: quota where it is written (safety.md I7, F31).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::race::{CALLERS, race};
use super::StoreFixture;
use super::given::{
    AFTER_LEASE, LIMITS, claim_all, claim_one, everything, facts, host_id, host_settlement, made,
    now_of, place_on, placed, pool, ready_host, settle, settlement,
};
use crate::host::{Host, HostState, Reserved, Shortage};
use crate::id::HostId;
use crate::quantity::Bytes;
use crate::store::{Cordon, HostSettlement, PlaceRequest, StoreError, TenantStore};
use crate::tenant::{Certainty, Location};

/// The place is answered, stands in the tenant as unknown, and counts on the host.
pub(super) async fn place_reserves_on_the_host(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let (claim, location) = placed(&*store, &host).await;
    let expected = Location {
        host: host.clone(),
        generation: claim.item.observed.generation,
        subnet: location.subnet,
        granted: LIMITS,
        subnet_taken: false,
        certainty: Certainty::Unknown,
        has_data: false,
        container: None,
    };
    assert_eq!(location, expected);
    assert_eq!(location.generation.0, 1, "a generation of its own");
    assert_eq!(location.subnet.prefix_len(), 29);
    assert!(pool().contains(&location.subnet), "{}", location.subnet);

    let stored = now_of(&*fixture.replica(), &claim.item).await.observed;
    assert_eq!(stored.locations, std::slice::from_ref(&location));
    assert_eq!(stored.generation, location.generation);
    let reserved = host_of(&*store, &host).await.reserved;
    assert_eq!(reserved, Reserved::default().with(&LIMITS));

    settle(&*store, &claim, settlement(&claim)).await;
    let kept = host_of(&*store, &host).await.reserved;
    assert_eq!(kept, reserved, "a settle that names the place keeps it");
}

/// Asking again on the same host gives the same place and reserves nothing more.
pub(super) async fn place_again_gives_the_same_place(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let (claim, location) = placed(&*store, &host).await;
    let before = everything(&store).await;
    let again = store
        .place(claim.item.id, claim.fence, place_on(&host, 1))
        .await;
    assert_eq!(again.expect("the same place"), location);
    assert_eq!(everything(&store).await, before);
}

/// A full host says what lacks, and nothing is reserved.
pub(super) async fn place_refuses_a_host_without_room(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    placed(&*store, &host).await;
    made(&*store).await;
    let claim = claim_one(&*store).await;
    let before = everything(&store).await;
    let answer = store
        .place(claim.item.id, claim.fence, place_on(&host, 1))
        .await;
    let Err(StoreError::NoRoom {
        host: full,
        shortage,
    }) = answer
    else {
        panic!("refused: {answer:?}");
    };
    assert_eq!(full, host);
    assert!(matches!(shortage, Shortage::Cpu { .. }), "{shortage:?}");

    let mut small = place_on(&host, 9);
    small.capacity.memory = Bytes(LIMITS.memory.0 * 2 - 1);
    let answer = store.place(claim.item.id, claim.fence, small).await;
    let lacks_memory = matches!(
        answer,
        Err(StoreError::NoRoom {
            shortage: Shortage::Memory { .. },
            ..
        })
    );
    assert!(lacks_memory, "{answer:?}");
    assert_eq!(everything(&store).await, before);
}

/// A host that was cordoned or quarantined after the scheduler looked takes nothing; nor does an unknown one.
pub(super) async fn place_refuses_a_host_that_takes_nothing(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let cordoned = ready_host(&*store, "h1").await;
    store
        .cordon(cordoned.clone(), Cordon::Closed)
        .await
        .expect("cordoned");
    let quarantined = host_id("h2");
    store
        .put_host(quarantined.clone(), BTreeMap::new())
        .await
        .expect("put");
    let request = super::given::claim_request("w-host", 1);
    let claim = store.claim_hosts(request).await.expect("claimed").remove(0);
    let settlement = HostSettlement {
        state: HostState::Quarantined {
            since: super::given::T0,
            reason: "a clone".to_owned(),
        },
        ..host_settlement()
    };
    store
        .settle_host(claim.item.id, claim.fence, settlement)
        .await
        .expect("settled");

    made(&*store).await;
    let claim = claim_one(&*store).await;
    for host in [&cordoned, &quarantined] {
        let answer = store
            .place(claim.item.id, claim.fence, place_on(host, 9))
            .await;
        let refused = matches!(
            answer,
            Err(StoreError::NoRoom {
                shortage: Shortage::NotTaking { .. },
                ..
            })
        );
        assert!(refused, "{answer:?}");
    }
    let unknown = place_on(&host_id("nowhere"), 9);
    let answer = store.place(claim.item.id, claim.fence, unknown).await;
    let refused = matches!(answer, Err(StoreError::NotFound { what: "host" }));
    assert!(refused, "{answer:?}");
}

/// Swap is granted as far as the host has it; the image's floor decides whether that is enough.
pub(super) async fn place_grants_no_more_swap_than_is_left(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    let mut request = place_on(&host, 9);
    request.capacity.swap = Bytes(LIMITS.swap.0 + 1);
    let mut granted = Vec::new();
    for _ in 0..2 {
        made(&*store).await;
        let claim = claim_one(&*store).await;
        let place = store.place(claim.item.id, claim.fence, request.clone());
        granted.push(place.await.expect("there is room").granted.swap);
    }
    assert_eq!(granted, [LIMITS.swap, Bytes(1)]);

    made(&*store).await;
    let claim = claim_one(&*store).await;
    request.floor = Bytes(LIMITS.memory.0 + 1);
    let answer = store.place(claim.item.id, claim.fence, request).await;
    let below = matches!(
        answer,
        Err(StoreError::NoRoom {
            shortage: Shortage::ImageFloor { .. },
            ..
        })
    );
    assert!(below, "{answer:?}");
}

/// Who lost the claim reserves nothing.
pub(super) async fn place_is_fenced_when_the_claim_has_passed_on(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    made(&*store).await;
    let lost = claim_one(&*store).await;
    fixture.pass(AFTER_LEASE).await;
    let held = claim_one(&*store).await;
    let before = everything(&store).await;
    let late = store
        .place(lost.item.id, lost.fence, place_on(&host, 9))
        .await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(everything(&store).await, before);

    settle(&*store, &held, settlement(&held)).await;
    let settled = store
        .place(held.item.id, held.fence, place_on(&host, 9))
        .await;
    assert!(matches!(settled, Err(StoreError::Fenced)), "{settled:?}");
}

/// Each tenant of a host has a subnet of its own, another host counts anew, and a freed one is used again.
pub(super) async fn place_gives_subnets_until_the_pool_is_empty(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let hosts = [
        ready_host(&*store, "h1").await,
        ready_host(&*store, "h2").await,
    ];
    let in_small_pool = |host: &HostId| PlaceRequest {
        pool: "10.9.0.0/28".parse().expect("a network"),
        ..place_on(host, 9)
    };
    let mut first = None;
    for host in &hosts {
        let mut subnets = BTreeSet::new();
        for _ in 0..2 {
            made(&*store).await;
            let claim = claim_one(&*store).await;
            let place = store.place(claim.item.id, claim.fence, in_small_pool(host));
            subnets.insert(place.await.expect("there is room").subnet);
            first.get_or_insert(claim);
        }
        let expected = ["10.9.0.0/29", "10.9.0.8/29"].map(|s| s.parse().expect("a network"));
        assert_eq!(subnets, BTreeSet::from(expected));
    }
    made(&*store).await;
    let claim = claim_one(&*store).await;
    let place = async || {
        let request = in_small_pool(&hosts[0]);
        store.place(claim.item.id, claim.fence, request).await
    };
    let answer = place().await;
    assert!(
        matches!(answer, Err(StoreError::NoRoom { .. })),
        "{answer:?}"
    );
    // The settlement of the first names no place: its subnet is free.
    let first = first.expect("one was placed");
    settle(&*store, &first, settlement(&first)).await;
    let reused = place().await.expect("there is room again");
    assert_eq!(reused.subnet.to_string(), "10.9.0.0/29");
}

/// A subnet that a network of the host holds, or a part of it, is given to nobody (safety.md I10).
pub(super) async fn place_gives_no_subnet_that_the_host_has(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = host_id("h1");
    store
        .put_host(host.clone(), BTreeMap::new())
        .await
        .expect("put");
    let request = super::given::claim_request("w-host", 1);
    let seen = store.claim_hosts(request).await.expect("claimed").remove(0);
    let settlement = HostSettlement {
        facts: Some(facts()),
        ..host_settlement()
    };
    store
        .settle_host(host.clone(), seen.fence, settlement)
        .await
        .expect("settled");
    made(&*store).await;
    let claim = claim_one(&*store).await;
    let request = PlaceRequest {
        pool: "10.9.0.0/28".parse().expect("a network"),
        ..place_on(&host, 9)
    };
    let placed = store.place(claim.item.id, claim.fence, request).await;
    let subnet = placed.expect("one is free").subnet;
    assert_eq!(subnet.to_string(), "10.9.0.8/29");
}

/// I7: 32 places at once on a host with room for 5.
pub(super) async fn concurrent_places_never_exceed_the_capacity(fixture: &dyn StoreFixture) {
    let (answers, host) = race_to_place(fixture, 5).await;
    let placed = answers.iter().filter(|answer| answer.is_ok()).count();
    let full = |answer: &Result<_, _>| matches!(answer, Err(StoreError::NoRoom { .. }));
    let refused = answers.iter().filter(|answer| full(answer)).count();
    assert_eq!((placed, refused), (5, 27), "{answers:?}");
    let reserved = (0..5).fold(Reserved::default(), |sum, _| sum.with(&LIMITS));
    assert_eq!(host.reserved, reserved);
}

/// 32 places at once on a host with room for all have 32 subnets.
pub(super) async fn concurrent_places_share_no_subnet(fixture: &dyn StoreFixture) {
    let (answers, _) = race_to_place(fixture, 100).await;
    let subnets: BTreeSet<_> = answers
        .iter()
        .map(|answer| answer.as_ref().expect("there is room").subnet)
        .collect();
    assert_eq!(subnets.len(), CALLERS as usize);
}

async fn race_to_place(
    fixture: &dyn StoreFixture,
    room: u64,
) -> (Vec<Result<Location, StoreError>>, Host) {
    let stores = [fixture.store(), fixture.replica()];
    let host = ready_host(&*stores[0], "h1").await;
    for _ in 0..CALLERS {
        made(&*stores[0]).await;
    }
    let claims = claim_all(&*stores[0], "w1").await;
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let (id, fence) = (claims[n as usize].item.id, claims[n as usize].fence);
        let request = place_on(&host, room);
        async move { store.place(id, fence, request).await }
    })
    .await;
    let host = host_of(&*stores[0], &host).await;
    (answers, host)
}

async fn host_of(store: &dyn TenantStore, id: &HostId) -> Host {
    let hosts = store.hosts().await.expect("hosts are listed");
    let found = hosts.into_iter().find(|host| host.id == *id);
    found.expect("the host is known")
}
