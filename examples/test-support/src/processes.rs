//! Processes as the kernel knows them.

use std::fs;

/// All that there are.
///
/// # Panics
/// Where there is no `/proc`.
#[expect(clippy::expect_used, reason = "a test without /proc fails")]
pub fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .expect("there is /proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The processes whose command line names `text`, with their names, but for our own.
#[must_use]
pub fn naming(text: &str) -> Vec<(String, u32)> {
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
