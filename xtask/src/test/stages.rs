//! The stages of `cargo xtask test`, in the order in which they are useful to fail.

use std::fs::File;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::call::{Call, cargo, cargo_patiently};
use super::rules;
use super::services::Services;
use crate::image::Kind;
use crate::platform::{target_dir, workspace};
use crate::run::Interrupt;
use crate::term::note;
use crate::{run, up};

/// What a stage gets.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// The services, once they run.
    pub(super) services: &'a OnceLock<Services>,
    /// Whether what takes much longer is wanted.
    pub(super) long: bool,
    /// Whether somebody wants the run to end.
    pub(super) interrupt: Interrupt,
    /// Where the programs of a stage print, unless that is the terminal.
    pub(super) log: Option<File>,
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

/// Stages that are done one after the other, and beside them others that use what these leave of the machine: an engine
/// and a browser make a test wait more than they make it work.
#[derive(Debug, Default)]
pub(super) struct Phase {
    /// Their output is seen as it comes.
    pub(super) front: Vec<Stage>,
    /// Their output is seen when each has ended.
    pub(super) beside: Vec<Stage>,
}

impl Phase {
    /// All of them.
    pub(super) fn stages(&self) -> impl Iterator<Item = &Stage> {
        self.front.iter().chain(&self.beside)
    }
}

/// The crates that go to a registry.
const PUBLISHED: [&str; 4] = [
    "openclaw-tenancy",
    "openclaw-tenancy-portainer",
    "openclaw-tenancy-postgres",
    "openclaw-tenancy-http",
];

/// The tests that measure what the machine gives, here in processor time of a plan: nothing runs beside them.
const REAL: &str = "real";

/// The others of these, in schedules a second: a package, its test, and the profile that it is built with.
const SIMULATION: &str = "simulation";

/// The tests with whole servers, engines that are killed, and browsers. Cargo runs them in this order, by their names: the
/// last one has a browser and `OpenClaw`, which take what they get of the processors, when what is left beside it leaves
/// them to whoever wants them.
const SERVERS: [&str; 4] = [
    "kill_engine",
    "kill_server",
    "server_binary",
    "whole_journey",
];

/// The name of the stage that the others get their services from.
pub(super) const SERVICES: &str = "services";

/// The figures that tests measure are read in the log of a run that went well.
const SHOWN: [&str; 2] = ["--", "--show-output"];

/// Where a test failed is enough; traces of many threads bury it.
const NO_TRACES: &str = "0";

/// The crates that have fuzz targets.
const FUZZED: [&str; 2] = ["openclaw-tenancy-portainer", "openclaw-tenancy-http"];

/// All stages.
pub(super) fn all(long: bool) -> Vec<Phase> {
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
    let mut last = vec![
        served("examples", examples),
        served("main job", |_| up::check_for_machines(Kind::Openclaw)),
        served("first run", |_| up::first_run()),
    ];
    if long {
        last.extend([alone("fuzz", fuzz), served("benches", benches)]);
    }
    vec![
        Phase {
            front: vec![alone(SERVICES, services)],
            beside: vec![
                alone("format", |context| {
                    cargo(&["fmt", "--all", "--check"]).run(context)
                }),
                alone("file rules", |_| rules::files::check()),
                alone("dependency rules", |_| rules::dependencies::check()),
                alone("test programs", |context| {
                    tests(&["--no-run"]).run(context)?;
                    simulation(&["--no-run"]).run(context)
                }),
            ],
        },
        Phase {
            front: vec![
                alone("tests (simulation)", |context| {
                    simulation(&SHOWN).run_tests(context)
                }),
                served("tests (real engine)", |context| {
                    tests(&named(&[REAL])).run_tests(context)
                }),
            ],
            beside: vec![],
        },
        Phase {
            front: vec![served("tests (servers)", |context| {
                tests(&named(&SERVERS)).run_tests(context)
            })],
            beside: vec![
                // Before anything is built: cargo lets one command build at a time, and the tests in front come first.
                served("tests (documentation)", |context| {
                    tests(&["--doc"]).run_tests(context)
                }),
                served("tests (the others)", other_tests),
                alone("clippy", clippy),
                // What `up` builds, at a time when the machine has time.
                alone("server program", |context| {
                    cargo_patiently(&["build", "--package", "openclaw-tenancy-http"])
                        .args(&["--bin", "openclaw-tenancy"])
                        .run(context)
                }),
                alone("documentation", |context| {
                    cargo_patiently(&["doc", "--workspace", "--no-deps", "--all-features"])
                        .env("RUSTDOCFLAGS", "-D warnings")
                        .run(context)
                }),
                alone("fewer features", fewer_features),
                alone("packages", packages),
            ],
        },
        Phase {
            front: last,
            beside: vec![],
        },
    ]
}

fn services(context: &Run<'_>) -> Result<()> {
    let services = Services::start()?;
    // The one stage of this kind is run once.
    drop(context.services.set(services));
    Ok(())
}

/// Tests of the whole workspace: always with the same features, so that nothing is built twice.
fn tests(of: &[&str]) -> Call {
    cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"])
        .args(of)
        .args(&SHOWN)
        .env("RUST_BACKTRACE", NO_TRACES)
}

/// The simulation, with nothing of the other tests' and optimised.
fn simulation(arguments: &[&str]) -> Call {
    cargo(&["test", "--profile", SIMULATION, "--package", SIMULATION])
        .args(&["--test", SIMULATION])
        .args(arguments)
        .env("RUST_BACKTRACE", NO_TRACES)
}

/// Everything with everything, and the simulation, which "all targets" does not take in.
fn clippy(context: &Run<'_>) -> Result<()> {
    let everything = ["--workspace", "--all-targets", "--all-features"];
    let simulation = ["--package", SIMULATION, "--test", SIMULATION];
    for of in [everything.as_slice(), &simulation] {
        cargo_patiently(&["clippy"])
            .args(of)
            .args(&["--", "-D", "warnings"])
            .run(context)?;
    }
    Ok(())
}

fn named<'a>(tests: &[&'a str]) -> Vec<&'a str> {
    tests.iter().flat_map(|test| ["--test", test]).collect()
}

/// The tests that have a stage of their own.
fn elsewhere() -> impl Iterator<Item = &'static str> {
    [REAL, SIMULATION].into_iter().chain(SERVERS)
}

/// What the other stages of tests leave: every one has a place.
fn other_tests(context: &Run<'_>) -> Result<()> {
    let all = targets("test", |_| true)?;
    let mut others: Vec<_> = all.iter().map(String::as_str).collect();
    others.retain(|name| !elsewhere().any(|other| other == *name));
    let mut arguments = vec!["--lib", "--bins"];
    arguments.extend(named(&others));
    tests(&arguments).run_tests(context)
}

/// Each library by itself as somebody gets it who turns off what they do not need: beside another, what one forgets to ask
/// of a dependency would be there by the other's wish.
fn fewer_features(context: &Run<'_>) -> Result<()> {
    for package in PUBLISHED {
        cargo_patiently(&["clippy", "--package", package, "--no-default-features"])
            .args(&["--", "-D", "warnings"])
            .run(context)?;
    }
    Ok(())
}

/// As the tests were built, so that nothing is built twice; with fewer features is another stage.
fn examples(context: &Run<'_>) -> Result<()> {
    let names = example_names()?;
    if names.is_empty() {
        bail!("the package `examples` has no example");
    }
    cargo(&["build", "--workspace", "--all-features", "--examples"]).run(context)?;
    for name in names {
        note(&name);
        Call::program(&target_dir().join("debug/examples").join(name)).run(context)?;
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

/// Every fuzz target for a while, with a seed that nobody has had yet. The tests' own stage tries what it always tries.
fn fuzz(context: &Run<'_>) -> Result<()> {
    let seconds = std::env::var("FUZZ_SECONDS").unwrap_or_else(|_| "120".to_owned());
    let mut arguments = vec!["test", "--lib", "--all-features"];
    for package in FUZZED {
        arguments.extend(["--package", package]);
    }
    arguments.extend(["fuzz_", "--", "--show-output"]);
    cargo(&arguments)
        .env("FUZZ_SECONDS", &seconds)
        .run_tests(context)
}

fn example_names() -> Result<Vec<String>> {
    targets("example", |package| package == "examples")
}

/// The names of the workspace's targets of a kind, in the packages that are asked for.
fn targets(kind: &str, package: impl Fn(&str) -> bool) -> Result<Vec<String>> {
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
        .filter(|found| package(&text(found, "name")))
        .flat_map(|package| list(package, "targets"))
        .filter(|target| list(target, "kind").iter().any(|of| of == kind))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_names_are_unique() {
        let phases = all(true);
        let stages = phases.iter().flat_map(Phase::stages);
        let mut names: Vec<_> = stages.map(|stage| stage.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_journey_in_a_browser_is_the_last_that_cargo_takes() {
        assert!(SERVERS.is_sorted(), "{SERVERS:?}");
        assert_eq!(SERVERS.last(), Some(&"whole_journey"));
    }

    #[test]
    fn tests_that_have_a_stage_of_their_own_exist() {
        let all = targets("test", |_| true).unwrap();
        for name in elsewhere() {
            assert!(
                all.iter().any(|test| test == name),
                "{name} is not in {all:?}"
            );
        }
    }
}
