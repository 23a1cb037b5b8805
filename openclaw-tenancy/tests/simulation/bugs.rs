//! Bugs planted on purpose, each a mistake that was easy to make: a simulation that misses one has no teeth.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::backend::{
    BackendError, Capabilities, ContainerBackend, Made, PreparedImage, Scope, Signal,
};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::container::{
    ContainerDetail, EngineId, Image, Inventory, ObjectRef, ObjectSpec, RunState, VolumeFile,
};
use openclaw_tenancy::event::Event;
use openclaw_tenancy::host::{Capacity, Host, HostFacts};
use openclaw_tenancy::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use openclaw_tenancy::memory::{MemoryBackend, MemoryStore};
use openclaw_tenancy::plan::Limits;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::reconcile::Planner;
use openclaw_tenancy::reconcile::plan::{Situation, Step, plan};
use openclaw_tenancy::store::{
    Change, Changes, Claim, ClaimRequest, Cordon, Created, HostSettlement, PlaceRequest,
    Settlement, StoreError, TenantPage, TenantStore,
};
use openclaw_tenancy::tenant::{Certainty, Location, NewTenant, Power, Tenant};

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A holder whose claim has passed on keeps it, and settles.
    FenceIsIgnored,
    /// A claim says that what it finds is known, although the one before it never settled.
    ClaimForgetsUnknown,
    /// A host is filled without looking at what it has.
    PlaceIgnoresCapacity,
    /// The row is removed when its deletion is asked for.
    EraseFirst,
    /// A create is answered before it is written, and then lost.
    AnswerBeforeDurable,
    /// A second create with one key makes a second tenant.
    KeyIsIgnored,
    /// "id already in use" is taken for a broken container, which is removed and made anew.
    GhostTakenForBroken,
    /// A lost start is followed by a removal without asking again.
    RemoveAfterLostStart,
    /// A container is started again without its being written first that this start may be lost.
    NeverDoubts,
    /// An object is removed without a look at its labels.
    ForeignIsRemoved,
    /// A suspension removes the data as a deletion does.
    SuspendRemovesData,
    /// The place is given back while objects are still there.
    LeaveEarly,
    /// A container that was asked to end is never ended by force.
    NeverKills,
    /// An instance that ended is never started again.
    NeverRestarts,
    /// A route is published when the container starts, whoever has its address.
    SharedSubnet,
    /// A host's list shows no networks.
    KeepsLateNetworks,
    /// A deletion stops when the container is gone.
    LeaveNetworks,
    /// A settlement drops the hold that it should write.
    HoldIsForgotten,
    /// A container is made with what the plan says, whatever the host has granted.
    MadeWithThePlansLimits,
    /// A signal goes to every container whose name begins as ours do.
    ForeignIsSignalled,
    /// What has the name that an object of ours is to have is removed, whosever it is.
    ForeignMakesWay,
    /// What is left over on a host is not written.
    LeftoversAreNotTold,
    /// Engine calls begin without the claim being renewed before them.
    NeverRenews,
    /// A create that finds what it asked for is taken for a conflict.
    NeverAdopts,
    /// A route stays as it was when the instance was first ready.
    RouteIsCached,
}

impl Bug {
    pub(crate) const ALL: [Self; 25] = [
        Self::FenceIsIgnored,
        Self::ClaimForgetsUnknown,
        Self::PlaceIgnoresCapacity,
        Self::EraseFirst,
        Self::AnswerBeforeDurable,
        Self::KeyIsIgnored,
        Self::GhostTakenForBroken,
        Self::RemoveAfterLostStart,
        Self::NeverDoubts,
        Self::ForeignIsRemoved,
        Self::SuspendRemovesData,
        Self::LeaveEarly,
        Self::NeverKills,
        Self::NeverRestarts,
        Self::SharedSubnet,
        Self::KeepsLateNetworks,
        Self::LeaveNetworks,
        Self::HoldIsForgotten,
        Self::MadeWithThePlansLimits,
        Self::ForeignIsSignalled,
        Self::ForeignMakesWay,
        Self::LeftoversAreNotTold,
        Self::NeverRenews,
        Self::NeverAdopts,
        Self::RouteIsCached,
    ];

    /// A seed whose story finds it.
    pub(crate) const fn recorded_seed(self) -> u64 {
        match self {
            Self::NeverDoubts => 65214,
            Self::FenceIsIgnored => 1895,
            Self::NeverRenews => 226,
            Self::ClaimForgetsUnknown => 210,
            Self::MadeWithThePlansLimits => 243,
            Self::ForeignMakesWay => 74,
            Self::RemoveAfterLostStart => 47,
            Self::NeverKills => 24,
            Self::RouteIsCached => 18,
            Self::GhostTakenForBroken | Self::HoldIsForgotten => 7,
            Self::LeftoversAreNotTold => 100,
            Self::KeepsLateNetworks => 48,
            Self::EraseFirst | Self::LeaveEarly | Self::LeaveNetworks => 4,
            Self::ForeignIsSignalled | Self::NeverRestarts => 2,
            Self::PlaceIgnoresCapacity
            | Self::ForeignIsRemoved
            | Self::SharedSubnet
            | Self::SuspendRemovesData => 1,
            Self::AnswerBeforeDurable | Self::KeyIsIgnored | Self::NeverAdopts => 0,
        }
    }

    pub(crate) fn planner(self) -> Planner {
        match self {
            Self::EraseFirst => |s| match s.tenant.desired.power {
                Power::Deleted => Step::Erase,
                Power::Running | Power::Suspended => plan(s),
            },
            Self::RemoveAfterLostStart => |s| match (&s.seen.container, s.tenant.desired.power) {
                (Some(container), Power::Deleted) if container.state == RunState::Created => {
                    Step::Remove(ObjectRef::Container(container.seen.id.clone()))
                }
                (_, _) => plan(s),
            },
            Self::NeverDoubts => |s| match (plan(s), &s.seen.container) {
                (Step::Doubt, Some(container)) => Step::Start(container.seen.id.clone()),
                (step, _) => step,
            },
            Self::SuspendRemovesData => |s| {
                let mut tenant = s.tenant.clone();
                if tenant.desired.power == Power::Suspended {
                    tenant.desired.power = Power::Deleted;
                }
                plan(&Situation {
                    tenant: &tenant,
                    ..*s
                })
            },
            Self::LeaveEarly => |s| match plan(s) {
                Step::Remove(ObjectRef::Network(_)) => Step::Leave,
                step => step,
            },
            Self::LeaveNetworks => |s| match plan(s) {
                Step::Remove(ObjectRef::Network(_)) => match s.seen.volumes.first() {
                    Some(volume) => Step::Remove(ObjectRef::Volume(volume.clone())),
                    None => Step::Leave,
                },
                step => step,
            },
            Self::NeverKills => |s| match plan(s) {
                Step::Signal(_, Signal::Kill) => Step::Wait(Duration::from_secs(1)),
                step => step,
            },
            Self::NeverRestarts => |s| match (plan(s), &s.seen.container) {
                (Step::Start(_), Some(c)) if matches!(c.state, RunState::Exited { .. }) => {
                    Step::Converged
                }
                (step, _) => step,
            },
            Self::MadeWithThePlansLimits => |s| match plan(s) {
                Step::Make(ObjectSpec::Instance(mut spec)) => {
                    spec.limits = s.tenant.desired.limits;
                    Step::Make(ObjectSpec::Instance(spec))
                }
                step => step,
            },
            Self::FenceIsIgnored
            | Self::ClaimForgetsUnknown
            | Self::PlaceIgnoresCapacity
            | Self::AnswerBeforeDurable
            | Self::KeyIsIgnored
            | Self::GhostTakenForBroken
            | Self::ForeignIsRemoved
            | Self::HoldIsForgotten
            | Self::KeepsLateNetworks
            | Self::SharedSubnet
            | Self::ForeignIsSignalled
            | Self::ForeignMakesWay
            | Self::LeftoversAreNotTold
            | Self::NeverRenews
            | Self::NeverAdopts
            | Self::RouteIsCached => plan,
        }
    }
}

/// The adapter: with a bug, and over a transport that may send a request again.
#[derive(Debug)]
pub(crate) struct Adapter {
    pub(crate) inner: MemoryBackend,
    pub(crate) bug: Option<Bug>,
    /// The next create arrives twice, and the second answer is the one that comes back.
    pub(crate) twice: Arc<AtomicBool>,
}

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
impl ContainerBackend for Adapter {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn hosts(&self) -> Result<Vec<HostId>, BackendError> {
        self.inner.hosts().await
    }

    async fn host(&self, host: &HostId) -> Result<HostFacts, BackendError> {
        self.inner.host(host).await
    }

    async fn measure_swap(&self, host: &HostId, image: &Image) -> Result<Bytes, BackendError> {
        self.inner.measure_swap(host, image).await
    }

    async fn list(&self, host: &HostId, scope: Scope) -> Result<Inventory, BackendError> {
        let mut found = self.inner.list(host, scope).await?;
        if self.bug == Some(Bug::KeepsLateNetworks) && scope == Scope::All {
            found.networks.clear();
        }
        Ok(found)
    }

    async fn inspect(
        &self,
        host: &HostId,
        container: &EngineId,
    ) -> Result<Option<ContainerDetail>, BackendError> {
        self.inner.inspect(host, container).await
    }

    async fn prepare(&self, host: &HostId, image: &Image) -> Result<PreparedImage, BackendError> {
        self.inner.prepare(host, image).await
    }

    async fn create(&self, host: &HostId, spec: &ObjectSpec) -> Result<Made, BackendError> {
        if self.twice.swap(false, Ordering::Relaxed) {
            let _lost = self.inner.create(host, spec).await;
        }
        match (self.inner.create(host, spec).await, self.bug) {
            (Ok(Made { adopted: true, id }), Some(Bug::NeverAdopts)) => {
                Err(BackendError::Conflict { name: id.0 })
            }
            (Err(BackendError::Conflict { name }), Some(Bug::ForeignMakesWay)) => {
                self.inner.remove_anything_like(host, &name);
                self.inner.create(host, spec).await
            }
            (made, _) => made,
        }
    }

    async fn remove(&self, host: &HostId, object: &ObjectRef) -> Result<(), BackendError> {
        if self.bug == Some(Bug::ForeignIsRemoved) {
            self.inner.remove_anything_like(host, "oct-d1-foreign-data");
        }
        self.inner.remove(host, object).await
    }

    async fn start(&self, host: &HostId, container: &EngineId) -> Result<(), BackendError> {
        match self.inner.start(host, container).await {
            Err(BackendError::GhostSuspected {
                host,
                container,
                source,
            }) if self.bug == Some(Bug::GhostTakenForBroken) => Err(BackendError::NeverStarts {
                host,
                container,
                source,
            }),
            other => other,
        }
    }

    async fn signal(
        &self,
        host: &HostId,
        container: &EngineId,
        signal: Signal,
    ) -> Result<(), BackendError> {
        if self.bug == Some(Bug::ForeignIsSignalled) {
            self.inner.end_anything_like(host, "oct-d1-");
        }
        self.inner.signal(host, container, signal).await
    }

    async fn update(
        &self,
        host: &HostId,
        container: &EngineId,
        limits: &Limits,
    ) -> Result<(), BackendError> {
        self.inner.update(host, container, limits).await
    }

    async fn path_exists(
        &self,
        host: &HostId,
        container: &EngineId,
        path: &str,
    ) -> Result<bool, BackendError> {
        self.inner.path_exists(host, container, path).await
    }

    async fn put_files(
        &self,
        host: &HostId,
        container: &EngineId,
        directory: &str,
        files: Vec<VolumeFile>,
    ) -> Result<(), BackendError> {
        self.inner
            .put_files(host, container, directory, files)
            .await
    }

    async fn logs(
        &self,
        host: &HostId,
        container: &EngineId,
        limit: Bytes,
    ) -> Result<String, BackendError> {
        self.inner.logs(host, container, limit).await
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
        // The second one: the first wrote it, and whoever looks after that finds nothing.
        let held = self
            .inner
            .get(id)
            .await?
            .is_some_and(|row| row.observed.hold.is_some());
        if self.bug == Bug::HoldIsForgotten && held {
            settlement.observed.hold = None;
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
