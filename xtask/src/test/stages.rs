//! The stages of `cargo xtask test`, in the order in which they are useful to fail.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::rules;
use super::services::Services;
use crate::platform::workspace;
use crate::run;
use crate::term::note;

/// What a stage gets.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// The services, where the stage asked for them.
    pub(super) services: Option<&'a Services>,
    /// Whether what takes much longer is wanted.
    pub(super) long: bool,
}

/// One stage.
#[derive(Debug)]
pub(super) struct Stage {
    /// Its name in the summary.
    pub(super) name: &'static str,
    /// Whether it talks to a database, an engine or a browser.
    pub(super) needs_services: bool,
    /// What it does.
    pub(super) run: fn(&Run<'_>) -> Result<()>,
}

/// The crates that go to a registry.
const PUBLISHED: [&str; 4] = [
    "openclaw-tenancy",
    "openclaw-tenancy-portainer",
    "openclaw-tenancy-postgres",
    "openclaw-tenancy-http",
];

/// All stages.
pub(super) fn all(long: bool) -> Vec<Stage> {
    let alone = |name, run| Stage {
        name,
        needs_services: false,
        run,
    };
    let served = |name, run| Stage {
        name,
        needs_services: true,
        run,
    };
    let mut stages = vec![
        alone("format", |_| cargo(&["fmt", "--all", "--check"]).run()),
        alone("file rules", |_| rules::files::check()),
        alone("dependency rules", |_| rules::dependencies::check()),
        alone("clippy", |_| {
            cargo(&["clippy", "--workspace", "--all-targets", "--all-features"])
                .args(&["--", "-D", "warnings"])
                .run()
        }),
        alone("fewer features", |_| fewer_features()),
        served("tests", |context| {
            cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"])
                .with(context)
                .run()
        }),
        alone("documentation", |_| {
            cargo(&["doc", "--workspace", "--no-deps", "--all-features"])
                .env("RUSTDOCFLAGS", "-D warnings")
                .run()
        }),
        served("examples", examples),
        served("main job (stand-in)", |context| {
            main_job(context, "stand-in")
        }),
        served("main job (OpenClaw)", |context| {
            main_job(context, "openclaw")
        }),
        alone("packages", |context| packages(context.long)),
    ];
    if long {
        stages.push(served("benches", |context| {
            cargo(&["bench", "--package", "benches"])
                .with(context)
                .run()
        }));
    }
    stages
}

/// Each library as somebody gets it who turns off what they do not need.
fn fewer_features() -> Result<()> {
    for package in PUBLISHED {
        cargo(&[
            "clippy",
            "--package",
            package,
            "--no-default-features",
            "--",
            "-D",
            "warnings",
        ])
        .run()?;
    }
    Ok(())
}

fn examples(context: &Run<'_>) -> Result<()> {
    let names = example_names()?;
    if names.is_empty() {
        bail!("the package `examples` has no example");
    }
    for name in names {
        note(&name);
        cargo(&[
            "run",
            "--quiet",
            "--package",
            "examples",
            "--example",
            &name,
        ])
        .with(context)
        .run()?;
    }
    Ok(())
}

fn example_names() -> Result<Vec<String>> {
    let metadata = run::output(
        Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(workspace()),
    )?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is no JSON")?;
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Ok(list(&metadata, "packages")
        .iter()
        .filter(|package| text(package, "name") == "examples")
        .flat_map(|package| list(package, "targets"))
        .filter(|target| list(target, "kind").iter().any(|kind| kind == "example"))
        .map(|target| text(&target, "name"))
        .collect())
}

/// The first command of the README, driven to its end on a real engine.
fn main_job(context: &Run<'_>, image: &str) -> Result<()> {
    let program = std::env::current_exe().context("this program's own path is unknown")?;
    Call::new(Command::new(program))
        .args(&["up", "--check", "--image", image])
        .with(context)
        .run()
}

fn packages(long: bool) -> Result<()> {
    let mut arguments = vec!["package", "--allow-dirty"];
    if !long {
        // Building every package once more from its archive is for the long run.
        arguments.push("--no-verify");
    }
    for package in PUBLISHED {
        arguments.extend(["--package", package]);
    }
    cargo(&arguments).run()
}

/// A command whose output goes straight to the reader.
struct Call(Command);

fn cargo(arguments: &[&str]) -> Call {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    Call::new(Command::new(cargo)).args(arguments)
}

impl Call {
    fn new(mut command: Command) -> Self {
        command.current_dir(workspace());
        Self(command)
    }

    fn args(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    fn with(mut self, context: &Run<'_>) -> Self {
        for (name, value) in context.services.into_iter().flat_map(Services::variables) {
            self.0.env(name, value);
        }
        if context.long {
            self.0.env("TENANCY_TEST_LONG", "1");
        }
        self
    }

    fn run(mut self) -> Result<()> {
        let shown = run::shown(&self.0);
        note(&format!("$ {shown}"));
        let status = self
            .0
            .status()
            .with_context(|| format!("cannot start `{shown}`"))?;
        if !status.success() {
            bail!("`{shown}` ended with {status}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_names_are_unique() {
        let mut names: Vec<_> = all(true).iter().map(|stage| stage.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
