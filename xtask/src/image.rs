//! The OpenClaw image: the official one where a registry answers, else one made here.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::engine::Engine;
use crate::term::Step;
use crate::{platform, stand_in};

/// The pinned version, of the official image and of the npm package alike.
pub(crate) const VERSION: &str = "2026.9.6";

const OFFICIAL: &str = "openclaw/openclaw";

/// A closed loopback port as registry: an engine that lacks the image says so at once instead of
/// asking the world for twenty seconds.
const LOCAL: &str = "127.0.0.1:1/openclaw";

/// The label of a local image that says which recipe made it.
pub(crate) const RECIPE_LABEL: &str = "io.openclaw-tenancy.recipe";

/// How long a registry may say nothing before the image is made here.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(8);

/// What instances run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The real one.
    Openclaw,
    /// A small program that imitates it, for trying things quickly.
    StandIn,
}

impl Kind {
    /// Answers the name of such an image that the engine has, getting or making it first.
    pub(crate) fn ensure(self, engine: &Engine) -> Result<String> {
        match self {
            Self::Openclaw => ensure(engine),
            Self::StandIn => stand_in::ensure_image(engine),
        }
    }
}

/// Answers the name of an OpenClaw image that the engine has, getting or making it first.
pub(crate) fn ensure(engine: &Engine) -> Result<String> {
    let official = format!("{OFFICIAL}:{VERSION}");
    let local = format!("{LOCAL}:{VERSION}");
    let recipe = Recipe::read()?;
    let step = Step::begin("OpenClaw image");
    if engine.image(&official)?.is_some() {
        step.done(&format!("{official}, already there"));
        return Ok(official);
    }
    let local_image = engine.image(&local)?;
    if local_image.as_ref().and_then(made_by) == Some(recipe.fingerprint.as_str()) {
        step.done(&format!("{local}, already there"));
        return Ok(local);
    }
    step.detail(&format!(
        "asking the registry for {official}, at most {} s",
        REGISTRY_PATIENCE.as_secs()
    ));
    match engine.pull(OFFICIAL, VERSION, REGISTRY_PATIENCE) {
        Ok(()) => {
            step.done(&format!("{official}, pulled"));
            return Ok(official);
        }
        Err(error) => step.detail(&format!("no registry ({error:#}); making it here")),
    }
    make(engine, &recipe, &step)?;
    step.done(&format!("{local}, made here"));
    Ok(local)
}

fn make(engine: &Engine, recipe: &Recipe, step: &Step) -> Result<()> {
    if !platform::is_root() || !platform::has_apt() {
        bail!(
            "no registry has the OpenClaw image, and making it here needs root on Debian. Either \
             let the engine reach a registry, or make it on a Debian machine with \
             `sudo cargo xtask image` and carry it over: \
             `docker save {LOCAL}:{VERSION} | docker -H <this engine> load`"
        );
    }
    let earlier = engine.image(&format!("{LOCAL}:{VERSION}"))?;
    platform::need(
        &[
            ("debootstrap", "debootstrap"),
            ("npm", "npm"),
            ("strip", "binutils"),
        ],
        "Making the OpenClaw image",
    )?;
    let script = platform::workspace().join("deploy/image/rootfs.sh");
    let mut child = Command::new("bash")
        .arg(&script)
        .env("OPENCLAW_VERSION", VERSION)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", script.display()))?;
    let (Some(tar), Some(said)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("the recipe's output is not connected");
    };
    let (imported, last) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut last = String::new();
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                step.detail(line.trim_start_matches("image: "));
                last = line;
            }
            last
        });
        let imported = engine.import(tar, (LOCAL, VERSION), &recipe.changes);
        (imported, watcher.join().unwrap_or_default())
    });
    let status = child.wait()?;
    if !status.success() {
        bail!("{} ended with {status}: {last}", script.display());
    }
    imported.context("the engine did not take the image")?;
    // It lost its name to the new one. The engine keeps it where a container still needs it.
    if let Some(id) = earlier.as_ref().and_then(|image| image["Id"].as_str()) {
        engine.call("DELETE", &format!("/images/{id}"))?;
    }
    Ok(())
}

/// The recipe that a local image was made by.
pub(crate) fn made_by(image: &Value) -> Option<&str> {
    image
        .get("Config")?
        .get("Labels")?
        .get(RECIPE_LABEL)?
        .as_str()
}

/// What the local image is made of.
struct Recipe {
    changes: Vec<String>,
    fingerprint: String,
}

impl Recipe {
    fn read() -> Result<Self> {
        let folder = platform::workspace().join("deploy/image");
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let config = read("config")?;
        let fingerprint = fingerprint([VERSION, &config, &read("rootfs.sh")?].map(str::as_bytes));
        let mut changes: Vec<_> = config.lines().map(str::to_owned).collect();
        changes.push(format!("LABEL {RECIPE_LABEL}={fingerprint}"));
        Ok(Self {
            changes,
            fingerprint,
        })
    }
}

/// FNV-1a: it only has to notice an edited recipe, the same on every toolchain.
pub(crate) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.into_iter().flat_map(|part| part.iter().chain(&[0])) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_recipes_apart() {
        let of = |parts: [&str; 2]| fingerprint(parts.map(str::as_bytes));
        assert_eq!(of(["a", "b"]), of(["a", "b"]));
        assert_ne!(of(["a", "b"]), of(["ab", ""]));
    }

    #[test]
    fn the_recipe_is_complete() {
        let recipe = Recipe::read().unwrap();
        assert!(recipe.changes.iter().any(|change| change == "USER node"));
        assert!(recipe.changes.iter().all(|change| !change.is_empty()));
    }
}
