//! A model of a container engine that behaves, and fails, as Docker Engines were measured to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::clock::Timestamp;
use crate::container::{
    AppliedLimits, EngineId, InstanceSpec, RunState, VolumeFile, instance_address,
};
use crate::host::{HostFacts, StorageQuota};
use crate::id::{Generation, HostId, TenantId};
use crate::labels::ObjectLabels;
use crate::probe::Readiness;
use crate::quantity::{Bytes, MilliCpus};

/// How an instance behaves once it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behavior {
    /// It is ready this long after its start.
    pub ready_after: Duration,
    /// It ends at once with this exit code.
    pub exits: Option<i64>,
    /// It ends at once, killed for memory.
    pub runs_out_of_memory: bool,
    /// It does not end on `SIGTERM`.
    pub ignores_terminate: bool,
    /// It says that it cannot serve until somebody repairs it.
    pub needs_repair: bool,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            ready_after: Duration::ZERO,
            exits: None,
            runs_out_of_memory: false,
            ignores_terminate: false,
            needs_repair: false,
        }
    }
}

/// What the next start of any container on a host comes to, whatever it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// A process lives, and the engine goes on saying `created`.
    Ghost,
    /// Nothing lives, and this container can never start.
    Broken,
}

#[derive(Debug)]
pub(super) struct Container {
    pub name: String,
    /// What its labels say, the MAC checked when it was made: labels never change. `None` is foreign.
    pub labels: Option<ObjectLabels>,
    /// `None` for a foreign one.
    pub spec: Option<InstanceSpec>,
    pub state: RunState,
    /// The state it was put there in beside the port; `None` for one that was made through it.
    pub added: Option<RunState>,
    pub limits: AppliedLimits,
    pub address: Option<Ipv4Addr>,
    /// The volume its process writes to.
    pub data: Option<String>,
    pub config: Option<String>,
    pub broken: bool,
    /// Taken out of its network: it runs without one from then on.
    pub cut_off: bool,
    /// The memory that it uses.
    pub used: Bytes,
    /// When children of it were killed for memory, since its start.
    pub oom_kills: Vec<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Volume {
    pub labels: Option<ObjectLabels>,
    /// Options it was made with: another making with other options changes nothing.
    pub options: String,
    pub files: BTreeMap<String, VolumeFile>,
}

#[derive(Debug)]
pub(super) struct Network {
    pub name: String,
    pub labels: Option<ObjectLabels>,
    pub subnet: Option<Ipv4Net>,
}

/// A process, whether or not the engine knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Whose.
    pub tenant: TenantId,
    /// Of which generation.
    pub generation: Generation,
    /// The container it was started for.
    pub container: EngineId,
    /// The volume it writes to.
    pub volume: String,
    /// Whether the engine knows of it.
    pub ghost: bool,
}

#[derive(Debug)]
pub(super) struct Engine {
    pub facts: HostFacts,
    pub reachable: bool,
    pub images: BTreeSet<String>,
    pub pulled: BTreeSet<String>,
    pub containers: BTreeMap<EngineId, Container>,
    pub volumes: BTreeMap<String, Volume>,
    pub networks: BTreeMap<EngineId, Network>,
    /// Held for networks that no list shows.
    pub unseen_subnets: Vec<ipnet::Ipv4Net>,
    pub processes: Vec<Process>,
    pub next_start: Option<StartOutcome>,
    pub behavior: BTreeMap<TenantId, Behavior>,
    /// The most volumes writable at once by two processes, ever seen: must stay at one.
    pub most_writers: usize,
    ids: u64,
}

impl Engine {
    pub(super) fn new() -> Self {
        Self {
            facts: HostFacts {
                cpu: MilliCpus(8000),
                memory: Bytes::gib(64),
                swap: None,
                swap_measured_at: None,
                swap_limit: true,
                storage_quota: StorageQuota::None,
                engine_version: "memory".to_owned(),
                api_version: "1.41".to_owned(),
                operating_system: "memory".to_owned(),
                markers: Vec::new(),
                subnets: Vec::new(),
                unaccounted: 0,
            },
            reachable: true,
            images: BTreeSet::new(),
            pulled: BTreeSet::new(),
            containers: BTreeMap::new(),
            volumes: BTreeMap::new(),
            networks: BTreeMap::new(),
            unseen_subnets: Vec::new(),
            processes: Vec::new(),
            next_start: None,
            behavior: BTreeMap::new(),
            most_writers: 0,
            ids: 0,
        }
    }

    /// A new full id: 64 hexadecimal digits, as engines give.
    pub(super) fn new_id(&mut self, host: &HostId) -> EngineId {
        self.ids += 1;
        let host = host
            .as_str()
            .bytes()
            .fold(7_u64, |sum, b| sum.wrapping_mul(31) + u64::from(b));
        EngineId(format!("{host:032x}{:032x}", self.ids))
    }

    /// Starts a container's process, as an engine does.
    pub(super) fn start(&mut self, id: &EngineId, now: Timestamp) -> Started {
        let outcome = self.next_start.take();
        let Some(container) = self.containers.get_mut(id) else {
            return Started::Absent;
        };
        let Some(spec) = &container.spec else {
            return Started::Absent;
        };
        if matches!(container.state, RunState::Running { .. }) {
            return Started::Clean;
        }
        if self
            .processes
            .iter()
            .any(|process| process.container == *id && process.ghost)
        {
            return Started::IdInUse;
        }
        let network = |n: &Network| n.labels.as_ref().and_then(|l| l.tenant) == Some(spec.tenant);
        if !container.cut_off && !self.networks.values().any(network) {
            return Started::NoNetwork;
        }
        if container.broken {
            return Started::NoShim;
        }
        if outcome == Some(StartOutcome::Broken) {
            container.broken = true;
            return Started::Lost;
        }
        let behavior = self.behavior.get(&spec.tenant).copied().unwrap_or_default();
        let process = Process {
            tenant: spec.tenant,
            generation: spec.generation,
            container: id.clone(),
            volume: container.data.clone().unwrap_or_default(),
            ghost: outcome == Some(StartOutcome::Ghost),
        };
        if process.ghost {
            self.run(process);
            return Started::Lost;
        }
        container.address = (!container.cut_off).then(|| instance_address(spec.subnet));
        container.oom_kills.clear();
        container.state = match behavior {
            Behavior {
                runs_out_of_memory: true,
                ..
            } => RunState::Exited {
                code: 137,
                oom_killed: true,
                finished_at: now,
            },
            Behavior {
                exits: Some(code), ..
            } => RunState::Exited {
                code,
                oom_killed: false,
                finished_at: now,
            },
            Behavior { .. } => RunState::Running { started_at: now },
        };
        if matches!(container.state, RunState::Running { .. }) {
            self.run(process);
        }
        Started::Clean
    }

    fn run(&mut self, process: Process) {
        let writers = self
            .processes
            .iter()
            .filter(|p| p.volume == process.volume)
            .count()
            + 1;
        self.most_writers = self.most_writers.max(writers);
        self.processes.push(process);
    }

    /// Ends a container's process, as far as the engine knows one.
    pub(super) fn end(&mut self, id: &EngineId, code: i64, oom_killed: bool, now: Timestamp) {
        if let Some(container) = self.containers.get_mut(id)
            && matches!(container.state, RunState::Running { .. } | RunState::Paused)
        {
            container.state = RunState::Exited {
                code,
                oom_killed,
                finished_at: now,
            };
            container.address = None;
            self.processes
                .retain(|process| process.container != *id || process.ghost);
        }
    }

    /// Forgets a container. A ghost's process runs on, in no list.
    pub(super) fn forget(&mut self, id: &EngineId) {
        self.containers.remove(id);
        self.processes
            .retain(|process| process.container != *id || process.ghost);
    }

    pub(super) fn ignores_terminate(&self, id: &EngineId) -> bool {
        let tenant = self
            .containers
            .get(id)
            .and_then(|c| c.spec.as_ref())
            .map(|spec| spec.tenant);
        tenant
            .and_then(|tenant| self.behavior.get(&tenant))
            .is_some_and(|b| b.ignores_terminate)
    }

    /// What the instance at `address` says.
    pub(super) fn readiness(&self, address: Ipv4Addr, now: Timestamp) -> Option<Readiness> {
        let container = self
            .containers
            .values()
            .find(|c| c.address == Some(address))?;
        let RunState::Running { started_at } = container.state else {
            return None;
        };
        let behavior = self.behavior.get(&container.spec.as_ref()?.tenant).copied();
        let behavior = behavior.unwrap_or_default();
        let ready = now.since(started_at) >= behavior.ready_after;
        Some(if behavior.needs_repair {
            Readiness::NeedsRepair
        } else if ready {
            Readiness::Started
        } else {
            Readiness::Starting
        })
    }

    /// The volume of a container that `path` lies in, and the path in it.
    pub(super) fn volume_of(&self, id: &EngineId, path: &str) -> Option<(String, String)> {
        let container = self.containers.get(id)?;
        let below = |root: &str| {
            let rest = path.strip_prefix(root)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_matches('/').to_owned())
        };
        let config = below(crate::container::CONFIG_PATH).zip(container.config.clone());
        let data = below(crate::container::DATA_PATH).zip(container.data.clone());
        config.or(data).map(|(path, volume)| (volume, path))
    }
}

/// What a start came to inside an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Started {
    Clean,
    Absent,
    /// 404: the network it joins by name is not there. Nothing was tried.
    NoNetwork,
    /// 500, "id already in use": a process lives that the engine does not know.
    IdInUse,
    /// 500, "failed to start shim: mkdir": nothing lives, and this id can never start.
    NoShim,
    /// The answer never came.
    Lost,
}
