//! Bugs of an adapter, and a transport that sends a request again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use openclaw_tenancy::backend::{
    BackendError, Capabilities, ContainerBackend, Made, PreparedImage, Scope, Signal,
};
use openclaw_tenancy::container::{
    ContainerDetail, EngineId, Image, Inventory, ObjectRef, ObjectSpec, VolumeFile,
};
use openclaw_tenancy::host::HostFacts;
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::memory::MemoryBackend;
use openclaw_tenancy::plan::Limits;
use openclaw_tenancy::quantity::Bytes;

use super::Bug;

/// The adapter: with a bug, and over a transport that may send a request again.
#[derive(Debug)]
pub(crate) struct Adapter {
    pub(crate) inner: MemoryBackend,
    pub(crate) bug: Option<Bug>,
    /// The next create arrives twice, and the second answer is the one that comes back.
    pub(crate) twice: Arc<AtomicBool>,
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
        let mut found = match (self.inner.list(host, scope).await, self.bug) {
            (Err(BackendError::Unreachable { .. }), Some(Bug::SilenceIsAbsence)) => {
                Inventory::default()
            }
            (found, _) => found?,
        };
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
            (Err(BackendError::Conflict { name }), Some(Bug::AdoptsForeign)) => Ok(Made {
                id: EngineId(name),
                adopted: true,
            }),
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
