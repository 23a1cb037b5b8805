//! Containers: making, listing, inspecting, removing, changing limits.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::files::Tree;
use super::{World, filter_values, labels_match, timestamp};

/// The least memory an engine accepts.
const LEAST_MEMORY: u64 = 6 << 20;
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// What the engine believes of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Running,
    Exited { code: i64, oom: bool },
}

/// What really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Nothing that the engine would not expect.
    Sound,
    /// A live process that it does not know of.
    Ghost,
    /// A half-made task: its directory stands in the way of every further start.
    HalfMade,
}

#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) config: Value,
    pub(super) image_id: String,
    pub(super) created: String,
    pub(super) status: Status,
    pub(super) task: Task,
    pub(super) started: String,
    pub(super) finished: String,
    /// Memory in use, in bytes.
    pub(super) usage: u64,
    pub(super) log: Vec<(u8, Vec<u8>)>,
    pub(super) root: Tree,
}

/// A mount of a volume.
pub(super) struct VolumeMount {
    pub(super) volume: String,
    pub(super) target: String,
    pub(super) writable: bool,
}

impl Container {
    pub(super) fn mounts(&self) -> Vec<VolumeMount> {
        let mounts = self.config["HostConfig"]["Mounts"].as_array();
        mounts
            .into_iter()
            .flatten()
            .filter(|m| m["Type"] == "volume")
            .map(|m| VolumeMount {
                volume: m["Source"].as_str().unwrap_or_default().to_owned(),
                target: m["Target"].as_str().unwrap_or_default().to_owned(),
                writable: m["ReadOnly"] != true,
            })
            .collect()
    }

    pub(super) fn writable_volumes(&self) -> Vec<String> {
        self.mounts()
            .into_iter()
            .filter(|m| m.writable)
            .map(|m| m.volume)
            .collect()
    }

    /// The network it joins, by the name or id it was made with, and the address asked for.
    pub(super) fn network(&self) -> Option<(String, Option<String>)> {
        let mode = self.config["HostConfig"]["NetworkMode"]
            .as_str()
            .unwrap_or("bridge");
        if mode == "none" || mode == "default" {
            return None;
        }
        let asked =
            &self.config["NetworkingConfig"]["EndpointsConfig"][mode]["IPAMConfig"]["IPv4Address"];
        Some((mode.to_owned(), asked.as_str().map(str::to_owned)))
    }

    pub(super) fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    fn state_word(&self) -> &'static str {
        match self.status {
            Status::Created => "created",
            Status::Running => "running",
            Status::Exited { .. } => "exited",
        }
    }

    fn summary(&self, endpoints: &Value) -> Value {
        json!({
            "Id": self.id, "Names": [format!("/{}", self.name)], "Image": self.config["Image"],
            "ImageID": self.image_id, "Labels": self.config["Labels"], "State": self.state_word(),
            "Status": self.state_word(), "Created": 1_700_000_000,
            "HostConfig": { "NetworkMode": self.config["HostConfig"]["NetworkMode"] },
            "NetworkSettings": { "Networks": endpoints },
        })
    }

    fn inspect(&self, address: &Value) -> Value {
        let (code, oom) = match self.status {
            Status::Exited { code, oom } => (code, oom),
            Status::Created | Status::Running => (0, false),
        };
        let mut host = self.config["HostConfig"].clone();
        for field in ["NanoCpus", "Memory", "MemorySwap"] {
            if host[field].is_null() {
                host[field] = json!(0);
            }
        }
        let mounts: Vec<_> = self
            .mounts()
            .into_iter()
            .map(|m| {
                json!({ "Type": "volume", "Name": m.volume, "Source": format!("/var/lib/docker/volumes/{}/_data", m.volume),
                    "Destination": m.target, "Driver": "local", "Mode": "z", "RW": m.writable, "Propagation": "" })
            })
            .collect();
        json!({
            "Id": self.id, "Name": format!("/{}", self.name), "Created": self.created, "Image": self.image_id,
            "State": { "Status": self.state_word(), "Running": self.is_running(), "Paused": false, "Restarting": false,
                "OOMKilled": oom, "Dead": false, "Pid": i32::from(self.is_running()), "ExitCode": code, "Error": "",
                "StartedAt": self.started, "FinishedAt": self.finished },
            "HostConfig": host, "Config": { "Image": self.config["Image"], "Labels": self.config["Labels"],
                "Env": self.config["Env"], "User": self.config["User"] },
            "Mounts": mounts, "RestartCount": 0, "NetworkSettings": { "Networks": address },
        })
    }
}

impl World {
    pub(super) fn container(&self, id: &str) -> Option<&Container> {
        self.containers
            .iter()
            .find(|c| c.id == id || c.name == id || (id.len() >= 12 && c.id.starts_with(id)))
    }

    pub(super) fn container_mut(&mut self, id: &str) -> Option<&mut Container> {
        self.containers
            .iter_mut()
            .find(|c| c.id == id || c.name == id || (id.len() >= 12 && c.id.starts_with(id)))
    }

    pub(super) fn no_container(id: &str) -> Answer {
        Answer::error(404, format!("No such container: {id}"))
    }

    /// The `docker inspect` of a container, for asserting on what was asked of the engine.
    #[must_use]
    pub fn inspect(&self, id: &str) -> Option<Value> {
        let container = self.container(id)?;
        Some(container.inspect(&self.endpoints(container)))
    }

    /// The body a container was made with.
    #[must_use]
    pub fn body(&self, id: &str) -> Option<Value> {
        Some(self.container(id)?.config.clone())
    }

    /// Makes a container behind everybody's back, as another user of the engine does. Gives its id.
    ///
    /// # Panics
    /// When the name is taken.
    #[must_use]
    pub fn plant_container(&mut self, name: &str, body: Value) -> String {
        let mut body = body;
        if body["Image"].is_null() {
            body["Image"] = json!("planted:1");
        }
        if let Some(image) = body["Image"].as_str() {
            let image = image.to_owned();
            self.add_image(&image);
        }
        match self.create_container(Some(name), &body).body {
            super::super::answer::Body::Json(value) if value["Id"].is_string() => {
                value["Id"].as_str().unwrap_or_default().to_owned()
            }
            other => panic!("planting {name}: {other:?}"),
        }
    }

    /// What `docker rename` does.
    pub fn rename_container(&mut self, id: &str, name: &str) {
        if let Some(container) = self.container_mut(id) {
            name.clone_into(&mut container.name);
        }
    }

    /// Lets a container's memory use be `bytes`.
    pub fn set_usage(&mut self, id: &str, bytes: u64) {
        if let Some(container) = self.container_mut(id) {
            container.usage = bytes;
        }
    }

    /// Lets a container print something, on standard output or standard error.
    pub fn print(&mut self, id: &str, error: bool, text: &str) {
        if let Some(container) = self.container_mut(id) {
            container
                .log
                .push((if error { 2 } else { 1 }, text.as_bytes().to_vec()));
        }
    }

    pub(in super::super) fn create_container(
        &mut self,
        name: Option<&str>,
        body: &Value,
    ) -> Answer {
        let image = body["Image"].as_str().unwrap_or_default();
        let Some(image_id) = self.image(image).map(|i| i.id.clone()) else {
            return Answer::error(404, format!("No such image: {image}"));
        };
        if let Some(refusal) = self.judge_resources(&body["HostConfig"]) {
            return refusal;
        }
        let id = self.fresh_id();
        let name = name.map_or_else(|| format!("nameless_{}", &id[..8]), str::to_owned);
        if let Some(other) = self.containers.iter().find(|c| c.name == name) {
            return Answer::error(
                409,
                format!(
                    "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
                    other.id
                ),
            );
        }
        let container = Container {
            id: id.clone(),
            name: name.clone(),
            config: body.clone(),
            image_id,
            created: timestamp(),
            status: Status::Created,
            task: Task::Sound,
            started: ZERO_TIME.to_owned(),
            finished: ZERO_TIME.to_owned(),
            usage: 64 << 20,
            log: Vec::new(),
            root: Tree::of_an_image(),
        };
        if let Some(refusal) = self.make_missing_volumes(body) {
            return refusal;
        }
        self.containers.push(container);
        self.tell("container", "create", &id, &json!({ "name": name }));
        Answer::json(201, json!({ "Id": id, "Warnings": [] }))
    }

    /// The trap that the adapters must not step into: a missing volume is made on the way. Its mount's options are
    /// looked at only then; the driver takes none that it does not know, and makes no volume.
    fn make_missing_volumes(&mut self, body: &Value) -> Option<Answer> {
        for mount in body["HostConfig"]["Mounts"].as_array()? {
            let name = mount["Source"].as_str().unwrap_or_default();
            if self.volumes.contains_key(name) {
                continue;
            }
            let options = &mount["VolumeOptions"]["DriverConfig"]["Options"];
            let known =
                |option: &&String| ["type", "o", "device", "size"].contains(&option.as_str());
            let mut asked = options.as_object().into_iter().flat_map(|all| all.keys());
            if let Some(unknown) = asked.find(|option| !known(option)) {
                let text = format!("create {name}: invalid option: \"{unknown}\"");
                return Some(Answer::error(400, text));
            }
            let labels = mount["VolumeOptions"]["Labels"].clone();
            self.make_volume(name, labels, options.clone());
        }
        None
    }

    fn judge_resources(&self, host: &Value) -> Option<Answer> {
        if host["NanoCpus"].as_u64().unwrap_or(0) > self.cpus * 1_000_000_000 {
            return Some(Answer::error(
                400,
                format!(
                    "Range of CPUs is from 0.01 to {}.00, as there are only {} CPUs available",
                    self.cpus, self.cpus
                ),
            ));
        }
        let memory = host["Memory"].as_u64().unwrap_or(0);
        if memory != 0 && memory < LEAST_MEMORY {
            return Some(Answer::error(400, "Minimum memory limit allowed is 6MB"));
        }
        let swap = host["MemorySwap"].as_i64().unwrap_or(0);
        (0 < swap && (swap.unsigned_abs() < memory)).then(|| {
            Answer::error(
                400,
                "Minimum memoryswap limit should be larger than memory limit, see usage",
            )
        })
    }

    pub(in super::super) fn list_containers(&self, all: bool, filters: &Value) -> Answer {
        let names = filter_values(filters, "name");
        let volumes = filter_values(filters, "volume");
        let mounts = |c: &Container| c.mounts().iter().any(|m| volumes.contains(&m.volume));
        let listed: Vec<_> = self
            .containers
            .iter()
            .filter(|c| all || c.is_running())
            .filter(|c| labels_match(&c.config["Labels"], filters))
            .filter(|c| names.is_empty() || names.iter().any(|n| c.name.contains(n.as_str())))
            .filter(|c| volumes.is_empty() || mounts(c))
            .map(|c| c.summary(&self.endpoints(c)))
            .collect();
        Answer::json(200, Value::Array(listed))
    }

    pub(in super::super) fn inspect_container(&self, id: &str) -> Answer {
        self.inspect(id)
            .map_or_else(|| Self::no_container(id), |body| Answer::json(200, body))
    }

    pub(in super::super) fn update_container(&mut self, id: &str, body: &Value) -> Answer {
        if let Some(refusal) = self.judge_resources(body) {
            return refusal;
        }
        let Some(container) = self.container_mut(id) else {
            return Self::no_container(id);
        };
        let host = &container.config["HostConfig"];
        let memory = body["Memory"].as_u64().filter(|&m| m != 0);
        let swap_after = body["MemorySwap"]
            .as_i64()
            .filter(|&s| s != 0)
            .or(host["MemorySwap"].as_i64())
            .unwrap_or(0);
        if let Some(memory) = memory {
            if 0 < swap_after && swap_after.unsigned_abs() < memory {
                return Answer::error(
                    409,
                    format!(
                        "Cannot update container {id}: Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
                    ),
                );
            }
            if container.is_running() && memory < container.usage {
                return Answer::error(
                    500,
                    format!(
                        "Cannot update container {id}: runc did not terminate successfully: exit status 1: unable to set memory limit to {memory} (current usage: {}, peak usage: {}): device or resource busy: unknown",
                        container.usage, container.usage
                    ),
                );
            }
        }
        for field in ["NanoCpus", "Memory", "MemorySwap", "PidsLimit"] {
            // Zero is no change, not unlimited.
            if body[field].as_i64().is_some_and(|v| v != 0) {
                container.config["HostConfig"][field] = body[field].clone();
            }
        }
        let id = container.id.clone();
        self.tell("container", "update", &id, &Value::Null);
        Answer::json(200, json!({ "Warnings": null }))
    }

    pub(in super::super) fn remove_container(
        &mut self,
        id: &str,
        force: bool,
        _volumes: bool,
    ) -> Answer {
        let Some(container) = self.container(id) else {
            return Self::no_container(id);
        };
        let id = container.id.clone();
        if container.is_running() && !force {
            return Answer::error(
                409,
                format!(
                    "You cannot remove a running container {id}. Stop the container before attempting removal or force remove"
                ),
            );
        }
        // A ghost's process is no process of the engine's: it runs on, in no list any more.
        self.processes.retain(|p| p.container != id || p.ghost);
        self.containers.retain(|c| c.id != id);
        self.tell("container", "destroy", &id, &Value::Null);
        Answer::empty(204)
    }
}
