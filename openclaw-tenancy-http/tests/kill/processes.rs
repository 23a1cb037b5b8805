//! Processes as the kernel knows them: an engine that was killed does not know them all.

use std::fs;
use std::process::Command;

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

/// The processes in containers that have a data volume mounted of the engine whose files are in `dir`.
pub(crate) fn on_volumes(dir: &str) -> Vec<OnVolume> {
    let start = format!("{dir}/data/volumes/");
    let on_volume = |pid: u32| {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let container = container_id(&groups)?.to_owned();
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
        // The fourth field is what of a file system is mounted, here a folder of the engine's.
        let mut volumes = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(3))
            .filter_map(|root| root.split_once(&start)?.1.strip_suffix("/_data"));
        let volume = volumes.find(|name| name.ends_with("-data"))?.to_owned();
        Some(OnVolume {
            pid,
            container,
            volume,
        })
    };
    all().filter_map(on_volume).collect()
}

/// The processes whose command line names `text`, with their names, but for our own.
pub(crate) fn naming(text: &str) -> Vec<(String, u32)> {
    let own = std::process::id();
    let read = |pid: u32, file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    };
    all()
        .filter(|pid| *pid != own && read(*pid, "cmdline").contains(text))
        .map(|pid| (read(pid, "comm"), pid))
        .collect()
}

/// Sends SIGKILL, to all at once. A process that has ended meanwhile is as good.
pub(crate) fn kill(pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let sent = Command::new("kill").arg("-9").args(pids).output();
    sent.expect("kill is installed");
}

fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The container's id in a text: 64 hexadecimal digits, whichever driver made a control group.
pub(crate) fn container_id(text: &str) -> Option<&str> {
    text.split(|c: char| !c.is_ascii_hexdigit())
        .find(|part| part.len() == 64)
}
