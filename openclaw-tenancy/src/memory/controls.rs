//! What a test does to the engines in memory, and what it looks at, behind the port's back.

use std::collections::BTreeMap;

use super::backend::MemoryBackend;
use super::engine::{Behavior, Container, Network, Process, StartOutcome, Volume};
use crate::container::{AppliedLimits, EngineId, ObjectRef, RunState, VolumeFile};
use crate::host::HostFacts;
use crate::id::{Generation, HostId, TenantId};
use crate::labels::{ObjectLabels, Role};
use crate::quantity::{Bytes, MilliCpus};

/// A foreign container is given none.
const NO_LIMITS: AppliedLimits = AppliedLimits {
    cpu: MilliCpus(0),
    memory: Bytes(0),
    swap: Bytes(0),
    pids: 0,
};

/// Whether a host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachable {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl MemoryBackend {
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

    /// An image that is on its way to a host until [`add_image`](Self::add_image) brings it, or
    /// [`remove_image`](Self::remove_image) ends that.
    pub fn begin_pull(&self, host: &HostId, reference: &str) {
        self.with(host, |engine| {
            engine.pulled.insert(reference.to_owned());
        });
    }

    /// Takes an image from a host, also one that is on its way.
    pub fn remove_image(&self, host: &HostId, reference: &str) {
        self.with(host, |engine| {
            engine.images.remove(reference);
            engine.pulled.remove(reference);
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
            let found = engine.containers.iter().filter(|(_, c)| is_of(c, tenant));
            let ids: Vec<EngineId> = found.map(|(id, _)| id.clone()).collect();
            ids.iter().for_each(|id| engine.end(id, code, false, now));
        });
    }

    /// Kills a child of a tenant's running instance for memory: the instance itself runs on.
    pub fn kill_child(&self, host: &HostId, tenant: TenantId) {
        let now = self.clock.now();
        self.instances(host, tenant, |container| {
            if matches!(container.state, RunState::Running { .. }) {
                container.oom_kills.push(now);
            }
        });
    }

    /// How much memory a tenant's instance uses from now on.
    pub fn set_memory_used(&self, host: &HostId, tenant: TenantId, used: Bytes) {
        self.instances(host, tenant, |container| container.used = used);
    }

    /// Freezes a tenant's running instance, as `docker pause` does.
    pub fn pause(&self, host: &HostId, tenant: TenantId) {
        self.instances(host, tenant, |container| {
            if matches!(container.state, RunState::Running { .. }) {
                container.state = RunState::Paused;
            }
        });
    }

    /// Lets it go on.
    pub fn unpause(&self, host: &HostId, tenant: TenantId) {
        let started_at = self.clock.now();
        self.instances(host, tenant, |container| {
            if container.state == RunState::Paused {
                container.state = RunState::Running { started_at };
            }
        });
    }

    /// Takes a tenant's instance out of its network, and the network from the host. Started again, the instance
    /// runs without one: what Docker Engine 20.10 was measured to do.
    pub fn cut_off(&self, host: &HostId, tenant: TenantId) {
        self.instances(host, tenant, |container| {
            container.address = None;
            container.cut_off = true;
        });
        self.with(host, |engine| {
            let theirs = |n: &Network| n.labels.as_ref().and_then(|l| l.tenant) == Some(tenant);
            engine.networks.retain(|_, network| !theirs(network));
        });
    }

    /// Gives a tenant's running instance another address than it asked for.
    pub fn readdress(&self, host: &HostId, tenant: TenantId, address: std::net::Ipv4Addr) {
        self.instances(host, tenant, |container| container.address = Some(address));
    }

    fn instances(&self, host: &HostId, tenant: TenantId, change: impl FnMut(&mut Container)) {
        self.with(host, |engine| {
            let all = engine.containers.values_mut();
            all.filter(|c| is_of(c, tenant)).for_each(change);
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
                    subnet: None,
                };
                engine.networks.insert(id.clone(), network);
                Some(ObjectRef::Network(id))
            }
            Role::Instance | Role::Probe => {
                let id = engine.new_id(host);
                engine.containers.insert(id.clone(), foreign(name, labels));
                Some(ObjectRef::Container(id))
            }
        })
    }

    /// Starts a container that was [added](Self::add_foreign), beside the port: from then on it is to run.
    pub fn run_foreign(&self, host: &HostId, object: &ObjectRef) {
        let started_at = self.clock.now();
        self.with(host, |engine| {
            let ObjectRef::Container(id) = object else {
                return;
            };
            let found = engine.containers.get_mut(id);
            if let Some(container) = found.filter(|container| container.added.is_some()) {
                container.state = RunState::Running { started_at };
                container.added = Some(container.state.clone());
            }
        });
    }

    /// Puts a container of somebody else's on a host that mounts a volume, as [`add_foreign`](Self::add_foreign) does.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn add_foreign_on(&self, host: &HostId, name: &str, volume: &str) -> Option<ObjectRef> {
        self.with(host, |engine| {
            let id = engine.new_id(host);
            let mut container = foreign(name.to_owned(), None);
            container.data = Some(volume.to_owned());
            engine.containers.insert(id.clone(), container);
            Some(ObjectRef::Container(id))
        })
    }

    /// Adds a network of somebody else's that holds a subnet.
    pub fn add_foreign_network(&self, host: &HostId, subnet: ipnet::Ipv4Net) {
        self.with(host, |engine| {
            let network = Network {
                name: format!("somebody-{subnet}"),
                labels: None,
                subnet: Some(subnet),
            };
            let id = engine.new_id(host);
            engine.networks.insert(id, network);
        });
    }

    /// Makes the engine hold a subnet for a network that no list shows, as one does that was killed while it made it.
    pub fn hold_subnet_unseen(&self, host: &HostId, subnet: ipnet::Ipv4Net) {
        self.with(host, |engine| engine.unseen_subnets.push(subnet));
    }

    /// Whether an object that was [added](Self::add_foreign) is still there as it was.
    #[must_use]
    pub fn is_as_added(&self, host: &HostId, object: &ObjectRef) -> bool {
        self.with(host, |engine| match object {
            ObjectRef::Container(id) => engine.containers.get(id).is_some_and(|c| {
                let as_made = c.limits == NO_LIMITS && c.address.is_none() && !c.broken;
                c.added.as_ref() == Some(&c.state) && as_made
            }),
            ObjectRef::Volume(name) => engine
                .volumes
                .get(name)
                .is_some_and(|v| v.options == "foreign" && v.files.is_empty()),
            ObjectRef::Network(id) => engine.networks.get(id).is_some_and(|n| n.subnet.is_none()),
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
        self.look_at_names(host, |names| {
            names.iter().map(|name| (*name).to_owned()).collect()
        })
    }

    /// Looks at the [names](Self::names) of everything on a host without a copy of them.
    ///
    /// The engines are locked meanwhile: `look` must not call them.
    pub fn look_at_names<T>(&self, host: &HostId, look: impl FnOnce(&[&str]) -> T) -> T {
        let engines = self.engines();
        let Some(engine) = engines.get(host) else {
            return look(&[]);
        };
        let containers = engine.containers.values().map(|c| c.name.as_str());
        let volumes = engine.volumes.keys().map(String::as_str);
        let networks = engine.networks.values().map(|n| n.name.as_str());
        let names: Vec<&str> = containers.chain(volumes).chain(networks).collect();
        look(&names)
    }

    /// What a tenant's instance reads at `path` in its volumes.
    #[must_use]
    pub fn file(&self, host: &HostId, tenant: TenantId, path: &str) -> Option<VolumeFile> {
        let engines = self.engines();
        let engine = engines.get(host)?;
        let (id, _) = engine.containers.iter().find(|(_, c)| is_of(c, tenant))?;
        let (volume, path) = engine.volume_of(id, path)?;
        engine.volumes.get(&volume)?.files.get(&path).cloned()
    }

    /// The limits that [`inspect`](crate::backend::ContainerBackend::inspect) says of each container of ours on a
    /// host, whether or not the host answers now.
    #[must_use]
    pub fn limits(&self, host: &HostId) -> Vec<AppliedLimits> {
        self.with(host, |engine| {
            let ours = engine.containers.values().filter(|c| c.labels.is_some());
            ours.map(|container| container.limits).collect()
        })
    }

    /// Removes what has this name, whosever it is: what a careless adapter does.
    pub fn remove_anything_like(&self, host: &HostId, name: &str) {
        self.with(host, |engine| {
            engine.volumes.remove(name);
            engine.networks.retain(|_, network| network.name != name);
            let named = engine.containers.iter().filter(|(_, c)| c.name == name);
            let ids: Vec<EngineId> = named.map(|(id, _)| id.clone()).collect();
            ids.iter().for_each(|id| engine.forget(id));
        });
    }

    /// Ends every container whose name begins so, whosever it is: what a careless adapter does.
    pub fn end_anything_like(&self, host: &HostId, prefix: &str) {
        let now = self.clock.now();
        self.with(host, |engine| {
            let named = engine.containers.iter();
            let named = named.filter(|(_, c)| c.name.starts_with(prefix));
            let ids: Vec<EngineId> = named.map(|(id, _)| id.clone()).collect();
            ids.iter().for_each(|id| engine.end(id, 137, false, now));
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
}

/// A container that was made beside the port.
fn foreign(name: String, labels: Option<ObjectLabels>) -> Container {
    Container {
        name,
        labels,
        spec: None,
        state: RunState::Created,
        added: Some(RunState::Created),
        limits: NO_LIMITS,
        address: None,
        data: None,
        config: None,
        broken: false,
        cut_off: false,
        used: Bytes(0),
        oom_kills: Vec::new(),
    }
}

fn is_of(container: &Container, tenant: TenantId) -> bool {
    container
        .spec
        .as_ref()
        .is_some_and(|spec| spec.tenant == tenant)
}
