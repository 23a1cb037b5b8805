//! The control groups of a private engine's containers, as the kernel has them: an engine that was killed does not know
//! them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::PrivateEngine;

/// Where the kernel shows them, for either version.
const ALL: &str = "/sys/fs/cgroup";

/// Where the engine keeps its containers, and its containerd the tasks that have a shim.
const KEPT: [&str; 2] = [
    "data/containers",
    "exec/containerd/daemon/io.containerd.runtime.v2.task/moby",
];

/// The processes of each container, by its full id.
type Processes = BTreeMap<String, BTreeSet<u32>>;

impl PrivateEngine {
    /// The processes in the control groups of each of its containers that has any, by the container's full id, whether
    /// or not it lists the container.
    #[must_use]
    pub fn control_groups(&self) -> Processes {
        let mut found = self.containers();
        walk(Path::new(ALL), &mut found);
        found.retain(|_, processes| !processes.is_empty());
        found
    }

    /// Its containers, by its files.
    fn containers(&self) -> Processes {
        let named = KEPT.into_iter().flat_map(|folder| {
            let entries = fs::read_dir(self.dir.path().join(folder));
            entries.into_iter().flatten().flatten()
        });
        named
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .map(|id| (id, BTreeSet::new()))
            .collect()
    }
}

/// What ends meanwhile is no longer there: it is passed over.
fn walk(folder: &Path, found: &mut Processes) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // Not the links by which two controllers are one.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let (path, name) = (entry.path(), entry.file_name());
        // The driver for systemd writes `docker-<id>.scope`, the other `<id>`.
        let name = name.to_string_lossy();
        let id = name
            .trim_start_matches("docker-")
            .trim_end_matches(".scope");
        if let Some(processes) = found.get_mut(id) {
            let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            processes.extend(listed.lines().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        walk(&path, found);
    }
}
