//! Python and the OpenID providers of other makes that the sign-in is tested against.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::term::Step;
use crate::{platform, run};

/// Every package with its version, beside what runs them.
const REQUIREMENTS: &str = "examples/test-support/provider/requirements.txt";

const PACKAGE: &str = "python3-venv";

const PURPOSE: &str = "Testing the sign-in against OpenID providers of other makes";

/// Installs the packages below `target/`, once. Answers the interpreter that finds them.
pub(super) fn ensure() -> Result<PathBuf> {
    // Debian keeps a part of Python that is needed here in this package of its own, which brings the rest.
    platform::need(&[("python3", PACKAGE)], PURPOSE)?;
    let step = Step::begin("OpenID providers in Python");
    let requirements = platform::workspace().join(REQUIREMENTS);
    let packages = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    // Packages are installed for the version that runs them.
    let version = run::output(Command::new("python3").arg("--version"))?;
    let wanted = format!("{version}\n{packages}");
    let folder = platform::target_dir().join("xtask/python");
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed"));
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) && python.is_file() {
        step.done("already there");
        return Ok(python);
    }
    if run::output(Command::new("python3").args(["-m", "ensurepip", "--version"])).is_err() {
        platform::install(&[PACKAGE], PURPOSE)?;
    }
    let log = platform::target_dir().join("xtask/python.log");
    run::logged(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
        &log,
    )?;
    run::logged(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            // Whatever is not in the list is not installed, and nothing is built here; what is run is compiled then.
            .args(["--no-deps", "--only-binary", ":all:", "--no-compile"])
            .arg("--requirement")
            .arg(&requirements),
        &log,
    )?;
    fs::write(&stamp, wanted)?;
    step.done("");
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_one_version() {
        let packages = fs::read_to_string(platform::workspace().join(REQUIREMENTS)).unwrap();
        let mut listed = packages
            .lines()
            .filter(|line| !line.starts_with('#'))
            .peekable();
        assert!(listed.peek().is_some());
        for line in listed {
            let (name, version) = line.split_once("==").unwrap_or_default();
            assert!(!name.is_empty() && !version.is_empty(), "{line}");
            assert!(!version.contains(['*', ',', ' ']), "{line}");
        }
    }
}
