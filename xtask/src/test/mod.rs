//! `cargo xtask test`: sets up what the tests need and runs everything, skipping nothing.

mod call;
mod failures;
mod rules;
mod services;
mod stages;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::run::Interrupt;
use crate::term::{Patient, heading, note, say, seconds};
use crate::{platform, run};
use services::Services;
use stages::{Phase, Run, Stage};

/// How to run the tests.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Also what takes much longer: more schedules, more kills, verified packages.
    #[arg(long)]
    long: bool,
    /// Set the services up, print their environment for a shell, and keep them until interrupted.
    #[arg(long)]
    env: bool,
    /// Run only the stages whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// Runs the stages. All of them run, also after a failure, so that one run tells everything.
pub(crate) fn perform(options: &Options) -> Result<()> {
    if options.env {
        return serve_environment();
    }
    let phases = chosen(stages::all(options.long), options.only.as_deref())?;
    // From here on an interruption ends the running stage, and then what was started for it.
    let interrupt = Interrupt::listen()?;
    let report = Report::of(&phases);
    let services = OnceLock::new();
    let context = |log| Run {
        services: &services,
        long: options.long,
        interrupt: interrupt.clone(),
        log,
    };
    for phase in &phases {
        thread::scope(|scope| {
            scope.spawn(|| {
                for stage in &phase.beside {
                    report.perform_beside(stage, |log| context(Some(log)));
                }
            });
            for stage in &phase.front {
                report.perform(stage, &context(None));
            }
            if !phase.beside.is_empty() {
                note("What runs beside goes on …");
            }
        });
    }
    if let Some(services) = services.into_inner() {
        services.stop();
    }
    report.print();
    interrupt.check()?;
    report.verdict()
}

/// The phases with the stages whose name contains `only`, and what these need.
fn chosen(mut phases: Vec<Phase>, only: Option<&str>) -> Result<Vec<Phase>> {
    let Some(only) = only else { return Ok(phases) };
    let names = names(&phases);
    let is_served = |stage: &Stage| stage.needs_services && stage.name.contains(only);
    let served = phases.iter().flat_map(Phase::stages).any(is_served);
    for phase in &mut phases {
        for lane in [&mut phase.front, &mut phase.beside] {
            lane.retain(|stage| {
                stage.name.contains(only) || (served && stage.name == stages::SERVICES)
            });
        }
    }
    if phases.iter().all(|phase| phase.stages().next().is_none()) {
        bail!(
            "no stage's name contains {only:?}; there are: {}",
            names.join(", ")
        );
    }
    Ok(phases)
}

fn names(phases: &[Phase]) -> Vec<&'static str> {
    let stages = phases.iter().flat_map(Phase::stages);
    stages.map(|stage| stage.name).collect()
}

fn serve_environment() -> Result<()> {
    heading("Services");
    let services = Services::start()?;
    for (name, value) in services.variables() {
        println!("export {name}='{value}'");
    }
    note("The services run until this command is interrupted.");
    services.wait()
}

/// What became of the stages.
#[derive(Debug)]
struct Report {
    began: Instant,
    /// In the order in which they are told.
    stages: Vec<&'static str>,
    ended: Mutex<BTreeMap<&'static str, Ended>>,
}

#[derive(Debug)]
struct Ended {
    took: Duration,
    error: Option<String>,
}

impl Report {
    fn of(phases: &[Phase]) -> Self {
        Self {
            began: Instant::now(),
            stages: names(phases),
            ended: Mutex::default(),
        }
    }

    fn perform(&self, stage: &Stage, run: &Run<'_>) {
        if run.interrupt.check().is_err() {
            return;
        }
        heading(stage.name);
        let started = Instant::now();
        let result = result_of(stage, run);
        self.add(stage.name, started.elapsed(), result.err());
    }

    /// The same, and what it prints is shown when it has ended.
    fn perform_beside<'a>(&self, stage: &Stage, context: impl FnOnce(File) -> Run<'a>) {
        let started = Instant::now();
        let path = platform::target_dir().join(format!("xtask/{}.log", stage.name));
        let result = run::log(&path).and_then(|log| {
            let context = context(log);
            context.interrupt.check()?;
            result_of(stage, &context)
        });
        heading(&format!("{} (beside)", stage.name));
        if let Ok(mut said) = File::open(&path) {
            std::io::copy(&mut said, &mut Patient(std::io::stdout())).ok();
        }
        self.add(stage.name, started.elapsed(), result.err());
    }

    fn add(&self, name: &'static str, took: Duration, error: Option<anyhow::Error>) {
        let error = error.map(|error| format!("{error:#}"));
        match &error {
            Some(error) => say(format_args!("\x1b[31m{name} failed:\x1b[0m {error}")),
            None => note(&format!("{name}: {}", seconds(took))),
        }
        self.ended().insert(name, Ended { took, error });
    }

    fn ended(&self) -> MutexGuard<'_, BTreeMap<&'static str, Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self) {
        let ended = self.ended();
        let lines = || {
            let stages = self.stages.iter();
            stages.filter_map(|name| Some((name, ended.get(name)?)))
        };
        // Once more: what came after it may be long, and the end of a log is what is kept.
        for (name, stage) in lines() {
            if let Some(error) = &stage.error {
                heading(&format!("What failed: {name}"));
                say(format_args!("{error}"));
            }
        }
        heading("Summary");
        for (name, stage) in lines() {
            let mark = if stage.error.is_none() {
                "\x1b[32mpassed\x1b[0m"
            } else {
                "\x1b[31mFAILED\x1b[0m"
            };
            say(format_args!(
                "  {mark}  {name:<24} {:>14}",
                seconds(stage.took)
            ));
        }
        let all = seconds(self.began.elapsed());
        say(format_args!("          {:<24} {all:>14}", "together"));
    }

    fn verdict(&self) -> Result<()> {
        let ended = self.ended();
        let mut failed = Vec::new();
        for (name, stage) in ended.iter() {
            if let Some(error) = &stage.error {
                // Its first line says what went wrong; the others were told.
                let error = error.lines().next().unwrap_or_default();
                failed.push(format!("{name}: {error}"));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        bail!(
            "{} of {} stages failed:\n  {}",
            failed.len(),
            ended.len(),
            failed.join("\n  ")
        )
    }
}

fn result_of(stage: &Stage, run: &Run<'_>) -> Result<()> {
    if stage.needs_services && run.services.get().is_none() {
        bail!("the services it needs did not start");
    }
    (stage.run)(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &'static str, needs_services: bool) -> Stage {
        Stage {
            name,
            needs_services,
            run: |_| Ok(()),
        }
    }

    fn two_phases() -> Vec<Phase> {
        vec![
            Phase {
                front: vec![stage(stages::SERVICES, false)],
                beside: vec![stage("format", false)],
            },
            Phase {
                front: vec![stage("tests (a)", true), stage("documentation", false)],
                beside: vec![],
            },
        ]
    }

    #[test]
    fn one_failed_stage_fails_the_command_and_is_named() {
        let report = Report::of(&[]);
        report.add("format", Duration::ZERO, None);
        assert!(report.verdict().is_ok());
        let error = anyhow::anyhow!("`cargo test` ended: bad\n---- bad ----\nwhy");
        report.add("tests", Duration::ZERO, Some(error));
        assert_eq!(
            report.verdict().unwrap_err().to_string(),
            "1 of 2 stages failed:\n  tests: `cargo test` ended: bad"
        );
    }

    #[test]
    fn a_stage_whose_services_are_missing_fails_instead_of_being_skipped() {
        let report = Report::of(&[]);
        let run = Run {
            services: &OnceLock::new(),
            long: false,
            interrupt: Interrupt::listen().unwrap(),
            log: None,
        };
        report.perform(&stage("needy", true), &run);
        assert!(report.verdict().is_err());
    }

    #[test]
    fn stages_are_chosen_by_name_with_the_services_they_need() {
        let all = names(&chosen(two_phases(), None).unwrap());
        assert_eq!(all, ["services", "format", "tests (a)", "documentation"]);
        let served = names(&chosen(two_phases(), Some("tests")).unwrap());
        assert_eq!(served, ["services", "tests (a)"]);
        let alone = names(&chosen(two_phases(), Some("doc")).unwrap());
        assert_eq!(alone, ["documentation"]);
        let none = chosen(two_phases(), Some("nothing")).unwrap_err();
        assert!(none.to_string().contains("services, format"), "{none}");
    }
}
