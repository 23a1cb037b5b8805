//! Installing an engine and bringing it up, so that it outlives this command.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Engine;
use crate::term::Step;
use crate::{platform, run};

/// The daemon's own log, where there is no systemd to keep it.
const LOG: &str = "/var/log/dockerd.log";

/// Installs Docker where it is missing, starts it, and waits until it answers.
pub(super) fn start(engine: &Engine) -> Result<()> {
    // `iptables` is only recommended by the package, and no bridge comes up without it.
    platform::need(
        &[("dockerd", "docker.io"), ("iptables", "iptables")],
        "Docker Engine",
    )?;
    if !platform::is_root() {
        bail!(start_it(platform::has_systemd()));
    }
    let step = Step::begin("Starting Docker Engine");
    if platform::has_systemd() {
        run::output(Command::new("systemctl").args(["enable", "--now", "docker"]))?;
    } else {
        mount_cgroups(&step)?;
        spawn_daemon()?;
    }
    match run::poll(Duration::from_secs(60), || engine.ping().ok()) {
        Some(version) => {
            step.done(&format!("{}, API {version}", engine.host()));
            Ok(())
        }
        None => bail!(
            "Docker Engine did not answer within 60 s; the end of {LOG}:\n{}",
            run::log_tail(Path::new(LOG))
        ),
    }
}

/// What somebody does who is not root.
fn start_it(has_systemd: bool) -> String {
    let command = if has_systemd {
        "sudo systemctl enable --now docker"
    } else {
        // Not all of this command: under sudo neither cargo nor this user's own data would be found.
        "sudo sh -c 'cgroupfs-mount; setsid --fork dockerd >/var/log/dockerd.log 2>&1'"
    };
    format!(
        "Docker Engine is installed and does not answer, and starting it needs root. Run this, then \
         the command again:\n\n    {command}\n"
    )
}

/// Starts a plain `dockerd` in a session of its own, so that neither the end of this command nor
/// of the terminal ends it.
///
/// `tini -s` above it adopts and reaps what the engine leaves behind: in a container or a small
/// virtual machine process 1 may not, and a dead containerd would look alive for ever.
fn spawn_daemon() -> Result<()> {
    platform::need(
        &[("tini", "tini")],
        "Keeping the engine's processes in order",
    )?;
    let log = File::create(LOG).with_context(|| format!("cannot write {LOG}"))?;
    run_detached(
        Command::new("setsid").args(["--fork", "tini", "-s", "--", "dockerd"]),
        log,
    )
}

fn run_detached(command: &mut Command, log: File) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .with_context(|| format!("cannot start `{}`", run::shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", run::shown(command));
    }
    Ok(())
}

/// Mounts the control group hierarchy where nobody did, as on a machine without systemd.
fn mount_cgroups(step: &Step) -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    if has_cgroups(&mounts) {
        return Ok(());
    }
    step.detail("mounting the control groups");
    platform::need(
        &[("cgroupfs-mount", "cgroupfs-mount")],
        "Limiting what a container may use",
    )?;
    run::output(&mut Command::new("cgroupfs-mount"))?;
    Ok(())
}

/// Whether the memory controller (version 1) or the unified hierarchy is mounted.
fn has_cgroups(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        match (fields.next(), fields.next()) {
            (Some(point), Some("cgroup")) => point.ends_with("/memory"),
            (Some(point), Some("cgroup2")) => point == "/sys/fs/cgroup",
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_start_the_engine_is_told_the_command_that_does() {
        let usual = start_it(true);
        assert!(
            usual.ends_with("\n\n    sudo systemctl enable --now docker\n"),
            "{usual}"
        );
        let plain = start_it(false);
        assert!(
            plain.ends_with(
                "\n\n    sudo sh -c 'cgroupfs-mount; setsid --fork dockerd \
                 >/var/log/dockerd.log 2>&1'\n"
            ),
            "{plain}"
        );
    }

    #[test]
    fn a_hybrid_hierarchy_without_controllers_does_not_count() {
        assert!(has_cgroups(
            "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
        ));
        assert!(has_cgroups("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"));
        assert!(!has_cgroups(
            "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
        ));
        assert!(!has_cgroups("tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"));
    }
}
