//! [`TenantStore`] in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::state::State;
use crate::clock::{Clock, Timestamp};
use crate::event::Event;
use crate::host::Host;
use crate::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use crate::store::{
    Change, Changes, Claim, ClaimRequest, Cordon, Created, HostSettlement, PlaceRequest,
    Settlement, StoreError, TenantPage, TenantStore,
};
use crate::tenant::{Location, NewTenant, Tenant};

/// A [`TenantStore`] whose rows live as long as it does.
///
/// Each method is one critical section, so it is one transaction; the order of its maps makes every answer
/// repeatable. Leases run by the given clock.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Looks at every tenant and every host without a copy of them, both as they are at one instant: what invariants
    /// are checked on after each of very many steps.
    ///
    /// The store is locked meanwhile: `look` must not call it.
    pub fn look<T>(&self, look: impl FnOnce(&[&Tenant], &[&Host]) -> T) -> T {
        let state = self.state();
        let (tenants, hosts) = state.rows();
        look(&tenants, &hosts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere under the lock is a bug of ours, and no reason to fail every later call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TenantStore for MemoryStore {
    async fn create(&self, tenant: NewTenant) -> Result<Created, StoreError> {
        self.state().create(tenant, self.clock.now())
    }

    async fn get(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        Ok(self.state().get(id).cloned())
    }

    async fn find_by_owner(&self, owner: AccountId) -> Result<Option<Tenant>, StoreError> {
        Ok(self.state().find_by_owner(owner).cloned())
    }

    async fn list(&self, after: Option<TenantId>, limit: u32) -> Result<TenantPage, StoreError> {
        Ok(self.state().list(after, limit))
    }

    async fn queue_position(&self, id: TenantId) -> Result<Option<u64>, StoreError> {
        Ok(self.state().queue_position(id))
    }

    async fn change(
        &self,
        id: TenantId,
        expected: Option<Revision>,
        change: Change,
        now: Timestamp,
    ) -> Result<Tenant, StoreError> {
        self.state()
            .change(id, expected, change, now, self.clock.now())
    }

    async fn release(&self, id: TenantId, now: Timestamp) -> Result<Tenant, StoreError> {
        self.state().release(id, now, self.clock.now())
    }

    async fn claim_tenants(&self, request: ClaimRequest) -> Result<Vec<Claim<Tenant>>, StoreError> {
        Ok(self.state().claim_tenants(&request, self.clock.now()))
    }

    async fn renew(
        &self,
        id: TenantId,
        fence: Fence,
        worker: WorkerId,
        lease: Duration,
    ) -> Result<(), StoreError> {
        self.state()
            .renew(id, fence, &worker, self.clock.now().plus(lease))
    }

    async fn place(
        &self,
        id: TenantId,
        fence: Fence,
        request: PlaceRequest,
    ) -> Result<Location, StoreError> {
        self.state().place(id, fence, &request)
    }

    async fn settle(
        &self,
        id: TenantId,
        fence: Fence,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.state()
            .settle(id, fence, settlement, now, self.clock.now())
    }

    async fn put_host(
        &self,
        id: HostId,
        labels: BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        self.state().put_host(id, labels, self.clock.now());
        Ok(())
    }

    async fn cordon(&self, id: HostId, cordon: Cordon) -> Result<(), StoreError> {
        self.state().cordon(&id, cordon)
    }

    async fn release_host(&self, id: HostId) -> Result<(), StoreError> {
        self.state().release_host(&id, self.clock.now())
    }

    async fn remove_host(&self, id: HostId) -> Result<(), StoreError> {
        self.state().remove_host(&id)
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        Ok(self.state().hosts())
    }

    async fn claim_hosts(&self, request: ClaimRequest) -> Result<Vec<Claim<Host>>, StoreError> {
        Ok(self.state().claim_hosts(&request, self.clock.now()))
    }

    async fn settle_host(
        &self,
        id: HostId,
        fence: Fence,
        settlement: HostSettlement,
    ) -> Result<(), StoreError> {
        self.state()
            .settle_host(&id, fence, settlement, self.clock.now())
    }

    async fn tenants_on(&self, host: HostId) -> Result<Vec<Tenant>, StoreError> {
        Ok(self.state().tenants_on(&host))
    }

    async fn events(
        &self,
        tenant: Option<TenantId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        Ok(self.state().events(tenant, after, limit))
    }

    async fn change_seq(&self) -> Result<u64, StoreError> {
        Ok(self.state().change_seq())
    }

    async fn changed_since(&self, after: u64, limit: u32) -> Result<Changes, StoreError> {
        Ok(self.state().changed_since(after, limit))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
