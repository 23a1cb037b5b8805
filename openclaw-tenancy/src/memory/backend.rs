//! The engine port in memory, over [engines](super::engine) that fail as real ones do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ipnet::Ipv4Net;

use super::engine::{Container, Engine, Network, Started, Volume};
use crate::backend::{
    BackendError, Capabilities, ContainerBackend, Made, PreparedImage, Scope, Signal,
};
use crate::clock::Clock;
use crate::container::{
    ContainerDetail, EngineId, Image, InstanceSpec, Inventory, ObjectRef, ObjectSpec, RunState,
    SeenContainer, SeenNetwork, SeenVolume, VolumeFile, VolumeRole, VolumeSpec,
};
use crate::host::HostFacts;
use crate::id::{HostId, TenantId};
use crate::labels::{LabelKeys, ObjectLabels, Role};
use crate::plan::Limits;
use crate::probe::{InstanceProbe, Readiness};
use crate::quantity::Bytes;
use crate::routes::Upstream;

/// Engines in memory. Cheap to clone; clones share the engines.
#[derive(Debug, Clone)]
pub struct MemoryBackend {
    pub(super) keys: Arc<LabelKeys>,
    pub(super) clock: Arc<dyn Clock>,
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

    pub(super) fn engines(&self) -> MutexGuard<'_, BTreeMap<HostId, Engine>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<T: Default>(&self, host: &HostId, act: impl FnOnce(&mut Engine) -> T) -> T {
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
            address: container.address,
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
        name: String,
        labels: ObjectLabels,
        instance: &InstanceSpec,
    ) -> Result<Made, BackendError> {
        if let Some((id, there)) = engine.containers.iter().find(|(_, c)| c.name == name) {
            return adopt(&name, id, there.labels.as_ref(), &labels.spec);
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
        let writes = |c: &&Container| c.labels.is_none() && c.data.as_ref() == Some(&data);
        if let Some(stranger) = engine.containers.values().find(writes) {
            return Err(BackendError::VolumeHeld {
                volume: data,
                container: stranger.name.clone(),
            });
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
            labels: Some(labels),
            name,
            spec: Some(instance.clone()),
            state: RunState::Created,
            added: None,
            limits: instance.limits.into(),
            address: None,
            data: Some(data),
            config: Some(config),
            broken: false,
            cut_off: false,
            used: Bytes(0),
            oom_kills: Vec::new(),
        };
        engine.containers.insert(id.clone(), container);
        Ok(Made { id, adopted: false })
    }
}

fn unreachable(host: &HostId) -> BackendError {
    BackendError::Unreachable {
        host: host.clone(),
        what: "connect",
        source: Some("the engine in memory is out of reach".into()),
    }
}

fn image_missing(host: &HostId, image: &Image) -> BackendError {
    BackendError::ImageMissing {
        host: host.clone(),
        reference: image.reference.clone(),
        source: None,
    }
}

/// What a create comes to where something has the name.
fn adopt(
    name: &str,
    id: &EngineId,
    there: Option<&ObjectLabels>,
    spec: &str,
) -> Result<Made, BackendError> {
    let name = name.to_owned();
    match there {
        Some(labels) if labels.spec == spec => Ok(Made {
            id: id.clone(),
            adopted: true,
        }),
        Some(_) => Err(BackendError::Busy { name }),
        None => Err(BackendError::Conflict { name }),
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
            let networks = engine.networks.values();
            facts.subnets = networks.filter_map(|n| n.subnet).collect();
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
                    subnet: network.subnet,
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
                    oom_kills: c.oom_kills.clone(),
                })
            }))
        })
    }

    async fn prepare(&self, host: &HostId, image: &Image) -> Result<PreparedImage, BackendError> {
        self.call(host, |engine| {
            let digest = format!("sha256:{}", image.reference);
            let wanted = image.digest.as_ref().is_none_or(|wanted| *wanted == digest);
            let present = engine.images.contains(&image.reference);
            if !present && engine.pulled.contains(&image.reference) {
                return Err(BackendError::Pulling {
                    host: host.clone(),
                    reference: image.reference.clone(),
                });
            }
            if !present || !wanted {
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
        let labels = spec.labels();
        self.call(host, |engine| match spec {
            ObjectSpec::Instance(instance) => {
                self.create_container(host, engine, name, labels, instance)
            }
            ObjectSpec::Network(network) => {
                if let Some((id, there)) = engine.networks.iter().find(|(_, n)| n.name == name) {
                    return adopt(&name, id, there.labels.as_ref(), &labels.spec);
                }
                let subnet = network.subnet;
                let holds = |there: Ipv4Net| there.contains(&subnet) || subnet.contains(&there);
                if engine
                    .networks
                    .values()
                    .filter_map(|network| network.subnet)
                    .chain(engine.unseen_subnets.iter().copied())
                    .any(holds)
                {
                    return Err(BackendError::SubnetTaken {
                        host: host.clone(),
                        subnet,
                    });
                }
                let id = engine.new_id(host);
                let network = Network {
                    name,
                    labels: Some(labels),
                    subnet: Some(subnet),
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
                    labels: Some(labels),
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
                    c.address.is_some() && c.spec.as_ref().map(|s| s.subnet) == network.subnet
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
                Started::NoNetwork => Err(BackendError::NotFound { what: "network" }),
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
            let container = found.ok_or(BackendError::NotFound { what: "container" })?;
            if limits.memory < container.used {
                return Err(BackendError::Refused {
                    what: "less memory than is used",
                    status: 500,
                    source: None,
                });
            }
            container.limits = (*limits).into();
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
