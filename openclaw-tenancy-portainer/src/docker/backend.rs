//! The backend: several hosts, an engine each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::backend::{
    BackendError, Capabilities, ContainerBackend, Made, PreparedImage, Scope, Signal,
};
use openclaw_tenancy::clock::{Clock, SystemClock};
use openclaw_tenancy::container::{
    ContainerDetail, EngineId, Image, Inventory, ObjectRef, ObjectSpec, VolumeFile,
};
use openclaw_tenancy::host::HostFacts;
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::plan::Limits;
use openclaw_tenancy::quantity::Bytes;

use super::{Endpoint, EndpointError, Proxy, TlsError};
use crate::engine::{Engine, Transport};

/// Below the reconciler's lease, so that no call outlives its claim.
const CALL_LIMIT: Duration = Duration::from_secs(25);

/// Docker Engines that are spoken to directly, one per host.
///
/// ```
/// use openclaw_tenancy::id::{DeploymentId, HostId};
/// use openclaw_tenancy::labels::LabelKeys;
/// use openclaw_tenancy_portainer::docker::{DockerBackend, Endpoint};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = LabelKeys::new(DeploymentId::new("example")?, "k1", [7; 32]);
/// let backend = DockerBackend::builder(keys)
///     .host(HostId::new("local")?, Endpoint::local())
///     .host(HostId::new("worker-1")?, "tcp://127.0.0.1:2375".parse()?)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DockerBackend {
    engines: BTreeMap<HostId, Engine>,
}

/// What a [`DockerBackend`] is made from. Nothing is checked or dialled before [`build`](Self::build), and
/// nothing is dialled by it.
#[derive(Debug)]
pub struct DockerBackendBuilder {
    keys: Arc<LabelKeys>,
    clock: Arc<dyn Clock>,
    limit: Duration,
    hosts: Vec<(HostId, Endpoint, Option<Proxy>)>,
}

/// A configuration that makes no backend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Two hosts have one id.
    #[error("host `{host}` is configured twice; give each host an id of its own")]
    Duplicate {
        /// The id.
        host: HostId,
    },
    /// An endpoint cannot be used.
    #[error("host `{host}`: its endpoint cannot be used")]
    Endpoint {
        /// The host.
        host: HostId,
        /// Why, with the fix.
        #[source]
        source: EndpointError,
    },
    /// The TLS files cannot be used.
    #[error("host `{host}`: its TLS files cannot be used")]
    Tls {
        /// The host.
        host: HostId,
        /// Why, with the field.
        #[source]
        source: TlsError,
    },
    /// The client library refused its own set-up.
    #[error("host `{host}`: the Docker client could not be set up")]
    Client {
        /// The host.
        host: HostId,
        /// Why.
        #[source]
        source: openclaw_tenancy::error::Source,
    },
}

impl DockerBackend {
    /// Begins a backend whose objects carry labels signed with `keys`.
    #[must_use]
    pub fn builder(keys: impl Into<Arc<LabelKeys>>) -> DockerBackendBuilder {
        DockerBackendBuilder {
            keys: keys.into(),
            clock: Arc::new(SystemClock),
            limit: CALL_LIMIT,
            hosts: Vec::new(),
        }
    }

    fn engine(&self, host: &HostId) -> Result<&Engine, BackendError> {
        self.engines
            .get(host)
            .ok_or_else(|| BackendError::UnknownHost { host: host.clone() })
    }
}

impl DockerBackendBuilder {
    /// Adds the engine of `host`.
    #[must_use]
    pub fn host(mut self, host: HostId, endpoint: Endpoint) -> Self {
        self.hosts.push((host, endpoint, None));
        self
    }

    /// Adds the engine of `host`, which the HTTP proxy at `endpoint` serves.
    #[must_use]
    pub fn host_behind(mut self, host: HostId, endpoint: Endpoint, proxy: Proxy) -> Self {
        self.hosts.push((host, endpoint, Some(proxy)));
        self
    }

    /// How long one call of the backend may take, 25 s unless told; must be below the reconciler's lease.
    #[must_use]
    pub const fn call_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The clock that files' times come from, the machine's own unless told.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the backend. TLS files are read now; no engine is dialled.
    ///
    /// # Errors
    /// [`ConfigError`], which names the host and, in its source, the field and the fix.
    pub fn build(self) -> Result<DockerBackend, ConfigError> {
        let mut engines = BTreeMap::new();
        for (host, endpoint, proxy) in self.hosts {
            if engines.contains_key(&host) {
                return Err(ConfigError::Duplicate { host });
            }
            endpoint.check().map_err(|source| ConfigError::Endpoint {
                host: host.clone(),
                source,
            })?;
            let transport =
                Transport::new(&endpoint, proxy.as_ref()).map_err(|source| ConfigError::Tls {
                    host: host.clone(),
                    source,
                })?;
            let engine = Engine::new(
                host.clone(),
                transport,
                Arc::clone(&self.keys),
                Arc::clone(&self.clock),
                self.limit,
            )
            .map_err(|e| ConfigError::Client {
                host: host.clone(),
                source: Box::new(e),
            })?;
            engines.insert(host, engine);
        }
        Ok(DockerBackend { engines })
    }
}

#[async_trait]
impl ContainerBackend for DockerBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            storage_quota: false,
            update_in_place: true,
        }
    }

    async fn hosts(&self) -> Result<Vec<HostId>, BackendError> {
        Ok(self.engines.keys().cloned().collect())
    }

    async fn host(&self, host: &HostId) -> Result<HostFacts, BackendError> {
        self.engine(host)?.facts().await
    }

    async fn measure_swap(&self, host: &HostId, image: &Image) -> Result<Bytes, BackendError> {
        self.engine(host)?.measure_swap(image).await
    }

    async fn list(&self, host: &HostId, scope: Scope) -> Result<Inventory, BackendError> {
        self.engine(host)?.list(scope).await
    }

    async fn inspect(
        &self,
        host: &HostId,
        container: &EngineId,
    ) -> Result<Option<ContainerDetail>, BackendError> {
        self.engine(host)?.inspect(container).await
    }

    async fn prepare(&self, host: &HostId, image: &Image) -> Result<PreparedImage, BackendError> {
        self.engine(host)?.prepare(image).await
    }

    async fn create(&self, host: &HostId, spec: &ObjectSpec) -> Result<Made, BackendError> {
        self.engine(host)?.create(spec).await
    }

    async fn remove(&self, host: &HostId, object: &ObjectRef) -> Result<(), BackendError> {
        self.engine(host)?.remove(object).await
    }

    async fn start(&self, host: &HostId, container: &EngineId) -> Result<(), BackendError> {
        self.engine(host)?.start(container).await
    }

    async fn signal(
        &self,
        host: &HostId,
        container: &EngineId,
        signal: Signal,
    ) -> Result<(), BackendError> {
        self.engine(host)?.signal(container, signal).await
    }

    async fn update(
        &self,
        host: &HostId,
        container: &EngineId,
        limits: &Limits,
    ) -> Result<(), BackendError> {
        self.engine(host)?.update(container, limits).await
    }

    async fn path_exists(
        &self,
        host: &HostId,
        container: &EngineId,
        path: &str,
    ) -> Result<bool, BackendError> {
        self.engine(host)?.path_exists(container, path).await
    }

    async fn put_files(
        &self,
        host: &HostId,
        container: &EngineId,
        directory: &str,
        files: Vec<VolumeFile>,
    ) -> Result<(), BackendError> {
        self.engine(host)?
            .put_files(container, directory, files)
            .await
    }

    async fn logs(
        &self,
        host: &HostId,
        container: &EngineId,
        limit: Bytes,
    ) -> Result<String, BackendError> {
        self.engine(host)?.logs(container, limit).await
    }
}
