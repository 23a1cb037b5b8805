//! What these tests begin with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openclaw_tenancy::clock::{ManualClock, SeededEntropy, Timestamp};
use openclaw_tenancy::container::Image;
use openclaw_tenancy::host::{Capacity, HostState};
use openclaw_tenancy::id::{AccountId, HostId, Slug, TenantId, WorkerId};
use openclaw_tenancy::plan::PlanCatalog;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::store::{
    ClaimRequest, HostSettlement, PlaceRequest, Settlement, StoreError, TenantStore,
};
use openclaw_tenancy::tenant::{Desired, IdempotencyKey, NewTenant, Observed, Power, Settings};

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
/// How the message ends that commits a write; a BEGIN says `READ COMMITTED`.
pub(crate) const COMMIT: &str = "COMMIT\0";
/// What is in that message, and in each that asks what became of a write.
pub(crate) const COMMIT_OR_QUESTION: &str = "INTO outcomes";
pub(crate) const LEASE: Duration = Duration::from_secs(600);

/// A tenant to be made, with an idempotency key; ids grow from call to call.
pub(crate) fn new_tenant() -> NewTenant {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let clock = ManualClock::new(Timestamp::from_millis(i64::try_from(n).unwrap()));
    let random = SeededEntropy::new(n);
    let plans = PlanCatalog::default();
    let plan = plans.iter().next().unwrap();
    NewTenant {
        id: TenantId::generate(&clock, &random),
        slug: Slug::generate(&random),
        owner: AccountId::generate(&clock, &random),
        settings: Settings::default(),
        desired: Desired {
            power: Power::Running,
            plan: plan.name.clone(),
            limits: plan.limits,
            image: Image {
                reference: "openclaw/openclaw".to_owned(),
                digest: None,
            },
            restart_epoch: 0,
        },
        created_at: NOW,
        seats: None,
        idempotency: Some(IdempotencyKey {
            key: format!("key-{n}"),
            request: "a".to_owned(),
        }),
    }
}

pub(crate) fn claim_request(limit: u32) -> ClaimRequest {
    ClaimRequest {
        worker: WorkerId::new("w1").unwrap(),
        limit,
        lease: LEASE,
    }
}

pub(crate) fn settlement(observed: Observed) -> Settlement {
    Settlement {
        observed,
        pin: None,
        next_due: LEASE,
        events: Vec::new(),
        gone: false,
    }
}

/// A host that is known and answers.
pub(crate) async fn ready_host(store: &dyn TenantStore) -> HostId {
    let host = HostId::new("h1").unwrap();
    store.put_host(host.clone(), BTreeMap::new()).await.unwrap();
    for claim in store.claim_hosts(claim_request(10)).await.unwrap() {
        let settlement = HostSettlement {
            state: HostState::Ready,
            facts: None,
            marker: None,
            next_due: LEASE,
            stirred: Vec::new(),
        };
        let settled = store.settle_host(claim.item.id, claim.fence, settlement);
        settled.await.unwrap();
    }
    host
}

pub(crate) fn place_on(host: &HostId) -> PlaceRequest {
    PlaceRequest {
        host: host.clone(),
        capacity: Capacity {
            cpu_per_instance: MilliCpus(64_000),
            cpu: MilliCpus(64_000),
            memory: Bytes::gib(256),
            swap: Bytes::gib(256),
        },
        floor: Bytes(0),
        pool: "10.213.0.0/16".parse().unwrap(),
    }
}

pub(crate) fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { .. }))
}

/// The same request once more: a caller draws a new id and a new random slug.
pub(crate) fn again(first: &NewTenant) -> NewTenant {
    NewTenant {
        owner: first.owner,
        idempotency: first.idempotency.clone(),
        ..new_tenant()
    }
}
