//! Bugs of a store, or of who asks it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::event::Event;
use openclaw_tenancy::host::{Capacity, Host};
use openclaw_tenancy::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use openclaw_tenancy::memory::MemoryStore;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::store::{
    Change, Changes, Claim, ClaimRequest, Cordon, Created, HostSettlement, PlaceRequest,
    Settlement, StoreError, TenantPage, TenantStore,
};
use openclaw_tenancy::tenant::{Certainty, Location, NewTenant, Tenant};

use super::Bug;

/// As good as for ever.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A store with a bug.
#[derive(Debug)]
pub(crate) struct BuggyStore {
    inner: Arc<MemoryStore>,
    bug: Bug,
    fences: std::sync::Mutex<BTreeMap<TenantId, Fence>>,
}

impl BuggyStore {
    pub(crate) fn new(inner: Arc<MemoryStore>, bug: Bug) -> Self {
        Self {
            inner,
            bug,
            fences: std::sync::Mutex::default(),
        }
    }

    /// The fence a settle is written with: the newest one, whoever settles, with that bug.
    fn fence(&self, id: TenantId, fence: Fence) -> Fence {
        if self.bug == Bug::FenceIsIgnored {
            return self
                .fences
                .lock()
                .unwrap()
                .get(&id)
                .copied()
                .unwrap_or(fence);
        }
        fence
    }
}

#[async_trait]
impl TenantStore for BuggyStore {
    async fn create(&self, tenant: NewTenant) -> Result<Created, StoreError> {
        let mut tenant = tenant;
        match self.bug {
            Bug::KeyIsIgnored => {
                tenant.idempotency = None;
                // With the key goes what else would have refused a second.
                tenant.owner = AccountId::from_uuid(tenant.id.as_uuid());
                self.inner.create(tenant).await
            }
            Bug::AnswerBeforeDurable => Ok(Created::New(Tenant {
                id: tenant.id,
                slug: tenant.slug,
                owner: tenant.owner,
                settings: tenant.settings,
                desired: tenant.desired,
                revision: Revision::default(),
                observed: openclaw_tenancy::tenant::Observed::default(),
                created_at: tenant.created_at,
            })),
            _ => self.inner.create(tenant).await,
        }
    }

    async fn get(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        self.inner.get(id).await
    }

    async fn find_by_owner(&self, owner: AccountId) -> Result<Option<Tenant>, StoreError> {
        self.inner.find_by_owner(owner).await
    }

    async fn list(&self, after: Option<TenantId>, limit: u32) -> Result<TenantPage, StoreError> {
        self.inner.list(after, limit).await
    }

    async fn queue_position(&self, id: TenantId) -> Result<Option<u64>, StoreError> {
        self.inner.queue_position(id).await
    }

    async fn change(
        &self,
        id: TenantId,
        expected: Option<Revision>,
        change: Change,
        now: Timestamp,
    ) -> Result<Tenant, StoreError> {
        self.inner.change(id, expected, change, now).await
    }

    async fn release(&self, id: TenantId, now: Timestamp) -> Result<Tenant, StoreError> {
        self.inner.release(id, now).await
    }

    async fn release_host(&self, id: HostId) -> Result<(), StoreError> {
        self.inner.release_host(id).await
    }

    async fn remove_host(&self, id: HostId) -> Result<(), StoreError> {
        self.inner.remove_host(id).await
    }

    async fn claim_tenants(&self, request: ClaimRequest) -> Result<Vec<Claim<Tenant>>, StoreError> {
        let mut request = request;
        if self.bug == Bug::LeaseNeverEnds {
            request.lease = A_YEAR;
        }
        let mut claims = self.inner.claim_tenants(request).await?;
        for claim in &mut claims {
            self.fences
                .lock()
                .unwrap()
                .insert(claim.item.id, claim.fence);
            if self.bug == Bug::ClaimForgetsUnknown {
                for location in &mut claim.item.observed.locations {
                    location.certainty = Certainty::Known;
                }
            }
        }
        Ok(claims)
    }

    async fn renew(
        &self,
        id: TenantId,
        fence: Fence,
        worker: WorkerId,
        lease: Duration,
    ) -> Result<(), StoreError> {
        if self.bug == Bug::NeverRenews {
            return Ok(());
        }
        match self.inner.renew(id, fence, worker, lease).await {
            Err(StoreError::Fenced) if self.bug == Bug::FenceIsIgnored => Ok(()),
            renewed => renewed,
        }
    }

    async fn place(
        &self,
        id: TenantId,
        fence: Fence,
        request: PlaceRequest,
    ) -> Result<Location, StoreError> {
        let mut request = request;
        if self.bug == Bug::PlaceIgnoresCapacity {
            request.capacity = Capacity {
                cpu_per_instance: MilliCpus(u64::MAX),
                cpu: MilliCpus(u64::MAX),
                memory: Bytes(u64::MAX),
                swap: Bytes(u64::MAX),
            };
        }
        let mut location = self.inner.place(id, fence, request.clone()).await?;
        if self.bug == Bug::SharedSubnet {
            location.subnet = openclaw_tenancy::store::rules::nth_subnet(request.pool, 0).unwrap();
        }
        Ok(location)
    }

    async fn settle(
        &self,
        id: TenantId,
        fence: Fence,
        mut settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let before = self.inner.get(id).await?;
        match self.bug {
            // The second one: the first wrote it, and whoever looks after that finds nothing.
            Bug::HoldIsForgotten
                if before
                    .as_ref()
                    .is_some_and(|row| row.observed.hold.is_some()) =>
            {
                settlement.observed.hold = None;
            }
            Bug::QueueIsForgotten => settlement.observed.queued = None,
            Bug::NeverTriedAgain if settlement.observed.failure.is_some() => {
                settlement.next_due = A_YEAR;
            }
            Bug::ConvergesTheNewest if settlement.observed.converged.is_some() => {
                settlement.observed.converged = before.map(|row| row.revision);
            }
            _ => {}
        }
        self.inner
            .settle(id, self.fence(id, fence), settlement, now)
            .await
    }

    async fn put_host(
        &self,
        id: HostId,
        labels: BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        self.inner.put_host(id, labels).await
    }

    async fn cordon(&self, id: HostId, cordon: Cordon) -> Result<(), StoreError> {
        self.inner.cordon(id, cordon).await
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        let mut hosts = self.inner.hosts().await?;
        if self.bug == Bug::PlaceIgnoresCapacity {
            hosts
                .iter_mut()
                .for_each(|host| host.reserved = openclaw_tenancy::host::Reserved::default());
        }
        Ok(hosts)
    }

    async fn claim_hosts(&self, request: ClaimRequest) -> Result<Vec<Claim<Host>>, StoreError> {
        self.inner.claim_hosts(request).await
    }

    async fn settle_host(
        &self,
        id: HostId,
        fence: Fence,
        mut settlement: HostSettlement,
    ) -> Result<(), StoreError> {
        if self.bug == Bug::LeftoversAreNotTold
            && let Some(facts) = &mut settlement.facts
        {
            facts.unaccounted = 0;
        }
        self.inner.settle_host(id, fence, settlement).await
    }

    async fn tenants_on(&self, host: HostId) -> Result<Vec<Tenant>, StoreError> {
        self.inner.tenants_on(host).await
    }

    async fn events(
        &self,
        tenant: Option<TenantId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        self.inner.events(tenant, after, limit).await
    }

    async fn change_seq(&self) -> Result<u64, StoreError> {
        self.inner.change_seq().await
    }

    async fn changed_since(&self, after: u64, limit: u32) -> Result<Changes, StoreError> {
        self.inner.changed_since(after, limit).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}
