//! Hosts, claims on them, and what they stir.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::race::race;
use super::StoreFixture;
use super::given::{
    AFTER_LEASE, LATER, T0, claim_all, claim_one, claim_request, facts, host_id, host_settlement,
    made, placed, ready_host, settle, settlement,
};
use crate::host::{Host, HostState, Reserved};
use crate::store::{Claim, Cordon, HostSettlement, StoreError, TenantStore, rules};

/// A new host is listed, empty and open, and a worker looks at it without waiting.
pub(super) async fn put_host_makes_a_host_known_and_due(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    put(&*store, "h1", "ssd").await;
    let expected = never_seen("h1", "ssd");
    let hosts = fixture.replica().hosts().await.expect("listed");
    assert_eq!(hosts, std::slice::from_ref(&expected));
    let claims = claim_hosts(&*store, "w1").await;
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].item, expected);
}

/// A restart of the server, which puts its hosts again, forgets nothing of them.
pub(super) async fn put_host_again_changes_only_labels(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    placed(&*store, &host).await;
    store.cordon(host, Cordon::Closed).await.expect("cordoned");
    let mut expected = store.hosts().await.expect("listed").remove(0);
    put(&*store, "h1", "nvme").await;
    expected.labels = BTreeMap::from([("disk".to_owned(), "nvme".to_owned())]);
    assert_eq!(store.hosts().await.expect("listed"), [expected]);
    assert_eq!(claim_hosts(&*store, "w1").await, [], "it is not due again");
}

/// A cordon stays until it is lifted; an unknown host has none.
pub(super) async fn cordon_closes_and_opens_a_host(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    for cordon in [Cordon::Closed, Cordon::Closed, Cordon::Open, Cordon::Open] {
        store.cordon(host.clone(), cordon).await.expect("success");
        let hosts = store.hosts().await.expect("listed");
        assert_eq!(hosts[0].cordoned, cordon == Cordon::Closed);
    }
    let unknown = store.cordon(host_id("nowhere"), Cordon::Closed).await;
    let refused = matches!(unknown, Err(StoreError::NotFound { .. }));
    assert!(refused, "{unknown:?}");
}

/// A released host is as one just made known, and looked at without waiting; what the operator said of it and what is
/// reserved on it stays.
pub(super) async fn release_host_makes_a_quarantined_host_new_and_due(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let host = ready_host(&*store, "h1").await;
    placed(&*store, &host).await;
    put(&*store, "h1", "ssd").await;
    store
        .cordon(host.clone(), Cordon::Closed)
        .await
        .expect("cordoned");
    fixture.pass(rules::FARTHEST + Duration::from_secs(1)).await;
    let claim = claim_hosts(&*store, "w1").await.remove(0);
    settle_host(&*store, &claim, quarantine()).await;
    let mut expected = store.hosts().await.expect("listed").remove(0);
    assert_eq!(expected.state, quarantine().state);
    assert_eq!(claim_hosts(&*store, "w1").await, [], "it is not due");
    store.release_host(host).await.expect("released");
    expected.state = HostState::New;
    expected.facts = None;
    expected.marker = None;
    assert_ne!(expected.reserved, Reserved::default());
    let hosts = fixture.replica().hosts().await.expect("listed");
    assert_eq!(hosts, std::slice::from_ref(&expected));
    let claims = claim_hosts(&*store, "w1").await;
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].item, expected);
}

/// Only a quarantine is ended, and an unknown host has none.
pub(super) async fn release_host_without_a_quarantine_changes_nothing(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    put(&*store, "h1", "ssd").await;
    let host = host_id("h1");
    for state in [
        HostState::Ready,
        HostState::Unreachable {
            since: T0,
            reason: "no answer".to_owned(),
        },
    ] {
        let claim = claim_hosts(&*store, "w1").await.remove(0);
        let known = HostSettlement {
            state,
            facts: Some(facts()),
            marker: Some("m1".to_owned()),
            ..host_settlement()
        };
        settle_host(&*store, &claim, known).await;
        let before = store.hosts().await.expect("listed");
        store.release_host(host.clone()).await.expect("success");
        assert_eq!(store.hosts().await.expect("listed"), before);
        assert_eq!(claim_hosts(&*store, "w1").await, [], "it is not due");
        fixture.pass(rules::FARTHEST + Duration::from_secs(1)).await;
    }
    let unknown = store.release_host(host_id("nowhere")).await;
    let refused = matches!(unknown, Err(StoreError::NotFound { .. }));
    assert!(refused, "{unknown:?}");
}

/// Who looked before the release does not bring the quarantine back, nor keep the host from being looked at.
pub(super) async fn release_host_survives_the_settle_of_a_claim_before_it(
    fixture: &dyn StoreFixture,
) {
    let store = fixture.store();
    put(&*store, "h1", "ssd").await;
    let first = claim_hosts(&*store, "w1").await.remove(0);
    let due = HostSettlement {
        next_due: Duration::ZERO,
        ..quarantine()
    };
    settle_host(&*store, &first, due).await;
    let looking = claim_hosts(&*store, "w1").await.remove(0);
    store.release_host(host_id("h1")).await.expect("released");
    let late = store
        .settle_host(looking.item.id.clone(), looking.fence, quarantine())
        .await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let next = claim_hosts(&*store, "w2").await.remove(0);
    assert_eq!(next.item.state, HostState::New);
    let late = store
        .settle_host(looking.item.id, looking.fence, quarantine())
        .await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    settle_host(&*store, &next, host_settlement()).await;
    let host = store.hosts().await.expect("listed").remove(0);
    assert_eq!(host.state, HostState::Ready);
}

/// The order of hosts is that of their ids.
pub(super) async fn hosts_are_listed_by_id(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    assert_eq!(store.hosts().await.expect("listed"), []);
    for name in ["h-b", "h2", "h10", "h-a"] {
        put(&*store, name, "ssd").await;
    }
    let hosts = store.hosts().await.expect("listed");
    let names: Vec<_> = hosts.iter().map(|host| host.id.as_str()).collect();
    assert_eq!(
        names,
        ["h-a", "h-b", "h10", "h2"],
        "by byte, as ids compare"
    );
}

/// While the lease lasts nobody else looks at the host.
pub(super) async fn claim_hosts_excludes_a_second_holder(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    for name in ["h1", "h2", "h3"] {
        put(&*store, name, "ssd").await;
    }
    let two = store.claim_hosts(claim_request("w1", 2)).await;
    assert_eq!(two.expect("claimed").len(), 2, "at most the limit");
    assert_eq!(claim_hosts(&*fixture.replica(), "w2").await.len(), 1);
    assert_eq!(claim_hosts(&*store, "w1").await, []);
}

/// A holder that vanished loses the host when the lease ends; a settled one is due when it said.
pub(super) async fn claim_hosts_passes_on_when_the_lease_ends(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    put(&*store, "h1", "ssd").await;
    let first = claim_hosts(&*store, "w1").await.remove(0);
    fixture.pass(AFTER_LEASE).await;
    let second = claim_hosts(&*store, "w2").await.remove(0);
    assert!(first.fence < second.fence);
    let due_later = HostSettlement {
        next_due: LATER,
        ..host_settlement()
    };
    settle_host(&*store, &second, due_later).await;
    assert_eq!(claim_hosts(&*store, "w1").await, []);
    fixture.pass(LATER + Duration::from_secs(1)).await;
    assert_eq!(claim_hosts(&*store, "w1").await.len(), 1);
}

/// 32 workers on two replicas: each host has one holder.
pub(super) async fn concurrent_host_claims_share_nothing(fixture: &dyn StoreFixture) {
    let stores = [fixture.store(), fixture.replica()];
    for n in 0..16 {
        put(&*stores[0], &format!("h{n:02}"), "ssd").await;
    }
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let request = claim_request(&format!("w{n}"), 1);
        async move { store.claim_hosts(request).await }
    })
    .await;
    let mut claimed: Vec<_> = answers
        .into_iter()
        .flat_map(|answer| answer.expect("an answer"))
        .map(|claim| claim.item.id)
        .collect();
    claimed.extend(
        claim_hosts(&*stores[0], "late")
            .await
            .into_iter()
            .map(|c| c.item.id),
    );
    claimed.sort();
    let all: Vec<_> = (0..16).map(|n| host_id(&format!("h{n:02}"))).collect();
    assert_eq!(claimed, all);
}

/// State, facts and marker are kept; `None` leaves what was known.
pub(super) async fn settle_host_writes_what_was_seen(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    put(&*store, "h1", "ssd").await;
    let facts = facts();
    let first = HostSettlement {
        facts: Some(facts.clone()),
        marker: Some("m1".to_owned()),
        next_due: Duration::ZERO,
        ..host_settlement()
    };
    let lost = HostState::Unreachable {
        since: T0,
        reason: "no answer".to_owned(),
    };
    let second = HostSettlement {
        state: lost.clone(),
        ..host_settlement()
    };
    for (settlement, state) in [(first, HostState::Ready), (second, lost)] {
        let claim = claim_hosts(&*store, "w1").await.remove(0);
        settle_host(&*store, &claim, settlement).await;
        let host = fixture.replica().hosts().await.expect("listed").remove(0);
        assert_eq!(host.state, state);
        assert_eq!(host.facts.as_ref(), Some(&facts));
        assert_eq!(host.marker.as_deref(), Some("m1"));
    }
}

/// Whoever lost the host writes nothing and stirs nobody; nor does one that has settled.
pub(super) async fn settle_host_is_fenced_when_the_claim_has_passed_on(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    settle(&*store, &claim, settlement(&claim)).await;
    put(&*store, "h1", "ssd").await;
    let lost = claim_hosts(&*store, "w1").await.remove(0);
    fixture.pass(AFTER_LEASE).await;
    let held = claim_hosts(&*store, "w2").await.remove(0);
    let before = store.hosts().await.expect("listed");
    let late = || HostSettlement {
        stirred: vec![tenant.id],
        marker: Some("late".to_owned()),
        next_due: Duration::ZERO,
        ..host_settlement()
    };
    let fenced = async |claim: &Claim<Host>| {
        let answer = store
            .settle_host(claim.item.id.clone(), claim.fence, late())
            .await;
        assert!(matches!(answer, Err(StoreError::Fenced)), "{answer:?}");
    };
    fenced(&lost).await;
    assert_eq!(store.hosts().await.expect("listed"), before);
    settle_host(&*store, &held, host_settlement()).await;
    fenced(&held).await;
    assert_eq!(claim_hosts(&*store, "w3").await, []);
    assert_eq!(claim_all(&*store, "w3").await, [], "nobody was stirred");
    let nowhere = store
        .settle_host(host_id("nowhere"), held.fence, late())
        .await;
    assert!(matches!(nowhere, Err(StoreError::Fenced)), "{nowhere:?}");
}

/// What changed on a host is looked at without waiting; the rest waits; the unknown is no error.
pub(super) async fn settle_host_makes_stirred_tenants_due(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let mut tenants = Vec::new();
    for _ in 0..3 {
        tenants.push(made(&*store).await.id);
    }
    for claim in claim_all(&*store, "w1").await {
        settle(&*store, &claim, settlement(&claim)).await;
    }
    put(&*store, "h1", "ssd").await;
    let host = claim_hosts(&*store, "w1").await.remove(0);
    let stir = HostSettlement {
        stirred: vec![tenants[2], super::given::new_tenant().id, tenants[0]],
        ..host_settlement()
    };
    settle_host(&*store, &host, stir).await;
    let mut due: Vec<_> = claim_all(&*store, "w1")
        .await
        .iter()
        .map(|c| c.item.id)
        .collect();
    due.sort();
    assert_eq!(due, [tenants[0], tenants[2]]);
}

/// A tenant that is being worked on is looked at once more afterwards.
pub(super) async fn settle_host_stirs_a_tenant_that_is_claimed(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    put(&*store, "h1", "ssd").await;
    let host = claim_hosts(&*store, "w1").await.remove(0);
    let stir = HostSettlement {
        stirred: vec![tenant.id],
        ..host_settlement()
    };
    settle_host(&*store, &host, stir).await;
    assert_eq!(claim_all(&*store, "w2").await, [], "it is held");
    settle(&*store, &claim, settlement(&claim)).await;
    let again = claim_one(&*store).await;
    // Once: what was stirred before this claim is not due after it.
    settle(&*store, &again, settlement(&again)).await;
    assert_eq!(claim_all(&*store, "w1").await, []);
    fixture.pass(rules::FARTHEST).await;
    assert_eq!(claim_all(&*store, "w1").await.len(), 1);
}

/// A host's tenants are those that have a place there.
pub(super) async fn tenants_on_lists_those_with_a_place_there(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let hosts = [
        ready_host(&*store, "h1").await,
        ready_host(&*store, "h2").await,
    ];
    let mut on_first = Vec::new();
    for host in [&hosts[0], &hosts[1], &hosts[0]] {
        let (claim, _) = placed(&*store, host).await;
        settle(&*store, &claim, settlement(&claim)).await;
        if host == &hosts[0] {
            on_first.push(super::given::now_of(&*store, &claim.item).await);
        }
    }
    made(&*store).await;
    let listed = store.tenants_on(hosts[0].clone()).await.expect("listed");
    assert_eq!(listed, on_first);
    let none = store.tenants_on(host_id("nowhere")).await;
    assert_eq!(none.expect("an answer"), []);
}

/// What a host is that was [put](put) and that nobody has looked at.
pub(super) fn never_seen(name: &str, disk: &str) -> Host {
    Host {
        id: host_id(name),
        labels: BTreeMap::from([("disk".to_owned(), disk.to_owned())]),
        cordoned: false,
        state: HostState::New,
        facts: None,
        marker: None,
        reserved: Reserved::default(),
    }
}

pub(super) async fn put(store: &dyn TenantStore, name: &str, disk: &str) {
    let labels = BTreeMap::from([("disk".to_owned(), disk.to_owned())]);
    let put = store.put_host(host_id(name), labels).await;
    put.expect("the host is put");
}

pub(super) async fn claim_hosts(store: &dyn TenantStore, name: &str) -> Vec<Claim<Host>> {
    let claims = store.claim_hosts(claim_request(name, 100)).await;
    claims.expect("hosts are claimed")
}

pub(super) async fn settle_host(
    store: &dyn TenantStore,
    claim: &Claim<Host>,
    settlement: HostSettlement,
) {
    let settled = store
        .settle_host(claim.item.id.clone(), claim.fence, settlement)
        .await;
    settled.expect("the host is settled");
}

/// What is settled of a host that is not the one it was.
fn quarantine() -> HostSettlement {
    HostSettlement {
        state: HostState::Quarantined {
            since: T0,
            reason: "another machine".to_owned(),
        },
        ..host_settlement()
    }
}
