//! A store that counts what is done with it: passes of the reconciler, and calls that failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::event::Event;
use openclaw_tenancy::host::{Host, HostState};
use openclaw_tenancy::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use openclaw_tenancy::store::{
    Change, Changes, Claim, ClaimRequest, Cordon, Created, HostSettlement, PlaceRequest,
    Settlement, StoreError, TenantPage, TenantStore,
};
use openclaw_tenancy::tenant::{Location, NewTenant, Tenant};

/// Counts, and leaves everything else to the store inside.
#[derive(Debug)]
pub(crate) struct MeteredStore(Arc<dyn TenantStore>);

impl MeteredStore {
    /// Counts what is done with `inner`.
    #[must_use]
    pub(crate) const fn new(inner: Arc<dyn TenantStore>) -> Self {
        Self(inner)
    }
}

/// Counts a call that the database failed. What a caller did wrong is no error of the database's.
fn noted<T>(call: &'static str, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
    if let Err(StoreError::Unavailable { .. } | StoreError::Corrupt { .. }) = outcome {
        metrics::counter!("openclaw_tenancy_store_errors_total", "call" => call).increment(1);
    }
    outcome
}

/// Counts a pass that has come to its end.
fn pass(of: &'static str, outcome: &'static str) {
    metrics::counter!("openclaw_tenancy_reconcile_passes_total", "of" => of, "outcome" => outcome)
        .increment(1);
}

const fn settled(outcome: &Result<(), StoreError>, well: &'static str) -> &'static str {
    match outcome {
        Ok(()) => well,
        Err(StoreError::Fenced) => "fenced",
        Err(_) => "not_settled",
    }
}

#[async_trait]
impl TenantStore for MeteredStore {
    async fn create(&self, tenant: NewTenant) -> Result<Created, StoreError> {
        noted("create", self.0.create(tenant).await)
    }

    async fn get(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        noted("get", self.0.get(id).await)
    }

    async fn find_by_owner(&self, owner: AccountId) -> Result<Option<Tenant>, StoreError> {
        noted("find_by_owner", self.0.find_by_owner(owner).await)
    }

    async fn list(&self, after: Option<TenantId>, limit: u32) -> Result<TenantPage, StoreError> {
        noted("list", self.0.list(after, limit).await)
    }

    async fn queue_position(&self, id: TenantId) -> Result<Option<u64>, StoreError> {
        noted("queue_position", self.0.queue_position(id).await)
    }

    async fn change(
        &self,
        id: TenantId,
        expected: Option<Revision>,
        change: Change,
        now: Timestamp,
    ) -> Result<Tenant, StoreError> {
        noted("change", self.0.change(id, expected, change, now).await)
    }

    async fn release(&self, id: TenantId, now: Timestamp) -> Result<Tenant, StoreError> {
        noted("release", self.0.release(id, now).await)
    }

    async fn claim_tenants(&self, request: ClaimRequest) -> Result<Vec<Claim<Tenant>>, StoreError> {
        noted("claim_tenants", self.0.claim_tenants(request).await)
    }

    async fn renew(
        &self,
        id: TenantId,
        fence: Fence,
        worker: WorkerId,
        lease: Duration,
    ) -> Result<(), StoreError> {
        noted("renew", self.0.renew(id, fence, worker, lease).await)
    }

    async fn place(
        &self,
        id: TenantId,
        fence: Fence,
        request: PlaceRequest,
    ) -> Result<Location, StoreError> {
        noted("place", self.0.place(id, fence, request).await)
    }

    async fn settle(
        &self,
        id: TenantId,
        fence: Fence,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let well = match (&settlement.observed.hold, &settlement.observed.failure) {
            (Some(_), _) => "held",
            (None, Some(_)) => "failed",
            (None, None) => "ok",
        };
        let outcome = noted("settle", self.0.settle(id, fence, settlement, now).await);
        pass("tenant", settled(&outcome, well));
        outcome
    }

    async fn put_host(
        &self,
        id: HostId,
        labels: BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        noted("put_host", self.0.put_host(id, labels).await)
    }

    async fn cordon(&self, id: HostId, cordon: Cordon) -> Result<(), StoreError> {
        noted("cordon", self.0.cordon(id, cordon).await)
    }

    async fn release_host(&self, id: HostId) -> Result<(), StoreError> {
        noted("release_host", self.0.release_host(id).await)
    }

    async fn remove_host(&self, id: HostId) -> Result<(), StoreError> {
        noted("remove_host", self.0.remove_host(id).await)
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        noted("hosts", self.0.hosts().await)
    }

    async fn claim_hosts(&self, request: ClaimRequest) -> Result<Vec<Claim<Host>>, StoreError> {
        noted("claim_hosts", self.0.claim_hosts(request).await)
    }

    async fn settle_host(
        &self,
        id: HostId,
        fence: Fence,
        settlement: HostSettlement,
    ) -> Result<(), StoreError> {
        let well = match settlement.state {
            HostState::New | HostState::Ready => "ok",
            HostState::Unreachable { .. } => "unreachable",
            HostState::Quarantined { .. } => "quarantined",
        };
        let outcome = noted(
            "settle_host",
            self.0.settle_host(id, fence, settlement).await,
        );
        pass("host", settled(&outcome, well));
        outcome
    }

    async fn tenants_on(&self, host: HostId) -> Result<Vec<Tenant>, StoreError> {
        noted("tenants_on", self.0.tenants_on(host).await)
    }

    async fn events(
        &self,
        tenant: Option<TenantId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        noted("events", self.0.events(tenant, after, limit).await)
    }

    async fn change_seq(&self) -> Result<u64, StoreError> {
        noted("change_seq", self.0.change_seq().await)
    }

    async fn changed_since(&self, after: u64, limit: u32) -> Result<Changes, StoreError> {
        noted("changed_since", self.0.changed_since(after, limit).await)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        noted("ping", self.0.ping().await)
    }
}
