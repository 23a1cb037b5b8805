//! Child processes: ended with their owner, their CPU time and their memory.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Ticks a second of `/proc/PID/stat` (`USER_HZ`, 100 on every Linux).
const TICKS: u32 = 100;

/// A process that is ended when dropped.
#[derive(Debug)]
pub struct Process(Child);

/// Memory of a process, in KiB, as `/proc/PID/smaps_rollup` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident, with what it shares with others in full (`Rss`).
    pub resident: u64,
    /// Resident, with its share of what it shares with others (`Pss`).
    pub proportional: u64,
    /// What no file backs (`Pss_Anon`): heap and stacks.
    pub anonymous: u64,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When the program cannot be started; names it.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        command
            .spawn()
            .map(Self)
            .with_context(|| format!("{} does not start", program.display()))
    }

    /// The child itself.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// CPU time of the process and of its children so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
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

    /// Its memory now.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        let path = format!("/proc/{}/smaps_rollup", self.0.id());
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .with_context(|| format!("{path} has no {name}"))
        };
        Ok(Memory {
            resident: field("Rss")?,
            proportional: field("Pss")?,
            anonymous: field("Pss_Anon")?,
        })
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
///
/// # Errors
/// When it is not within 10 s; names `what`.
pub fn until(what: &str, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
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
///
/// # Errors
/// When it cannot be made.
pub fn scratch(name: &str) -> anyhow::Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!(
        "openclaw-tenancy-bench-{}-{name}",
        std::process::id()
    ));
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The program `name` of ours, built in the same profile as the bench that asks.
///
/// # Errors
/// When it is not built; says how it is.
pub fn sibling(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    std::env::current_exe()?
        .ancestors()
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not built: run `cargo build --release -p {package}`"))
}
