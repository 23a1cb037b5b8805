//! The stages of `cargo xtask test`, in the order in which they are useful to fail.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::failures::{Failure, pass_on};
use super::rules;
use super::services::Services;
use crate::image::Kind;
use crate::platform::workspace;
use crate::run::Interrupt;
use crate::term::note;
use crate::{run, up};

/// What a stage gets.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// The services, where the stage asked for them.
    pub(super) services: Option<&'a Services>,
    /// Whether what takes much longer is wanted.
    pub(super) long: bool,
    /// Whether somebody wants the run to end.
    pub(super) interrupt: Interrupt,
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

/// After the end of a run of tests, what they printed is read.
const LAST_WORDS: Duration = Duration::from_secs(10);

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
        alone("format", |context| {
            cargo(&["fmt", "--all", "--check"]).run(context)
        }),
        alone("file rules", |_| rules::files::check()),
        alone("dependency rules", |_| rules::dependencies::check()),
        alone("clippy", |context| {
            cargo(&["clippy", "--workspace", "--all-targets", "--all-features"])
                .args(&["--", "-D", "warnings"])
                .run(context)
        }),
        alone("fewer features", fewer_features),
        served("tests", |context| {
            cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"])
                // The figures that tests measure are read in the log of a run that went well.
                .args(&["--", "--show-output"])
                // Where a test failed is enough; traces of many threads bury it.
                .env("RUST_BACKTRACE", "0")
                .run_tests(context)
        }),
        alone("documentation", |context| {
            cargo(&["doc", "--workspace", "--no-deps", "--all-features"])
                .env("RUSTDOCFLAGS", "-D warnings")
                .run(context)
        }),
        served("examples", examples),
        served("main job (stand-in)", |_| {
            up::check_for_machines(Kind::StandIn)
        }),
        served("main job (OpenClaw)", |_| up::check(Kind::Openclaw)),
        served("first run", |_| up::first_run()),
        alone("packages", packages),
    ];
    if long {
        stages.push(served("benches", benches));
    }
    stages
}

/// Each library as somebody gets it who turns off what they do not need.
fn fewer_features(context: &Run<'_>) -> Result<()> {
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
        .run(context)?;
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
        .run(context)?;
    }
    Ok(())
}

/// All of them, the programs that they measure built before.
fn benches(context: &Run<'_>) -> Result<()> {
    for package in ["stand-in", "openclaw-tenancy-http"] {
        cargo(&["build", "--release", "--package", package]).run(context)?;
    }
    cargo(&["bench", "--package", "benches"]).run(context)
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

fn packages(context: &Run<'_>) -> Result<()> {
    let mut arguments = vec!["package", "--allow-dirty"];
    if !context.long {
        // Building every package once more from its archive is for the long run.
        arguments.push("--no-verify");
    }
    for package in PUBLISHED {
        arguments.extend(["--package", package]);
    }
    cargo(&arguments).run(context)
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

    /// Runs it to its end, or ends it when the whole run is interrupted.
    fn run(self, context: &Run<'_>) -> Result<()> {
        self.run_with(context, |_| {})
    }

    /// The same, and an error holds what failed tests said.
    fn run_tests(mut self, context: &Run<'_>) -> Result<()> {
        self.0.stdout(Stdio::piped());
        let (tell, told) = mpsc::channel();
        let outcome = self.run_with(context, |child| {
            if let Some(printed) = child.stdout.take() {
                let printed = BufReader::new(printed);
                thread::spawn(move || tell.send(pass_on(printed, std::io::stdout())));
            }
        });
        // What a test left running may hold the other end for ever.
        let told = told.recv_timeout(LAST_WORDS);
        match (outcome, told) {
            (Err(error), Ok(Ok(failures))) => {
                let failures: String = failures.iter().map(Failure::to_string).collect();
                bail!("{error:#}\n{failures}")
            }
            (outcome, Ok(Ok(_))) => outcome,
            (outcome, told) => outcome.and_then(|()| bail!("what tests print ended with {told:?}")),
        }
    }

    fn run_with(mut self, context: &Run<'_>, started: impl FnOnce(&mut Child)) -> Result<()> {
        for (name, value) in context.services.into_iter().flat_map(Services::variables) {
            self.0.env(name, value);
        }
        if context.long {
            self.0.env("TENANCY_TEST_LONG", "1");
            self.0.env("SIMULATION_SCHEDULES", "1000000");
        }
        let shown = run::shown(&self.0);
        note(&format!("$ {shown}"));
        let mut child = self
            .0
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        started(&mut child);
        match context.interrupt.or_end_of(&mut child)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("`{shown}` ended with {status}"),
            None => {
                run::signal(child.id(), "TERM").ok();
                child.wait()?;
                bail!("interrupted")
            }
        }
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
