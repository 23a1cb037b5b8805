//! Processes as the kernel knows them: an engine that was killed does not know them all.

use std::fs;

use test_support::processes::all;

/// Where an instance has its data volume.
const DATA_MOUNT: &str = "/home/node";

/// A process in a container, with a tenant's data volume mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnVolume {
    /// The process.
    pub(crate) pid: u32,
    /// The container, by its control group.
    pub(crate) container: String,
    /// The volume's name.
    pub(crate) volume: String,
}

/// The processes in containers that have a data volume mounted, of the engine whose volumes are in the folder with this
/// path, or an end of a path.
pub(crate) fn on_volumes(folder: &str) -> Vec<OnVolume> {
    let start = format!("{folder}/");
    let on_volume = |pid: u32| {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let container = container_id(&groups)?.to_owned();
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
        // The fourth field is what of a file system is mounted, here a folder of the engine's; the fifth is where.
        // Before it has its own root a process sees what the engine has mounted at that moment, of any container.
        let mut volumes = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(3);
            let (root, at) = (fields.next()?, fields.next()?);
            let name = root.split_once(&start)?.1.strip_suffix("/_data")?;
            (at == DATA_MOUNT).then_some(name)
        });
        let volume = volumes.find(|name| name.ends_with("-data"))?.to_owned();
        Some(OnVolume {
            pid,
            container,
            volume,
        })
    };
    all().filter_map(on_volume).collect()
}

/// The container's id in a text: 64 hexadecimal digits, whichever driver made a control group.
pub(crate) fn container_id(text: &str) -> Option<&str> {
    text.split(|c: char| !c.is_ascii_hexdigit())
        .find(|part| part.len() == 64)
}
