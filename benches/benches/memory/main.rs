//! What the control plane keeps in memory: idle, and with 1,000 running tenants.
//!
//! Each line is a process of its own, looked at from outside (`/proc/PID/smaps_rollup`) once it has come to rest:
//!
//! - the reference server, as it is built, on SQLite, with a host that does not answer. At its first start it hashes
//!   the first administrator's password, for which argon2 takes 19 MiB, and the allocator keeps them; then it is
//!   started again;
//! - the server's parts (API with local accounts, edge, reconciler) put together in this program, over engines in
//!   memory, with the store in memory or in SQLite. The engines in memory are counted too: for each tenant a container,
//!   two volumes with their files and a network, which a real server does not hold.
//!
//! What a tenant costs is the difference to the same parts without tenants, by the number of them. Needs the server
//! beside this binary (`cargo build --release -p openclaw-tenancy-http`).
//!
//! `MEMORY_BENCH_TENANTS` (default 1000) is how many tenants there are.

#![expect(clippy::disallowed_methods, reason = "a bench measures wall time")]

mod parts;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use benches::process::{Memory, Process, scratch, sibling};
use benches::turns::from_env;

/// Set in the environment of a process that is to be the parts: which store.
const ROLE: &str = "MEMORY_BENCH_STORE";
/// And with how many tenants.
const TENANTS: &str = "MEMORY_BENCH_TENANTS";
/// How long it has to stay as it is to have come to rest.
const REST: Duration = Duration::from_secs(2);

fn main() -> anyhow::Result<()> {
    if let Ok(store) = std::env::var(ROLE) {
        return parts::serve(&store, from_env(TENANTS, 0)?);
    }
    let tenants = from_env(TENANTS, 1000)?.max(1);
    println!(
        "{:<26} {:>7} {:>9} {:>9} {:>9} {:>10}",
        "MiB", "tenants", "resident", "of which", "anonymous", "KiB/tenant"
    );
    println!("{:<26} {:>7} {:>9} {:>9}", "", "", "", "its own");
    let dir = scratch("memory-server")?;
    print("server, first start", 0, server(&dir)?, None);
    print("server, started again", 0, server(&dir)?, None);
    std::fs::remove_dir_all(dir)?;
    for store in ["memory", "sqlite"] {
        let name = format!("parts, store in {store}");
        let idle = parts(store, 0)?;
        print(&name, 0, idle, None);
        print(&name, tenants, parts(store, tenants)?, Some(idle));
    }
    Ok(())
}

fn print(name: &str, tenants: u64, memory: Memory, idle: Option<Memory>) {
    let mib = |kib: u64| kib as f64 / 1024.0;
    let each = idle.map_or_else(String::new, |idle| {
        let more = memory.proportional.saturating_sub(idle.proportional);
        format!("{:.1}", more as f64 / tenants as f64)
    });
    println!(
        "{name:<26} {tenants:>7} {:>9.1} {:>9.1} {:>9.1} {each:>10}",
        mib(memory.resident),
        mib(memory.proportional),
        mib(memory.anonymous),
    );
}

/// The reference server at rest.
fn server(dir: &Path) -> anyhow::Result<Memory> {
    let mut command = Command::new(sibling("openclaw-tenancy", "openclaw-tenancy-http")?);
    command.arg("serve").arg("--data").arg(dir);
    for listener in ["server.listen", "edge.listen", "metrics.listen"] {
        command.arg("--set").arg(format!("{listener}=127.0.0.1:0"));
    }
    // Nobody listens there.
    let engine = dir.join("no-engine.sock");
    command.arg("--set").arg("hosts[0].id=local");
    command
        .arg("--set")
        .arg(format!("hosts[0].address=unix://{}", engine.display()));
    at_rest(command.stderr(Stdio::null()), "ready: ")
}

/// The parts at rest.
fn parts(store: &str, tenants: u64) -> anyhow::Result<Memory> {
    let dir = scratch("memory-parts")?;
    let store = match store {
        "sqlite" => format!("sqlite:{}", dir.join("tenancy.db").display()),
        other => other.to_owned(),
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.env(ROLE, store).env(TENANTS, tenants.to_string());
    let memory = at_rest(&mut command, parts::READY)?;
    std::fs::remove_dir_all(dir)?;
    Ok(memory)
}

/// Starts a process, waits for a line that begins with `ready`, and until it is at rest.
fn at_rest(command: &mut Command, ready: &str) -> anyhow::Result<Memory> {
    let mut process = Process::start(command.stdout(Stdio::piped()))?;
    let stdout = process.child().stdout.take().context("it says when")?;
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    ensure!(
        lines.any(|line| line.starts_with(ready)),
        "a process ended before it was ready"
    );
    let (began, mut since, mut last) = (Instant::now(), Instant::now(), process.memory()?);
    while since.elapsed() < REST && began.elapsed() < 10 * REST {
        std::thread::sleep(REST / 10);
        let now = process.memory()?;
        // A connection more or less is nothing.
        if now.resident.abs_diff(last.resident) > 256 {
            (since, last) = (Instant::now(), now);
        }
    }
    process.memory()
}
