//! Faults: any port wrapped so that chosen calls fail, hang, are delayed, or happen and lose their answer.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::backend::{
    BackendError, Capabilities, ContainerBackend, Made, PreparedImage, Scope, Signal,
};
use crate::clock::{Clock, Timestamp};
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

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done, and answers an error.
    Fail,
    /// It is done, and answers an error.
    LoseAnswer,
    /// It is done after a while.
    Delay(Duration),
    /// It is not done, and never answers: the caller is as good as dead.
    HangBefore,
    /// It is done, and never answers: the caller is as good as dead.
    HangAfter,
}

/// Decides what becomes of calls. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Faults {
    clock: Arc<dyn Clock>,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    calls: u64,
    by_number: BTreeMap<u64, Fault>,
    by_name: BTreeMap<&'static str, VecDeque<Option<Fault>>>,
    hung: bool,
    trace: Option<Vec<&'static str>>,
}

impl Faults {
    /// Without any fault yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            plan: Arc::default(),
        }
    }

    /// The call of this number, counted from 0 over every wrapped port, meets `fault`.
    pub fn at(&self, call: u64, fault: Fault) {
        self.plan().by_number.insert(call, fault);
    }

    /// The next call of this method not yet spoken for meets `fault`; `None` leaves it alone.
    pub fn next(&self, method: &'static str, fault: Option<Fault>) {
        self.plan()
            .by_name
            .entry(method)
            .or_default()
            .push_back(fault);
    }

    /// No call that is still to come meets a fault.
    pub fn stop(&self) {
        let mut plan = self.plan();
        plan.by_number.clear();
        plan.by_name.clear();
    }

    /// How many calls there have been.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.plan().calls
    }

    /// Whether a call has hung since this was last asked.
    #[must_use]
    pub fn take_hung(&self) -> bool {
        std::mem::take(&mut self.plan().hung)
    }

    /// Keeps the names of calls from now on.
    pub fn trace(&self) {
        self.plan().trace = Some(Vec::new());
    }

    /// The names of the calls since [`trace`](Self::trace).
    #[must_use]
    pub fn traced(&self) -> Vec<&'static str> {
        self.plan().trace.clone().unwrap_or_default()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, method: &'static str) -> Option<Fault> {
        let mut plan = self.plan();
        let call = plan.calls;
        plan.calls += 1;
        if let Some(trace) = &mut plan.trace {
            trace.push(method);
        }
        let by_name = plan
            .by_name
            .get_mut(method)
            .and_then(VecDeque::pop_front)
            .flatten();
        by_name.or_else(|| plan.by_number.get(&call).copied())
    }

    async fn hang<T>(&self) -> T {
        self.plan().hung = true;
        std::future::pending().await
    }

    async fn run<T: Send, E: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, E>> + Send,
        error: impl FnOnce() -> E + Send,
    ) -> Result<T, E> {
        match self.decide(method) {
            None => call.await,
            Some(Fault::Fail) => Err(error()),
            Some(Fault::LoseAnswer) => {
                let _lost = call.await;
                Err(error())
            }
            Some(Fault::Delay(delay)) => {
                self.clock.sleep(delay).await;
                call.await
            }
            Some(Fault::HangBefore) => self.hang().await,
            Some(Fault::HangAfter) => {
                let _lost = call.await;
                self.hang().await
            }
        }
    }
}

/// A port whose calls meet [`Faults`].
#[derive(Debug, Clone)]
pub struct Faulty<P: ?Sized> {
    inner: Arc<P>,
    faults: Faults,
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

const fn store_error() -> StoreError {
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
        self.faults.run("hosts", call, backend_error).await
    }

    async fn host(&self, host: &HostId) -> Result<HostFacts, BackendError> {
        let call = self.inner.host(host);
        self.faults.run("host", call, backend_error).await
    }

    async fn measure_swap(&self, host: &HostId, image: &Image) -> Result<Bytes, BackendError> {
        let call = self.inner.measure_swap(host, image);
        self.faults.run("measure_swap", call, backend_error).await
    }

    async fn list(&self, host: &HostId, scope: Scope) -> Result<Inventory, BackendError> {
        let call = self.inner.list(host, scope);
        self.faults.run("list", call, backend_error).await
    }

    async fn inspect(
        &self,
        host: &HostId,
        container: &EngineId,
    ) -> Result<Option<ContainerDetail>, BackendError> {
        let call = self.inner.inspect(host, container);
        self.faults.run("inspect", call, backend_error).await
    }

    async fn prepare(&self, host: &HostId, image: &Image) -> Result<PreparedImage, BackendError> {
        let call = self.inner.prepare(host, image);
        self.faults.run("prepare", call, backend_error).await
    }

    async fn create(&self, host: &HostId, spec: &ObjectSpec) -> Result<Made, BackendError> {
        let call = self.inner.create(host, spec);
        self.faults.run("create", call, backend_error).await
    }

    async fn remove(&self, host: &HostId, object: &ObjectRef) -> Result<(), BackendError> {
        let call = self.inner.remove(host, object);
        self.faults.run("remove", call, backend_error).await
    }

    async fn start(&self, host: &HostId, container: &EngineId) -> Result<(), BackendError> {
        let call = self.inner.start(host, container);
        self.faults.run("start", call, backend_error).await
    }

    async fn signal(
        &self,
        host: &HostId,
        container: &EngineId,
        signal: Signal,
    ) -> Result<(), BackendError> {
        let call = self.inner.signal(host, container, signal);
        self.faults.run("signal", call, backend_error).await
    }

    async fn update(
        &self,
        host: &HostId,
        container: &EngineId,
        limits: &Limits,
    ) -> Result<(), BackendError> {
        let call = self.inner.update(host, container, limits);
        self.faults.run("update", call, backend_error).await
    }

    async fn path_exists(
        &self,
        host: &HostId,
        container: &EngineId,
        path: &str,
    ) -> Result<bool, BackendError> {
        let call = self.inner.path_exists(host, container, path);
        self.faults.run("path_exists", call, backend_error).await
    }

    async fn put_files(
        &self,
        host: &HostId,
        container: &EngineId,
        directory: &str,
        files: Vec<VolumeFile>,
    ) -> Result<(), BackendError> {
        let call = self.inner.put_files(host, container, directory, files);
        self.faults.run("put_files", call, backend_error).await
    }

    async fn logs(
        &self,
        host: &HostId,
        container: &EngineId,
        limit: Bytes,
    ) -> Result<String, BackendError> {
        let call = self.inner.logs(host, container, limit);
        self.faults.run("logs", call, backend_error).await
    }
}

#[async_trait]
impl<P: TenantStore + ?Sized> TenantStore for Faulty<P> {
    async fn create(&self, tenant: NewTenant) -> Result<Created, StoreError> {
        let call = self.inner.create(tenant);
        self.faults.run("create", call, store_error).await
    }

    async fn get(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let call = self.inner.get(id);
        self.faults.run("get", call, store_error).await
    }

    async fn find_by_owner(&self, owner: AccountId) -> Result<Option<Tenant>, StoreError> {
        let call = self.inner.find_by_owner(owner);
        self.faults.run("find_by_owner", call, store_error).await
    }

    async fn list(&self, after: Option<TenantId>, limit: u32) -> Result<TenantPage, StoreError> {
        let call = self.inner.list(after, limit);
        self.faults.run("list", call, store_error).await
    }

    async fn queue_position(&self, id: TenantId) -> Result<Option<u64>, StoreError> {
        let call = self.inner.queue_position(id);
        self.faults.run("queue_position", call, store_error).await
    }

    async fn change(
        &self,
        id: TenantId,
        expected: Option<Revision>,
        change: Change,
        now: Timestamp,
    ) -> Result<Tenant, StoreError> {
        let call = self.inner.change(id, expected, change, now);
        self.faults.run("change", call, store_error).await
    }

    async fn release(&self, id: TenantId, now: Timestamp) -> Result<Tenant, StoreError> {
        let call = self.inner.release(id, now);
        self.faults.run("release", call, store_error).await
    }

    async fn claim_tenants(&self, request: ClaimRequest) -> Result<Vec<Claim<Tenant>>, StoreError> {
        let call = self.inner.claim_tenants(request);
        self.faults.run("claim_tenants", call, store_error).await
    }

    async fn renew(
        &self,
        id: TenantId,
        fence: Fence,
        worker: WorkerId,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let call = self.inner.renew(id, fence, worker, lease);
        self.faults.run("renew", call, store_error).await
    }

    async fn place(
        &self,
        id: TenantId,
        fence: Fence,
        request: PlaceRequest,
    ) -> Result<Location, StoreError> {
        let call = self.inner.place(id, fence, request);
        self.faults.run("place", call, store_error).await
    }

    async fn settle(
        &self,
        id: TenantId,
        fence: Fence,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let call = self.inner.settle(id, fence, settlement, now);
        self.faults.run("settle", call, store_error).await
    }

    async fn put_host(
        &self,
        id: HostId,
        labels: BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        let call = self.inner.put_host(id, labels);
        self.faults.run("put_host", call, store_error).await
    }

    async fn cordon(&self, id: HostId, cordon: Cordon) -> Result<(), StoreError> {
        let call = self.inner.cordon(id, cordon);
        self.faults.run("cordon", call, store_error).await
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        let call = self.inner.hosts();
        self.faults.run("hosts", call, store_error).await
    }

    async fn claim_hosts(&self, request: ClaimRequest) -> Result<Vec<Claim<Host>>, StoreError> {
        let call = self.inner.claim_hosts(request);
        self.faults.run("claim_hosts", call, store_error).await
    }

    async fn settle_host(
        &self,
        id: HostId,
        fence: Fence,
        settlement: HostSettlement,
    ) -> Result<(), StoreError> {
        let call = self.inner.settle_host(id, fence, settlement);
        self.faults.run("settle_host", call, store_error).await
    }

    async fn tenants_on(&self, host: HostId) -> Result<Vec<Tenant>, StoreError> {
        let call = self.inner.tenants_on(host);
        self.faults.run("tenants_on", call, store_error).await
    }

    async fn events(
        &self,
        tenant: Option<TenantId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let call = self.inner.events(tenant, after, limit);
        self.faults.run("events", call, store_error).await
    }

    async fn change_seq(&self) -> Result<u64, StoreError> {
        let call = self.inner.change_seq();
        self.faults.run("change_seq", call, store_error).await
    }

    async fn changed_since(&self, after: u64, limit: u32) -> Result<Changes, StoreError> {
        let call = self.inner.changed_since(after, limit);
        self.faults.run("changed_since", call, store_error).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let call = self.inner.ping();
        self.faults.run("ping", call, store_error).await
    }
}

#[async_trait]
impl<P: InstanceProbe + ?Sized> InstanceProbe for Faulty<P> {
    async fn probe(&self, upstream: &Upstream) -> Readiness {
        let call = async { Ok::<_, Readiness>(self.inner.probe(upstream).await) };
        let answer = self.faults.run("probe", call, || Readiness::Starting).await;
        answer.unwrap_or_else(|unknown| unknown)
    }
}
