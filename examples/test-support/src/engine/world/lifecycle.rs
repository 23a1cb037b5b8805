//! Starting, signalling, dying, and what a lost start leaves.

use serde_json::json;

use super::super::answer::Answer;
use super::super::script::Left;
use super::container::{Container, Status, Task};
use super::{World, timestamp};

impl World {
    pub(in super::super) fn start_container(&mut self, id: &str) -> Answer {
        let Some(container) = self.container(id) else {
            return Self::no_container(id);
        };
        let id = container.id.clone();
        if container.is_running() {
            return Answer::empty(304);
        }
        if let Some(refusal) = self.judge_network(container) {
            return refusal;
        }
        match container.task {
            Task::Ghost => {
                return Answer::error(
                    500,
                    "failed to create shim task: OCI runtime create failed: container with id exists: id already in use: unknown",
                );
            }
            Task::HalfMade => {
                return Answer::error(
                    500,
                    format!(
                        "failed to start shim: mkdir /run/containerd/io.containerd.runtime.v2.task/moby/{id}: file exists: unknown"
                    ),
                );
            }
            Task::Sound => {}
        }
        if let Some(program) = container.missing_program() {
            let message = format!(
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"{program}\": executable file not found in $PATH: unknown"
            );
            return Answer::error(400, message);
        }
        self.spawn(&id, false);
        let swap = self.swap;
        let mut ended = false;
        if let Some(container) = self.container_mut(&id) {
            container.status = Status::Running;
            container.started = timestamp();
            if container.prints_memory() {
                let text = format!(
                    "MemTotal:       24683652 kB\nSwapTotal:      {} kB\nSwapFree:       0 kB\n",
                    swap / 1024
                );
                container.log.push((1, text.into_bytes()));
                ended = true;
            }
        }
        self.tell("container", "start", &id, &json!({}));
        if ended {
            self.end(&id, 0, false);
        }
        Answer::empty(204)
    }

    /// A start whose answer does not arrive: the engine was killed in it.
    pub(in super::super) fn lose_start(&mut self, path: &str, left: Left) {
        let id = path.split('/').nth(2).unwrap_or_default().to_owned();
        let Some(container) = self.container_mut(&id) else {
            return;
        };
        let id = container.id.clone();
        match left {
            Left::Ghost => {
                container.task = Task::Ghost;
                self.spawn(&id, true);
            }
            Left::HalfMade => container.task = Task::HalfMade,
            Left::Nothing => {}
        }
    }

    pub(in super::super) fn kill_container(&mut self, id: &str, signal: &str) -> Answer {
        let number = signal.trim_start_matches("SIG");
        if !["TERM", "KILL", "INT", "USR2", "15", "9", "2"].contains(&number) {
            return Answer::error(400, format!("Invalid signal: {signal}"));
        }
        let Some(container) = self.container(id) else {
            return Answer::error(
                404,
                format!("Cannot kill container: {id}: No such container: {id}"),
            );
        };
        let full = container.id.clone();
        if !container.is_running() {
            return Answer::error(
                409,
                format!("Cannot kill container: {id}: Container {full} is not running"),
            );
        }
        match number {
            "KILL" | "9" => self.end(&full, 137, false),
            _ => self.end(&full, 0, false),
        }
        Answer::empty(204)
    }

    /// Has the kernel kill a child of a running container for memory.
    pub fn kill_child(&mut self, id: &str) {
        self.tell("container", "oom", id, &json!({}));
    }

    /// Lets a running container end by itself.
    pub fn end(&mut self, id: &str, code: i64, oom: bool) {
        let Some(container) = self.container_mut(id) else {
            return;
        };
        container.status = Status::Exited { code, oom };
        container.finished = timestamp();
        let id = container.id.clone();
        self.processes.retain(|p| p.container != id || p.ghost);
        self.tell(
            "container",
            "die",
            &id,
            &json!({ "exitCode": code.to_string() }),
        );
    }

    /// What an engine without live-restore does at its start.
    pub(in super::super) fn kill_all(&mut self) {
        let running: Vec<String> = self
            .containers
            .iter()
            .filter(|c| c.is_running())
            .map(|c| c.id.clone())
            .collect();
        for id in running {
            self.end(&id, 137, false);
        }
    }
}

impl Container {
    fn command(&self) -> Vec<String> {
        ["Entrypoint", "Cmd"]
            .iter()
            .flat_map(|part| self.config[part].as_array().into_iter().flatten())
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect()
    }

    fn prints_memory(&self) -> bool {
        self.command().iter().any(|word| word == "/proc/meminfo")
    }

    fn missing_program(&self) -> Option<String> {
        self.command()
            .first()
            .filter(|program| program.contains("no-such-program"))
            .cloned()
    }
}
