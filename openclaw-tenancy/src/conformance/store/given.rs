//! What rules begin with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::Ipv4Net;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::container::Image;
use crate::host::{Capacity, HostFacts, HostState, StorageQuota};
use crate::id::{AccountId, HostId, Slug, TenantId, WorkerId};
use crate::plan::{Limits, PlanName};
use crate::quantity::{Bytes, MilliCpus};
use crate::store::rules::FARTHEST;
use crate::store::{
    Change, Claim, ClaimRequest, HostSettlement, PlaceRequest, Settlement, TenantStore,
};
use crate::tenant::{Desired, Location, NewTenant, Power, Settings, Tenant};

/// The caller's time when a rule begins.
pub(super) const T0: Timestamp = Timestamp::from_seconds(1_790_000_000);
/// A lease that no rule outlives by accident.
pub(super) const LEASE: Duration = Duration::from_secs(600);
/// Long after every lease.
pub(super) const AFTER_LEASE: Duration = Duration::from_secs(601);
/// Later than now and no later than anything may be due.
pub(super) const LATER: Duration = Duration::from_secs(600);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// What one instance of these rules may use.
pub(in super::super) const LIMITS: Limits = Limits {
    cpu: MilliCpus(1000),
    memory: Bytes::gib(1),
    swap: Bytes::mib(512),
    storage: Bytes::gib(20),
    pids: 256,
};

/// A tenant to be made, of an owner and with a slug of its own; ids grow from call to call.
pub(crate) fn new_tenant() -> NewTenant {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    NewTenant {
        id: TenantId::from_uuid(Uuid::from_u128(u128::from(n))),
        slug: slug(&format!("t{n}")),
        owner: AccountId::from_uuid(Uuid::from_u128(u128::from(n) << 64)),
        settings: Settings {
            email: Some(format!("u{n}@example.com")),
            timezone: None,
        },
        desired: Desired {
            power: Power::Running,
            plan: PlanName::new("basic").expect("a plan name"),
            limits: LIMITS,
            image: Image {
                reference: "openclaw/openclaw:2026.9.6".to_owned(),
                digest: None,
            },
            restart_epoch: 0,
        },
        created_at: T0,
        seats: None,
        idempotency: None,
    }
}

pub(super) fn slug(text: &str) -> Slug {
    Slug::try_from(text.to_owned()).expect("a slug")
}

pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).expect("a worker id")
}

pub(super) fn host_id(name: &str) -> HostId {
    HostId::new(name).expect("a host id")
}

/// A tenant that was made.
pub(super) async fn made(store: &dyn TenantStore) -> Tenant {
    let created = store.create(new_tenant()).await;
    created.expect("a tenant is made").tenant()
}

/// A host that is known and answers; it is not due again in these rules.
pub(super) async fn ready_host(store: &dyn TenantStore, name: &str) -> HostId {
    let id = host_id(name);
    store
        .put_host(id.clone(), BTreeMap::new())
        .await
        .expect("a host is put");
    let claims = store
        .claim_hosts(claim_request("w-host", 100))
        .await
        .expect("hosts are claimed");
    for claim in claims {
        store
            .settle_host(claim.item.id, claim.fence, host_settlement())
            .await
            .expect("a host is settled");
    }
    id
}

pub(super) fn facts() -> HostFacts {
    HostFacts {
        cpu: MilliCpus(8000),
        memory: Bytes::gib(32),
        swap: Some(Bytes::gib(8)),
        swap_measured_at: None,
        swap_limit: true,
        storage_quota: StorageQuota::None,
        engine_version: "20.10.24".to_owned(),
        api_version: "1.41".to_owned(),
        operating_system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        markers: vec!["m1".to_owned()],
        subnets: vec!["10.9.0.0/30".parse().expect("a network")],
        unaccounted: 2,
    }
}

pub(super) fn host_settlement() -> HostSettlement {
    HostSettlement {
        state: HostState::Ready,
        facts: None,
        marker: None,
        next_due: FARTHEST,
        stirred: Vec::new(),
    }
}

pub(super) fn claim_request(name: &str, limit: u32) -> ClaimRequest {
    ClaimRequest {
        worker: worker(name),
        limit,
        lease: LEASE,
    }
}

/// Claims everything that is due.
pub(super) async fn claim_all(store: &dyn TenantStore, name: &str) -> Vec<Claim<Tenant>> {
    let claims = store.claim_tenants(claim_request(name, 100)).await;
    claims.expect("tenants are claimed")
}

/// Claims the one tenant that is due.
pub(super) async fn claim_one(store: &dyn TenantStore) -> Claim<Tenant> {
    let mut claims = claim_all(store, "w1").await;
    assert_eq!(claims.len(), 1, "one tenant is due: {claims:?}");
    claims.remove(0)
}

/// A settlement that leaves everything as the claim found it, and is not due again soon.
pub(super) fn settlement(claim: &Claim<Tenant>) -> Settlement {
    Settlement {
        observed: claim.item.observed.clone(),
        pin: None,
        next_due: FARTHEST,
        events: Vec::new(),
        gone: false,
    }
}

pub(super) async fn settle(store: &dyn TenantStore, claim: &Claim<Tenant>, settlement: Settlement) {
    let settled = store.settle(claim.item.id, claim.fence, settlement, T0);
    settled.await.expect("the claim is settled");
}

/// A pool of many `/29`.
pub(super) fn pool() -> Ipv4Net {
    "10.213.0.0/16".parse().expect("a network")
}

/// A place on `host`, which has room for `instances` of these rules.
pub(super) fn place_on(host: &HostId, instances: u64) -> PlaceRequest {
    PlaceRequest {
        host: host.clone(),
        capacity: Capacity {
            cpu_per_instance: MilliCpus(4000),
            cpu: MilliCpus(LIMITS.cpu.0 * instances),
            memory: Bytes(LIMITS.memory.0 * instances),
            swap: Bytes(LIMITS.swap.0 * instances),
        },
        floor: Bytes::gib(1),
        pool: pool(),
    }
}

/// A claimed tenant with a place on `host`, the place in the claim's item as a worker keeps it.
pub(super) async fn placed(store: &dyn TenantStore, host: &HostId) -> (Claim<Tenant>, Location) {
    let tenant = made(store).await;
    let mut claim = claim_one(store).await;
    assert_eq!(claim.item.id, tenant.id);
    let location = store
        .place(tenant.id, claim.fence, place_on(host, 1000))
        .await
        .expect("the host has room");
    claim.item.observed.generation = location.generation;
    claim.item.observed.locations.push(location.clone());
    (claim, location)
}

/// Deletes a tenant that nobody works on, to the end.
pub(super) async fn delete(store: &dyn TenantStore, tenant: &Tenant) {
    store
        .change(tenant.id, None, Change::Power(Power::Deleted), T0)
        .await
        .expect("the tenant is to be deleted");
    let claims = claim_all(store, "w-delete").await;
    for claim in claims {
        let gone = claim.item.id == tenant.id;
        let settlement = Settlement {
            gone,
            ..settlement(&claim)
        };
        settle(store, &claim, settlement).await;
    }
}

/// The tenant as it is now.
pub(super) async fn now_of(store: &dyn TenantStore, tenant: &Tenant) -> Tenant {
    let found = store.get(tenant.id).await.expect("the store answers");
    found.expect("the tenant is there")
}

/// Everything that a refused write must leave as it was.
pub(super) async fn everything(store: &Arc<dyn TenantStore>) -> String {
    let tenants = store.list(None, 1000).await.expect("tenants are listed");
    let hosts = store.hosts().await.expect("hosts are listed");
    let events = store
        .events(None, 0, 10_000)
        .await
        .expect("events are read");
    let seq = store.change_seq().await.expect("the number is read");
    format!("{tenants:#?}\n{hosts:#?}\n{events:#?}\n{seq}")
}
