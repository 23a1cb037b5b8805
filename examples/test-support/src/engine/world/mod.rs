//! The model: what a Docker Engine holds, and how it answers. Texts and codes are those of Engine 20.10.24.

mod container;
mod files;
mod image;
mod lifecycle;
mod network;
mod volume;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::container::Container;
use self::image::ImageEntry;
use self::network::Network;
use self::volume::Volume;
use super::answer::Answer;

/// Which engine is imitated, as far as it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineVersion {
    /// Engine 19.03, API 1.40: older than the adapters support.
    V19_03,
    /// Engine 20.10, API 1.41.
    V20_10,
    /// Engine 26.1, API 1.45.
    V26_1,
    /// Engine 28.5, API 1.51.
    V28_5,
    /// An engine of the future that no longer speaks anything below 1.44.
    Future,
}

impl EngineVersion {
    const fn api(self) -> (u16, u16) {
        match self {
            Self::V19_03 => (1, 40),
            Self::V20_10 => (1, 41),
            Self::V26_1 => (1, 45),
            Self::V28_5 => (1, 51),
            Self::Future => (1, 60),
        }
    }

    const fn oldest_api(self) -> (u16, u16) {
        match self {
            Self::V19_03 | Self::V20_10 => (1, 12),
            Self::V26_1 | Self::V28_5 => (1, 24),
            Self::Future => (1, 44),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::V19_03 => "19.03.15",
            Self::V20_10 => "20.10.24+dfsg1",
            Self::V26_1 => "26.1.5+dfsg1",
            Self::V28_5 => "28.5.2+dfsg1",
            Self::Future => "31.0.0",
        }
    }
}

/// A process, known to the engine or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The full id of the container it belongs or belonged to.
    pub container: String,
    /// The volumes it can write.
    pub volumes: Vec<String>,
    /// The engine does not know of it.
    pub ghost: bool,
}

/// So many events an engine remembers.
const KEPT_EVENTS: usize = 256;

/// Everything an engine holds.
#[derive(Debug)]
pub struct World {
    version: EngineVersion,
    cpus: u64,
    memory: u64,
    swap: u64,
    containers: Vec<Container>,
    volumes: BTreeMap<String, Volume>,
    networks: Vec<Network>,
    images: BTreeMap<String, ImageEntry>,
    registry: BTreeMap<String, ImageEntry>,
    processes: Vec<Process>,
    most_writers: BTreeMap<String, usize>,
    made: u64,
    events: Vec<Value>,
    /// Events that were told, the newest last.
    past: Vec<Value>,
}

impl World {
    pub(super) fn new(version: EngineVersion) -> Self {
        let mut world = Self {
            version,
            cpus: 2,
            memory: 25_276_059_648,
            swap: 0,
            containers: Vec::new(),
            volumes: BTreeMap::new(),
            networks: Vec::new(),
            images: BTreeMap::new(),
            registry: BTreeMap::new(),
            processes: Vec::new(),
            most_writers: BTreeMap::new(),
            made: 0,
            events: Vec::new(),
            past: Vec::new(),
        };
        let bridge = world.fresh_id();
        world.networks.push(Network::default_bridge(bridge));
        world
    }

    /// Gives the host so many processors and so much memory and swap.
    pub const fn set_host(&mut self, cpus: u64, memory: u64, swap: u64) {
        self.cpus = cpus;
        self.memory = memory;
        self.swap = swap;
    }

    /// Exchanges the engine behind the address for one of another version, as an upgrade does.
    pub const fn set_version(&mut self, version: EngineVersion) {
        self.version = version;
    }

    /// All live processes, ghosts included.
    #[must_use]
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// How many processes can write `volume` now.
    #[must_use]
    pub fn writers(&self, volume: &str) -> usize {
        self.processes
            .iter()
            .filter(|p| p.volumes.iter().any(|v| v == volume))
            .count()
    }

    /// The most processes that could ever write `volume` at once: two is a second writer.
    #[must_use]
    pub fn most_writers(&self, volume: &str) -> usize {
        self.most_writers.get(volume).copied().unwrap_or(0)
    }

    /// The names of all containers, as an operator's `docker ps -a` shows them.
    #[must_use]
    pub fn container_names(&self) -> Vec<String> {
        self.containers.iter().map(|c| c.name.clone()).collect()
    }

    /// The names of all volumes.
    #[must_use]
    pub fn volume_names(&self) -> Vec<String> {
        self.volumes.keys().cloned().collect()
    }

    /// The names of all networks but the engine's own.
    #[must_use]
    pub fn network_names(&self) -> Vec<String> {
        self.networks
            .iter()
            .filter(|n| n.name != "bridge")
            .map(|n| n.name.clone())
            .collect()
    }

    /// Everything as text, to compare a foreign object's before and after by.
    #[must_use]
    pub fn portrait(&self, name: &str) -> String {
        let containers: Vec<_> = self
            .containers
            .iter()
            .filter(|c| c.name == name || c.id == name)
            .collect();
        let networks: Vec<_> = self
            .networks
            .iter()
            .filter(|n| n.name == name || n.id == name)
            .collect();
        format!("{containers:?} {:?} {networks:?}", self.volumes.get(name))
    }

    fn spawn(&mut self, container: &str, ghost: bool) {
        let volumes = self
            .container(container)
            .map(Container::writable_volumes)
            .unwrap_or_default();
        self.processes.push(Process {
            container: container.to_owned(),
            volumes: volumes.clone(),
            ghost,
        });
        for volume in volumes {
            let now = self.writers(&volume);
            let most = self.most_writers.entry(volume).or_default();
            *most = now.max(*most);
        }
    }

    /// An id as an engine makes them: 64 hexadecimal digits, no two alike, not even on two engines.
    fn fresh_id(&mut self) -> String {
        use std::hash::{BuildHasher as _, RandomState};
        self.made += 1;
        let random = RandomState::new();
        (0..4)
            .map(|part| format!("{:016x}", random.hash_one((self.made, part))))
            .collect()
    }

    fn tell(&mut self, kind: &str, action: &str, id: &str, attributes: &Value) {
        let at = now();
        let nanos = i64::try_from(at.unix_timestamp_nanos()).unwrap_or_default();
        let event = json!({
            "Type": kind,
            "Action": action,
            "Actor": { "ID": id, "Attributes": attributes },
            "scope": "local",
            "time": at.unix_timestamp(),
            "timeNano": nanos,
        });
        if self.past.len() == KEPT_EVENTS {
            self.past.remove(0);
        }
        self.past.push(event.clone());
        self.events.push(event);
    }

    /// The events that the engine still has, one a line, until now.
    pub(super) fn past_events(&self, since: &str, filters: &Value) -> Answer {
        let since: i64 = since
            .split('.')
            .next()
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or_default();
        let (names, ids) = (
            filter_values(filters, "event"),
            filter_values(filters, "container"),
        );
        let among = |values: &[String], field: &Value| {
            values.is_empty() || values.iter().any(|value| field == value.as_str())
        };
        let lines: String = self
            .past
            .iter()
            .filter(|event| event["time"].as_i64() >= Some(since))
            .filter(|event| among(&names, &event["Action"]) && among(&ids, &event["Actor"]["ID"]))
            .map(|event| format!("{event}\n"))
            .collect();
        Answer::bytes(200, "application/json", lines)
    }

    pub(super) fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn judge_version(&self, version: Option<&str>) -> Option<Answer> {
        let version = version?;
        let parsed = version
            .split_once('.')
            .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let Some(asked): Option<(u16, u16)> = parsed else {
            return Some(Answer::error(
                400,
                format!("client version {version} is invalid"),
            ));
        };
        let (newest, oldest) = (self.version.api(), self.version.oldest_api());
        if newest < asked {
            return Some(Answer::error(
                400,
                format!(
                    "client version {version} is too new. Maximum supported API version is {}.{}",
                    newest.0, newest.1
                ),
            ));
        }
        (asked < oldest).then(|| {
            Answer::error(
                400,
                format!(
                    "client version {version} is too old. Minimum supported API version is {}.{}, please upgrade your client to a newer version",
                    oldest.0, oldest.1
                ),
            )
        })
    }

    pub(super) fn ping(&self) -> Answer {
        let (major, minor) = self.version.api();
        Answer::bytes(200, "text/plain; charset=utf-8", "OK")
            .header("api-version", format!("{major}.{minor}"))
    }

    pub(super) fn version_info(&self) -> Answer {
        let (major, minor) = self.version.api();
        Answer::json(
            200,
            json!({ "Version": self.version.name(), "ApiVersion": format!("{major}.{minor}"), "Os": "linux" }),
        )
    }

    pub(super) fn info(&self) -> Answer {
        Answer::json(
            200,
            json!({
                "ID": "ABCD:EFGH", "Name": "scripted", "ServerVersion": self.version.name(),
                "OperatingSystem": "A scripted engine", "OSType": "linux", "Architecture": "x86_64",
                "KernelVersion": "6.1.0", "NCPU": self.cpus, "MemTotal": self.memory,
                "MemoryLimit": true, "SwapLimit": true, "PidsLimit": true, "CgroupVersion": "1",
                "CgroupDriver": "cgroupfs", "Driver": "overlay2", "DockerRootDir": "/var/lib/docker",
                "Containers": self.containers.len(), "LiveRestoreEnabled": false,
                "SecurityOptions": ["name=seccomp,profile=default"], "Labels": [],
                "Swarm": { "LocalNodeState": "inactive" },
            }),
        )
    }
}

/// Whether `labels` satisfy the `label` entries of a listing's filters.
fn labels_match(labels: &Value, filters: &Value) -> bool {
    filter_values(filters, "label")
        .iter()
        .all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels[key] == *value,
            None => labels.get(wanted).is_some(),
        })
}

/// The values of one kind of filter: a list in new clients, a map to true in old ones.
fn filter_values(filters: &Value, kind: &str) -> Vec<String> {
    match &filters[kind] {
        Value::Array(values) => values
            .iter()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect(),
        Value::Object(values) => values.keys().cloned().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an engine has a clock of its own"
)]
fn now() -> time::OffsetDateTime {
    time::OffsetDateTime::now_utc()
}

fn timestamp() -> String {
    now()
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}
