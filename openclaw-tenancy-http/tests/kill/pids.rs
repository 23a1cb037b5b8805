//! Processes found by their command line, and ended.

use std::fs;
use std::process::Command;

use crate::processes;

/// The processes whose command line names `text`, with their names, but for our own.
pub(crate) fn naming(text: &str) -> Vec<(String, u32)> {
    let own = std::process::id();
    let read = |pid: u32, file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    };
    processes::all()
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
