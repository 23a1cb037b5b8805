//! Swap, without which the smallest plan cannot run OpenClaw.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::term::Step;
use crate::{platform, run};

/// What the tests' smallest instance is granted, twice.
const SIZE: &str = "2G";

/// A swap file of the tests' own, or nothing where the machine has swap. Dropping it takes it away.
#[derive(Debug)]
pub(super) struct Swap(Option<PathBuf>);

impl Swap {
    /// Makes swap where there is none.
    pub(super) fn ensure() -> Result<Self> {
        let step = Step::begin("Swap");
        if platform::has_swap() {
            step.done("the machine's");
            return Ok(Self(None));
        }
        if !platform::is_root() {
            bail!(
                "testing the plan Free with OpenClaw needs swap, and making it needs root. Run \
                 this, then the command again:\n\n    {}\n",
                platform::MAKE_SWAP
            );
        }
        let file = platform::target_dir().join("xtask/swap");
        fs::create_dir_all(platform::target_dir().join("xtask"))?;
        fs::remove_file(&file).ok();
        let make = || {
            run::output(Command::new("fallocate").args(["-l", SIZE]).arg(&file))?;
            run::output(Command::new("chmod").arg("600").arg(&file))?;
            run::output(Command::new("mkswap").arg("--quiet").arg(&file))?;
            run::output(Command::new("swapon").arg(&file))
        };
        if let Err(error) = make() {
            fs::remove_file(&file).ok();
            return Err(error).context("this machine has no swap and takes no swap file");
        }
        step.done(&format!("a file of {SIZE}, until the tests end"));
        Ok(Self(Some(file)))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // Where this fails the file is in use, and removing it would not free its space.
            if run::output(Command::new("swapoff").arg(file)).is_ok() {
                fs::remove_file(file).ok();
            }
        }
    }
}
