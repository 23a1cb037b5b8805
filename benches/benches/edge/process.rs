//! Child processes: ended with their owner, and their CPU time.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Ticks a second of `/proc/PID/stat` (`USER_HZ`, 100 on every Linux).
const TICKS: u32 = 100;

/// A process that is ended when dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        command
            .spawn()
            .map(Self)
            .with_context(|| format!("{} does not start", program.display()))
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// CPU time of the process and of its children so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let pid = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let children = children.split_whitespace().map(str::parse);
        let mut ticks = 0;
        for pid in std::iter::once(Ok(pid)).chain(children) {
            let pid: u32 = pid?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // The name may have anything in it; what follows its last parenthesis is numbers.
            let (_, fields) = stat.rsplit_once(") ").context("stat has a name")?;
            let fields: Vec<&str> = fields.split(' ').collect();
            ticks += fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
        }
        Ok(Duration::from_secs(1) * ticks / TICKS)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM, so that nginx ends its workers; then it is waited for.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.0.wait();
    }
}

/// Asks until the answer is true.
pub(crate) fn until(what: &str, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !ready() {
        if began.elapsed() > Duration::from_secs(10) {
            bail!("{what} did not become ready within 10 s");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A directory of the run's own.
pub(crate) fn scratch(name: &str) -> anyhow::Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!(
        "openclaw-tenancy-bench-{}-{name}",
        std::process::id()
    ));
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
