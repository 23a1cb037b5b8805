//! What this machine is, and what may be installed on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};

use crate::run;
use crate::term::Step;

/// The checkout this tool was built from.
pub(crate) fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// Where builds and everything a test leaves behind go.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// A call of cargo in the workspace.
///
/// What was never built here is built without what would make a next build of it quicker: a fifth of the work, which a
/// newcomer and a CI run never get back. Whoever then changes something and builds by themselves has it from there on.
pub(crate) fn cargo() -> Command {
    static FIRST: LazyLock<bool> = LazyLock::new(|| {
        let prepared = fs::read_dir(target_dir().join("debug/incremental"));
        let mut names = prepared.into_iter().flatten().flatten();
        !names.any(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("openclaw_tenancy")
        })
    });
    let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut cargo = Command::new(program);
    cargo.current_dir(workspace());
    if *FIRST && std::env::var_os(INCREMENTAL).is_none() {
        cargo.env(INCREMENTAL, "0");
    }
    cargo
}

/// The variable by which cargo is told so: <https://doc.rust-lang.org/cargo/reference/environment-variables.html>.
const INCREMENTAL: &str = "CARGO_INCREMENTAL";

/// Where `up` keeps its data: outside `target/`, so that `cargo clean` does not take tenants along.
pub(crate) fn data_dir() -> Result<PathBuf> {
    if let Some(base) = std::env::var_os("XDG_DATA_HOME").filter(|base| !base.is_empty()) {
        return Ok(PathBuf::from(base).join("openclaw-tenancy"));
    }
    let home = std::env::home_dir()
        .context("no home directory is known: set HOME, or name a folder with --data-dir")?;
    Ok(home.join(".local/share/openclaw-tenancy"))
}

/// Whether this process may install and start system software.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Whether packages come from apt here.
pub(crate) fn has_apt() -> bool {
    Path::new("/etc/debian_version").exists() && run::on_path("apt-get")
}

/// Whether systemd runs the services.
pub(crate) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// How an owner makes swap.
pub(crate) const MAKE_SWAP: &str = "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && \
                                    sudo mkswap /swapfile && sudo swapon /swapfile";

/// Whether there is any swap.
pub(crate) fn has_swap() -> bool {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory
        .lines()
        .find_map(|line| line.strip_prefix("SwapTotal:"));
    total.is_some_and(|size| size.trim() != "0 kB")
}

/// Makes sure that programs are there, each named with the Debian package that brings it.
///
/// Looks for the program and not for the package: it may have come another way, and Debian's
/// package may not even fit beside that one.
pub(crate) fn need(programs: &[(&str, &str)], purpose: &str) -> Result<()> {
    let missing: Vec<_> = programs
        .iter()
        .filter(|(program, _)| !run::on_path(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing, purpose)
}

/// Installs Debian packages and says so.
///
/// Where that is not possible (not root, not Debian) the error is the exact thing to do.
pub(crate) fn install(packages: &[&str], purpose: &str) -> Result<()> {
    if let Some(what_to_do) = in_the_way(packages, purpose, has_apt(), is_root()) {
        bail!(what_to_do);
    }
    let list = packages.join(" ");
    let step = Step::begin(&format!("Installing {list}"));
    let log = target_dir().join("xtask/apt.log");
    let apt = |arguments: &[&str]| {
        run::logged(
            Command::new("apt-get")
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive"),
            &log,
        )
    };
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    // The package lists are usually fresh enough; refreshing them first would cost every machine.
    if apt(&arguments).is_err() {
        step.detail("refreshing the package lists");
        apt(&["update"])?;
        apt(&arguments)?;
    }
    step.done("");
    Ok(())
}

/// Why packages are not installed here and what to do instead, or `None` where they can be.
fn in_the_way(packages: &[&str], purpose: &str, has_apt: bool, is_root: bool) -> Option<String> {
    let list = packages.join(" ");
    if !has_apt {
        return Some(format!(
            "{purpose} needs what Debian calls {list}. This is not a Debian system, so nothing is \
             installed here: install the same with this system's package manager, then run the \
             command again."
        ));
    }
    (!is_root).then(|| {
        format!(
            "{purpose} needs {list}, and installing needs root. Run this, then the command again:\n\
             \n    sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}\n"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_may_be_installed_it_says_exactly_what_to_do() {
        let said = |apt, root| in_the_way(&["docker.io", "iptables"], "Docker Engine", apt, root);
        assert_eq!(said(true, true), None);
        assert_eq!(
            said(true, false).unwrap(),
            "Docker Engine needs docker.io iptables, and installing needs root. Run this, then the \
             command again:\n\n    sudo apt-get update && sudo apt-get install -y \
             --no-install-recommends docker.io iptables\n"
        );
        for root in [true, false] {
            assert_eq!(
                said(false, root).unwrap(),
                "Docker Engine needs what Debian calls docker.io iptables. This is not a Debian \
                 system, so nothing is installed here: install the same with this system's package \
                 manager, then run the command again."
            );
        }
    }
}
