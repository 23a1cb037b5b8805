//! Processes ended.

use std::process::Command;

/// Sends SIGKILL, to all at once. A process that has ended meanwhile is as good.
pub(crate) fn kill(pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let sent = Command::new("kill").arg("-9").args(pids).output();
    sent.expect("kill is installed");
}
