//! The engine port in memory, over [engines](super::engine) that fail as real ones do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::engine::{Behavior, Container, Engine, Network, Process, StartOutcome, Started, Volume};
use crate::backend::{
    BackendError, Capabilities, ContainerBackend, Made, PreparedImage, Scope, Signal,
};
use crate::clock::Clock;
use crate::container::{
    AppliedLimits, ContainerDetail, EngineId, Image, InstanceSpec, Inventory, ObjectRef,
    ObjectSpec, RunState, SeenContainer, SeenNetwork, SeenVolume, VolumeFile, VolumeRole,
    VolumeSpec,
};
use crate::host::HostFacts;
use crate::id::{Generation, HostId, TenantId};
use crate::labels::{LabelKeys, Role};
use crate::plan::Limits;
use crate::probe::{InstanceProbe, Readiness};
use crate::quantity::{Bytes, MilliCpus};
use crate::routes::Upstream;

/// Engines in memory. Cheap to clone; clones share the engines.
#[derive(Debug, Clone)]
pub struct MemoryBackend {
    keys: Arc<LabelKeys>,
    clock: Arc<dyn Clock>,
    engines: Arc<Mutex<BTreeMap<HostId, Engine>>>,
}

impl MemoryBackend {
    /// A backend without hosts.
    #[must_use]
    pub fn new(keys: Arc<LabelKeys>, clock: Arc<dyn Clock>) -> Self {
        Self {
            keys,
            clock,
            engines: Arc::default(),
        }
    }

    /// Adds a host with 8 CPUs, 64 GiB of memory and an image of this reference.
    #[must_use]
    pub fn with_host(self, host: HostId, image: &str) -> Self {
        let mut engine = Engine::new();
        engine.images.insert(image.to_owned());
        self.engines().insert(host, engine);
        self
    }

    /// Changes what a host has.
    pub fn set_facts(&self, host: &HostId, change: impl FnOnce(&mut HostFacts)) {
        self.with(host, |engine| change(&mut engine.facts));
    }

    /// Whether a host answers.
    pub fn set_reachable(&self, host: &HostId, reachable: Reachable) {
        self.with(host, |engine| {
            engine.reachable = reachable == Reachable::Yes
        });
    }

    /// Adds an image to a host.
    pub fn add_image(&self, host: &HostId, reference: &str) {
        self.with(host, |engine| {
            engine.images.insert(reference.to_owned());
        });
    }

    /// Takes an image from a host.
    pub fn remove_image(&self, host: &HostId, reference: &str) {
        self.with(host, |engine| {
            engine.images.remove(reference);
        });
    }

    /// How a tenant's instance behaves from its next start on.
    pub fn set_behavior(&self, host: &HostId, tenant: TenantId, behavior: Behavior) {
        self.with(host, |engine| {
            engine.behavior.insert(tenant, behavior);
        });
    }

    /// What the next start on a host comes to; `None` is a start that succeeds.
    pub fn set_next_start(&self, host: &HostId, outcome: Option<StartOutcome>) {
        self.with(host, |engine| engine.next_start = outcome);
    }

    /// Ends a tenant's running instance, as a crash does.
    pub fn crash(&self, host: &HostId, tenant: TenantId, code: i64) {
        let now = self.clock.now();
        self.with(host, |engine| {
            let of = |c: &Container| c.spec.as_ref().is_some_and(|spec| spec.tenant == tenant);
            let ids: Vec<EngineId> = engine
                .containers
                .iter()
                .filter(|(_, c)| of(c))
                .map(|(id, _)| id.clone())
                .collect();
            ids.iter().for_each(|id| engine.end(id, code, false, now));
        });
    }

    /// Ends a process that the engine does not know, as an operator on the host does.
    pub fn end_ghosts(&self, host: &HostId) {
        self.with(host, |engine| {
            engine.processes.retain(|process| !process.ghost)
        });
    }

    /// Puts an object on a host beside the port; `None` without that host. Ours it is only with labels that fit.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn add_foreign(
        &self,
        host: &HostId,
        role: Role,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<ObjectRef> {
        let labels = self.keys.read(name, labels);
        let name = name.to_owned();
        self.with(host, |engine| match role {
            Role::Data | Role::Config | Role::HostMarker => {
                let volume = Volume {
                    labels,
                    options: "foreign".to_owned(),
                    files: BTreeMap::new(),
                };
                engine.volumes.insert(name.clone(), volume);
                Some(ObjectRef::Volume(name))
            }
            Role::Network => {
                let id = engine.new_id(host);
                let network = Network {
                    name,
                    labels,
                    spec: None,
                };
                engine.networks.insert(id.clone(), network);
                Some(ObjectRef::Network(id))
            }
            Role::Instance | Role::Probe => {
                let id = engine.new_id(host);
                let container = Container {
                    name,
                    labels,
                    spec: None,
                    state: RunState::Created,
                    limits: NO_LIMITS,
                    address: None,
                    data: None,
                    config: None,
                    broken: false,
                };
                engine.containers.insert(id.clone(), container);
                Some(ObjectRef::Container(id))
            }
        })
    }

    /// Whether an object that was [added](Self::add_foreign) is still there as it was.
    #[must_use]
    pub fn is_as_added(&self, host: &HostId, object: &ObjectRef) -> bool {
        self.with(host, |engine| match object {
            ObjectRef::Container(id) => engine.containers.get(id).is_some_and(|c| {
                c.spec.is_none() && c.state == RunState::Created && c.limits == NO_LIMITS
            }),
            ObjectRef::Volume(name) => engine
                .volumes
                .get(name)
                .is_some_and(|v| v.options == "foreign" && v.files.is_empty()),
            ObjectRef::Network(id) => engine.networks.get(id).is_some_and(|n| n.spec.is_none()),
        })
    }

    /// Every process on every host, known to an engine or not: what the invariants are checked on.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        self.engines()
            .values()
            .flat_map(|engine| engine.processes.iter().cloned())
            .collect()
    }

    /// The most processes that ever wrote to one volume at once.
    #[must_use]
    pub fn most_writers(&self) -> usize {
        self.engines()
            .values()
            .map(|engine| engine.most_writers)
            .max()
            .unwrap_or_default()
    }

    /// Names of everything on a host, ours and foreign, for a comparison before and after.
    #[must_use]
    pub fn names(&self, host: &HostId) -> Vec<String> {
        let engines = self.engines();
        let Some(engine) = engines.get(host) else {
            return Vec::new();
        };
        let containers = engine.containers.values().map(|c| c.name.clone());
        let networks = engine.networks.values().map(|n| n.name.clone());
        containers
            .chain(engine.volumes.keys().cloned())
            .chain(networks)
            .collect()
    }

    /// Removes a volume by name, whosever it is: what a careless adapter does.
    pub fn remove_anything_like(&self, host: &HostId, volume: &str) {
        self.with(host, |engine| {
            engine.volumes.remove(volume);
        });
    }

    /// Whose running instance has this address on a host.
    #[must_use]
    pub fn occupant(&self, host: &HostId, at: std::net::IpAddr) -> Option<(TenantId, Generation)> {
        let engines = self.engines();
        let mut containers = engines.get(host)?.containers.values();
        let found = containers.find(|c| c.address.is_some_and(|address| at == address))?;
        found
            .spec
            .as_ref()
            .map(|spec| (spec.tenant, spec.generation))
    }

    /// The files of a volume.
    #[must_use]
    pub fn volume_files(&self, host: &HostId, volume: &str) -> BTreeMap<String, VolumeFile> {
        let engines = self.engines();
        let volume = engines
            .get(host)
            .and_then(|engine| engine.volumes.get(volume));
        volume
            .map(|volume| volume.files.clone())
            .unwrap_or_default()
    }

    fn engines(&self) -> MutexGuard<'_, BTreeMap<HostId, Engine>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Default>(&self, host: &HostId, act: impl FnOnce(&mut Engine) -> T) -> T {
        self.engines().get_mut(host).map(act).unwrap_or_default()
    }

    /// Acts on a host's engine as a call does.
    fn call<T>(
        &self,
        host: &HostId,
        act: impl FnOnce(&mut Engine) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let mut engines = self.engines();
        let unknown = || BackendError::UnknownHost { host: host.clone() };
        let engine = engines.get_mut(host).ok_or_else(unknown)?;
        if !engine.reachable {
            return Err(unreachable(host));
        }
        act(engine)
    }

    fn seen(&self, id: &EngineId, container: &Container) -> Option<SeenContainer> {
        Some(SeenContainer {
            id: id.clone(),
            name: container.name.clone(),
            labels: container.labels.clone()?,
            running: matches!(container.state, RunState::Running { .. }),
        })
    }

    /// The container, if it is there; an error if it is there and foreign.
    fn ours<'a>(
        &self,
        engine: &'a mut Engine,
        id: &EngineId,
    ) -> Result<Option<&'a mut Container>, BackendError> {
        match engine.containers.get_mut(id) {
            None => Ok(None),
            Some(c) if c.labels.is_some() => Ok(Some(c)),
            Some(c) => Err(BackendError::Foreign {
                name: c.name.clone(),
            }),
        }
    }

    fn create_container(
        &self,
        host: &HostId,
        engine: &mut Engine,
        spec: &ObjectSpec,
        instance: &InstanceSpec,
    ) -> Result<Made, BackendError> {
        let name = spec.name(self.keys.deployment());
        if let Some((id, there)) = engine.containers.iter().find(|(_, c)| c.name == name) {
            let labels = there.labels.as_ref();
            return adopt(
                &name,
                id.clone(),
                labels.is_some_and(|l| l.spec == spec.spec_hash()),
            );
        }
        if !engine.images.contains(&instance.image.reference) {
            return Err(image_missing(host, &instance.image));
        }
        let deployment = self.keys.deployment();
        let volume = |role| {
            ObjectSpec::Volume(VolumeSpec {
                tenant: instance.tenant,
                role,
            })
            .name(deployment)
        };
        let (data, config) = (volume(VolumeRole::Data), volume(VolumeRole::Config));
        for volume in [&data, &config] {
            let name = || volume.clone();
            match engine.volumes.get(volume) {
                None => return Err(BackendError::NotFound { what: "volume" }),
                Some(there) if there.labels.is_none() => {
                    return Err(BackendError::Conflict { name: name() });
                }
                Some(there) if !there.options.is_empty() => {
                    return Err(BackendError::StorageMismatch { name: name() });
                }
                Some(_) => {}
            }
        }
        let network = crate::labels::object_name(
            deployment,
            instance.tenant,
            Role::Network,
            crate::id::Generation::default(),
        );
        if !engine.networks.values().any(|n| n.name == network) {
            return Err(BackendError::NotFound { what: "network" });
        }
        let id = engine.new_id(host);
        let container = Container {
            labels: Some(spec.labels()),
            name,
            spec: Some(instance.clone()),
            state: RunState::Created,
            limits: instance.limits.into(),
            address: None,
            data: Some(data),
            config: Some(config),
            broken: false,
        };
        engine.containers.insert(id.clone(), container);
        Ok(Made { id, adopted: false })
    }
}

/// Whether a host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachable {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// A foreign container is given none.
const NO_LIMITS: AppliedLimits = AppliedLimits {
    cpu: MilliCpus(0),
    memory: Bytes(0),
    swap: Bytes(0),
    pids: 0,
};

fn unreachable(host: &HostId) -> BackendError {
    BackendError::Unreachable {
        host: host.clone(),
        what: "connect",
        source: None,
    }
}

fn image_missing(host: &HostId, image: &Image) -> BackendError {
    BackendError::ImageMissing {
        host: host.clone(),
        reference: image.reference.clone(),
        source: None,
    }
}

fn adopt(name: &str, id: EngineId, same: bool) -> Result<Made, BackendError> {
    if same {
        Ok(Made { id, adopted: true })
    } else {
        Err(BackendError::Conflict {
            name: name.to_owned(),
        })
    }
}

#[async_trait]
impl ContainerBackend for MemoryBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            storage_quota: false,
            update_in_place: true,
        }
    }

    async fn hosts(&self) -> Result<Vec<HostId>, BackendError> {
        Ok(self.engines().keys().cloned().collect())
    }

    async fn host(&self, host: &HostId) -> Result<HostFacts, BackendError> {
        self.call(host, |engine| {
            let mut facts = engine.facts.clone();
            facts.swap = None;
            let prefix = format!("oct-{}-host-", self.keys.deployment());
            for (name, volume) in &engine.volumes {
                if let (Some(marker), Some(_)) = (name.strip_prefix(&prefix), &volume.labels) {
                    facts.markers.push(marker.to_owned());
                }
            }
            Ok(facts)
        })
    }

    async fn measure_swap(&self, host: &HostId, image: &Image) -> Result<Bytes, BackendError> {
        self.call(host, |engine| {
            if !engine.images.contains(&image.reference) {
                return Err(image_missing(host, image));
            }
            Ok(engine.facts.swap.unwrap_or_default())
        })
    }

    async fn list(&self, host: &HostId, scope: Scope) -> Result<Inventory, BackendError> {
        self.call(host, |engine| {
            let within = |tenant: Option<TenantId>| match scope {
                Scope::All => true,
                Scope::Tenant(wanted) => tenant == Some(wanted),
            };
            let containers = engine
                .containers
                .iter()
                .filter_map(|(id, c)| self.seen(id, c));
            let volumes = engine.volumes.iter().filter_map(|(name, volume)| {
                let labels = volume.labels.clone()?;
                Some(SeenVolume {
                    name: name.clone(),
                    labels,
                })
            });
            let networks = engine.networks.iter().filter_map(|(id, network)| {
                Some(SeenNetwork {
                    id: id.clone(),
                    name: network.name.clone(),
                    labels: network.labels.clone()?,
                    subnet: network.spec.as_ref().map(|spec| spec.subnet),
                })
            });
            Ok(Inventory {
                containers: containers.filter(|c| within(c.labels.tenant)).collect(),
                volumes: volumes.filter(|v| within(v.labels.tenant)).collect(),
                networks: networks.filter(|n| within(n.labels.tenant)).collect(),
            })
        })
    }

    async fn inspect(
        &self,
        host: &HostId,
        container: &EngineId,
    ) -> Result<Option<ContainerDetail>, BackendError> {
        self.call(host, |engine| {
            let found = engine.containers.get(container);
            Ok(found.and_then(|c| {
                Some(ContainerDetail {
                    seen: self.seen(container, c)?,
                    state: c.state.clone(),
                    limits: c.limits,
                    address: c.address,
                })
            }))
        })
    }

    async fn prepare(&self, host: &HostId, image: &Image) -> Result<PreparedImage, BackendError> {
        self.call(host, |engine| {
            let digest = format!("sha256:{}", image.reference);
            let wanted = image.digest.as_ref().is_none_or(|wanted| *wanted == digest);
            if !engine.images.contains(&image.reference) || !wanted {
                return Err(image_missing(host, image));
            }
            let image = Image {
                digest: Some(digest),
                ..image.clone()
            };
            Ok(PreparedImage {
                image,
                size: Bytes::mib(1),
            })
        })
    }

    async fn create(&self, host: &HostId, spec: &ObjectSpec) -> Result<Made, BackendError> {
        let name = spec.name(self.keys.deployment());
        let labels = Some(spec.labels());
        let hash = spec.spec_hash();
        self.call(host, |engine| match spec {
            ObjectSpec::Instance(instance) => self.create_container(host, engine, spec, instance),
            ObjectSpec::Network(network) => {
                if let Some((id, there)) = engine.networks.iter().find(|(_, n)| n.name == name) {
                    let read = there.labels.as_ref();
                    return adopt(&name, id.clone(), read.is_some_and(|l| l.spec == hash));
                }
                let id = engine.new_id(host);
                let network = Network {
                    name,
                    labels,
                    spec: Some(network.clone()),
                };
                engine.networks.insert(id.clone(), network);
                Ok(Made { id, adopted: false })
            }
            ObjectSpec::Volume(_) | ObjectSpec::HostMarker { .. } => {
                let id = EngineId(name.clone());
                if let Some(there) = engine.volumes.get(&name) {
                    // The engine itself answers success, whatever the options: the adapter looks.
                    if there.labels.is_none() {
                        return Err(BackendError::Conflict { name });
                    }
                    return match there.options.as_str() {
                        "" => Ok(Made { id, adopted: true }),
                        _ => Err(BackendError::StorageMismatch { name }),
                    };
                }
                let volume = Volume {
                    labels,
                    options: String::new(),
                    files: BTreeMap::new(),
                };
                engine.volumes.insert(name, volume);
                Ok(Made { id, adopted: false })
            }
        })
    }

    async fn remove(&self, host: &HostId, object: &ObjectRef) -> Result<(), BackendError> {
        self.call(host, |engine| match object {
            ObjectRef::Container(id) => {
                if self.ours(engine, id)?.is_some() {
                    engine.forget(id);
                }
                Ok(())
            }
            ObjectRef::Volume(name) => {
                let Some(volume) = engine.volumes.get(name) else {
                    return Ok(());
                };
                if volume.labels.is_none() {
                    return Err(BackendError::Foreign { name: name.clone() });
                }
                let uses = |c: &Container| {
                    c.data.as_ref() == Some(name) || c.config.as_ref() == Some(name)
                };
                if engine.containers.values().any(uses) {
                    return Err(BackendError::Busy { name: name.clone() });
                }
                engine.volumes.remove(name);
                Ok(())
            }
            ObjectRef::Network(id) => {
                let Some(network) = engine.networks.get(id) else {
                    return Ok(());
                };
                if network.labels.is_none() {
                    return Err(BackendError::Foreign {
                        name: network.name.clone(),
                    });
                }
                let inside = |c: &Container| {
                    matches!(c.state, RunState::Running { .. })
                        && c.spec.as_ref().map(|s| s.subnet)
                            == network.spec.as_ref().map(|s| s.subnet)
                };
                if engine.containers.values().any(inside) {
                    return Err(BackendError::Busy {
                        name: network.name.clone(),
                    });
                }
                engine.networks.remove(id);
                Ok(())
            }
        })
    }

    async fn start(&self, host: &HostId, container: &EngineId) -> Result<(), BackendError> {
        let now = self.clock.now();
        self.call(host, |engine| {
            if self.ours(engine, container)?.is_none() {
                return Err(BackendError::NotFound { what: "container" });
            }
            let (host, container) = (host.clone(), container.clone());
            match engine.start(&container, now) {
                Started::Clean => Ok(()),
                Started::Absent => Err(BackendError::NotFound { what: "container" }),
                Started::Lost => Err(unreachable(&host)),
                Started::IdInUse => Err(BackendError::GhostSuspected {
                    host,
                    container,
                    source: None,
                }),
                Started::NoShim => Err(BackendError::NeverStarts {
                    host,
                    container,
                    source: None,
                }),
            }
        })
    }

    async fn signal(
        &self,
        host: &HostId,
        container: &EngineId,
        signal: Signal,
    ) -> Result<(), BackendError> {
        let now = self.clock.now();
        self.call(host, |engine| {
            if self.ours(engine, container)?.is_some() {
                match signal {
                    Signal::Terminate if engine.ignores_terminate(container) => {}
                    Signal::Terminate => engine.end(container, 0, false, now),
                    Signal::Kill => engine.end(container, 137, false, now),
                }
            }
            Ok(())
        })
    }

    async fn update(
        &self,
        host: &HostId,
        container: &EngineId,
        limits: &Limits,
    ) -> Result<(), BackendError> {
        self.call(host, |engine| {
            let found = self.ours(engine, container)?;
            found
                .ok_or(BackendError::NotFound { what: "container" })?
                .limits = (*limits).into();
            Ok(())
        })
    }

    async fn path_exists(
        &self,
        host: &HostId,
        container: &EngineId,
        path: &str,
    ) -> Result<bool, BackendError> {
        self.call(host, |engine| {
            if self.ours(engine, container)?.is_none() {
                return Err(BackendError::NotFound { what: "container" });
            }
            let found = engine.volume_of(container, path);
            Ok(found.is_some_and(|(volume, path)| {
                let volume = engine.volumes.get(&volume);
                volume.is_some_and(|v| path.is_empty() || v.files.contains_key(&path))
            }))
        })
    }

    async fn put_files(
        &self,
        host: &HostId,
        container: &EngineId,
        directory: &str,
        files: Vec<VolumeFile>,
    ) -> Result<(), BackendError> {
        self.call(host, |engine| {
            if self.ours(engine, container)?.is_none() {
                return Err(BackendError::NotFound { what: "container" });
            }
            let missing = BackendError::NotFound { what: "directory" };
            let (volume, below) = engine.volume_of(container, directory).ok_or(missing)?;
            if let Some(volume) = engine.volumes.get_mut(&volume) {
                for file in files {
                    let path = format!("{below}/{}", file.path);
                    volume.files.insert(path.trim_matches('/').to_owned(), file);
                }
            }
            Ok(())
        })
    }

    async fn logs(
        &self,
        host: &HostId,
        container: &EngineId,
        _limit: Bytes,
    ) -> Result<String, BackendError> {
        self.call(host, |engine| match self.ours(engine, container)? {
            Some(_) => Ok(String::new()),
            None => Err(BackendError::NotFound { what: "container" }),
        })
    }
}

/// The instances in these engines answer for themselves.
#[async_trait]
impl InstanceProbe for MemoryBackend {
    async fn probe(&self, upstream: &Upstream) -> Readiness {
        let Upstream::Direct(at) = upstream;
        let std::net::IpAddr::V4(address) = at.ip() else {
            return Readiness::Starting;
        };
        let now = self.clock.now();
        let engines = self.engines();
        engines
            .values()
            .find_map(|engine| engine.readiness(address, now))
            .unwrap_or(Readiness::Starting)
    }
}
