//! Any port wrapped so that its calls meet faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::faults::Faults;
use crate::backend::{
    BackendError, Capabilities, ContainerBackend, Made, PreparedImage, Scope, Signal,
};
use crate::clock::Timestamp;
use crate::container::{
    ContainerDetail, EngineId, Image, Inventory, ObjectRef, ObjectSpec, VolumeFile,
};
use crate::event::Event;
use crate::host::{Host, HostFacts};
use crate::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use crate::plan::Limits;
use crate::probe::{InstanceProbe, Readiness};
use crate::quantity::Bytes;
use crate::routes::Upstream;
use crate::store::{
    Change, Changes, Claim, ClaimRequest, Cordon, Created, HostSettlement, PlaceRequest,
    Settlement, StoreError, TenantPage, TenantStore,
};
use crate::tenant::{Location, NewTenant, Tenant};

/// A port whose calls meet [`Faults`].
#[derive(Debug, Clone)]
pub struct Faulty<P: ?Sized> {
    pub(super) inner: Arc<P>,
    pub(super) faults: Faults,
}

impl<P: ?Sized> Faulty<P> {
    /// Wraps a port.
    #[must_use]
    pub const fn new(inner: Arc<P>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

/// The error of a backend call whose answer is not had. The host is not looked at by anybody who handles it.
#[expect(clippy::expect_used, reason = "a literal that is a valid label")]
fn backend_error() -> BackendError {
    let host = HostId::new("faulty").expect("a valid label");
    BackendError::Unreachable {
        host,
        what: "injected fault",
        source: None,
    }
}

pub(super) const fn store_error() -> StoreError {
    StoreError::Unavailable {
        what: "injected fault",
        source: None,
    }
}

#[async_trait]
impl<P: ContainerBackend + ?Sized> ContainerBackend for Faulty<P> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn hosts(&self) -> Result<Vec<HostId>, BackendError> {
        let call = self.inner.hosts();
        self.faults.run("backend.hosts", call, backend_error).await
    }

    async fn host(&self, host: &HostId) -> Result<HostFacts, BackendError> {
        let call = self.inner.host(host);
        self.faults.run("backend.host", call, backend_error).await
    }

    async fn measure_swap(&self, host: &HostId, image: &Image) -> Result<Bytes, BackendError> {
        let call = self.inner.measure_swap(host, image);
        self.faults
            .run("backend.measure_swap", call, backend_error)
            .await
    }

    async fn list(&self, host: &HostId, scope: Scope) -> Result<Inventory, BackendError> {
        let call = self.inner.list(host, scope);
        self.faults.run("backend.list", call, backend_error).await
    }

    async fn inspect(
        &self,
        host: &HostId,
        container: &EngineId,
    ) -> Result<Option<ContainerDetail>, BackendError> {
        let call = self.inner.inspect(host, container);
        self.faults
            .run("backend.inspect", call, backend_error)
            .await
    }

    async fn prepare(&self, host: &HostId, image: &Image) -> Result<PreparedImage, BackendError> {
        let call = self.inner.prepare(host, image);
        self.faults
            .run("backend.prepare", call, backend_error)
            .await
    }

    async fn create(&self, host: &HostId, spec: &ObjectSpec) -> Result<Made, BackendError> {
        let name = match spec {
            ObjectSpec::Instance(_) => "backend.create.instance",
            ObjectSpec::Network(_) => "backend.create.network",
            ObjectSpec::Volume(_) => "backend.create.volume",
            ObjectSpec::HostMarker { .. } => "backend.create.marker",
        };
        let call = self.inner.create(host, spec);
        self.faults.run(name, call, backend_error).await
    }

    async fn remove(&self, host: &HostId, object: &ObjectRef) -> Result<(), BackendError> {
        let call = self.inner.remove(host, object);
        self.faults.run("backend.remove", call, backend_error).await
    }

    async fn start(&self, host: &HostId, container: &EngineId) -> Result<(), BackendError> {
        let call = self.inner.start(host, container);
        self.faults.run("backend.start", call, backend_error).await
    }

    async fn signal(
        &self,
        host: &HostId,
        container: &EngineId,
        signal: Signal,
    ) -> Result<(), BackendError> {
        let call = self.inner.signal(host, container, signal);
        self.faults.run("backend.signal", call, backend_error).await
    }

    async fn update(
        &self,
        host: &HostId,
        container: &EngineId,
        limits: &Limits,
    ) -> Result<(), BackendError> {
        let call = self.inner.update(host, container, limits);
        self.faults.run("backend.update", call, backend_error).await
    }

    async fn path_exists(
        &self,
        host: &HostId,
        container: &EngineId,
        path: &str,
    ) -> Result<bool, BackendError> {
        let call = self.inner.path_exists(host, container, path);
        self.faults
            .run("backend.path_exists", call, backend_error)
            .await
    }

    async fn put_files(
        &self,
        host: &HostId,
        container: &EngineId,
        directory: &str,
        files: Vec<VolumeFile>,
    ) -> Result<(), BackendError> {
        let call = self.inner.put_files(host, container, directory, files);
        self.faults
            .run("backend.put_files", call, backend_error)
            .await
    }

    async fn logs(
        &self,
        host: &HostId,
        container: &EngineId,
        limit: Bytes,
    ) -> Result<String, BackendError> {
        let call = self.inner.logs(host, container, limit);
        self.faults.run("backend.logs", call, backend_error).await
    }
}

#[async_trait]
impl<P: TenantStore + ?Sized> TenantStore for Faulty<P> {
    async fn create(&self, tenant: NewTenant) -> Result<Created, StoreError> {
        let call = self.inner.create(tenant);
        self.faults.run("store.create", call, store_error).await
    }

    async fn get(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let call = self.inner.get(id);
        self.faults.run("store.get", call, store_error).await
    }

    async fn find_by_owner(&self, owner: AccountId) -> Result<Option<Tenant>, StoreError> {
        let call = self.inner.find_by_owner(owner);
        self.faults
            .run("store.find_by_owner", call, store_error)
            .await
    }

    async fn list(&self, after: Option<TenantId>, limit: u32) -> Result<TenantPage, StoreError> {
        let call = self.inner.list(after, limit);
        self.faults.run("store.list", call, store_error).await
    }

    async fn queue_position(&self, id: TenantId) -> Result<Option<u64>, StoreError> {
        let call = self.inner.queue_position(id);
        self.faults
            .run("store.queue_position", call, store_error)
            .await
    }

    async fn change(
        &self,
        id: TenantId,
        expected: Option<Revision>,
        change: Change,
        now: Timestamp,
    ) -> Result<Tenant, StoreError> {
        let call = self.inner.change(id, expected, change, now);
        self.faults.run("store.change", call, store_error).await
    }

    async fn release(&self, id: TenantId, now: Timestamp) -> Result<Tenant, StoreError> {
        let call = self.inner.release(id, now);
        self.faults.run("store.release", call, store_error).await
    }

    async fn claim_tenants(&self, request: ClaimRequest) -> Result<Vec<Claim<Tenant>>, StoreError> {
        let call = self.inner.claim_tenants(request);
        self.faults
            .run("store.claim_tenants", call, store_error)
            .await
    }

    async fn renew(
        &self,
        id: TenantId,
        fence: Fence,
        worker: WorkerId,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let call = self.inner.renew(id, fence, worker, lease);
        self.faults.run("store.renew", call, store_error).await
    }

    async fn place(
        &self,
        id: TenantId,
        fence: Fence,
        request: PlaceRequest,
    ) -> Result<Location, StoreError> {
        let call = self.inner.place(id, fence, request);
        self.faults.run("store.place", call, store_error).await
    }

    async fn settle(
        &self,
        id: TenantId,
        fence: Fence,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let call = self.inner.settle(id, fence, settlement, now);
        self.faults.run("store.settle", call, store_error).await
    }

    async fn put_host(
        &self,
        id: HostId,
        labels: BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        let call = self.inner.put_host(id, labels);
        self.faults.run("store.put_host", call, store_error).await
    }

    async fn cordon(&self, id: HostId, cordon: Cordon) -> Result<(), StoreError> {
        let call = self.inner.cordon(id, cordon);
        self.faults.run("store.cordon", call, store_error).await
    }

    async fn release_host(&self, id: HostId) -> Result<(), StoreError> {
        let call = self.inner.release_host(id);
        self.faults
            .run("store.release_host", call, store_error)
            .await
    }

    async fn remove_host(&self, id: HostId) -> Result<(), StoreError> {
        let call = self.inner.remove_host(id);
        self.faults
            .run("store.remove_host", call, store_error)
            .await
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        let call = self.inner.hosts();
        self.faults.run("store.hosts", call, store_error).await
    }

    async fn claim_hosts(&self, request: ClaimRequest) -> Result<Vec<Claim<Host>>, StoreError> {
        let call = self.inner.claim_hosts(request);
        self.faults
            .run("store.claim_hosts", call, store_error)
            .await
    }

    async fn settle_host(
        &self,
        id: HostId,
        fence: Fence,
        settlement: HostSettlement,
    ) -> Result<(), StoreError> {
        let call = self.inner.settle_host(id, fence, settlement);
        self.faults
            .run("store.settle_host", call, store_error)
            .await
    }

    async fn tenants_on(&self, host: HostId) -> Result<Vec<Tenant>, StoreError> {
        let call = self.inner.tenants_on(host);
        self.faults.run("store.tenants_on", call, store_error).await
    }

    async fn events(
        &self,
        tenant: Option<TenantId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let call = self.inner.events(tenant, after, limit);
        self.faults.run("store.events", call, store_error).await
    }

    async fn change_seq(&self) -> Result<u64, StoreError> {
        let call = self.inner.change_seq();
        self.faults.run("store.change_seq", call, store_error).await
    }

    async fn changed_since(&self, after: u64, limit: u32) -> Result<Changes, StoreError> {
        let call = self.inner.changed_since(after, limit);
        self.faults
            .run("store.changed_since", call, store_error)
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let call = self.inner.ping();
        self.faults.run("store.ping", call, store_error).await
    }
}

#[async_trait]
impl<P: InstanceProbe + ?Sized> InstanceProbe for Faulty<P> {
    async fn probe(&self, upstream: &Upstream) -> Readiness {
        let call = async { Ok::<_, Readiness>(self.inner.probe(upstream).await) };
        let answer = self
            .faults
            .run("probe.probe", call, || Readiness::Starting)
            .await;
        answer.unwrap_or_else(|unknown| unknown)
    }
}
