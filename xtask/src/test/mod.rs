//! `cargo xtask test`: sets up what the tests need and runs everything, skipping nothing.

mod failures;
mod rules;
mod services;
mod stages;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::run::Interrupt;
use crate::term::{heading, note, seconds};
use services::Services;
use stages::{Run, Stage};

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
    let stages: Vec<_> = stages::all(options.long)
        .into_iter()
        .filter(|stage| {
            options
                .only
                .as_ref()
                .is_none_or(|text| stage.name.contains(text))
        })
        .collect();
    if stages.is_empty() {
        bail!(
            "no stage's name contains {:?}; there are: {}",
            options.only.as_deref().unwrap_or_default(),
            stages::all(options.long)
                .iter()
                .map(|stage| stage.name)
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    // From here on an interruption ends the running stage, and then what was started for it.
    let interrupt = Interrupt::listen()?;
    let mut report = Report::default();
    let services = if stages.iter().any(|stage| stage.needs_services) {
        heading("Services");
        let started = Instant::now();
        let services = Services::start();
        report.add("services", started.elapsed(), services.as_ref().err());
        services.ok()
    } else {
        None
    };
    for stage in &stages {
        if interrupt.check().is_err() {
            break;
        }
        let run = Run {
            services: services.as_ref(),
            long: options.long,
            interrupt: interrupt.clone(),
        };
        report.perform(stage, &run);
    }
    if let Some(services) = services {
        services.stop();
    }
    report.print();
    interrupt.check()?;
    report.verdict()
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

#[derive(Debug, Default)]
struct Report {
    lines: Vec<(&'static str, Duration, Option<String>)>,
}

impl Report {
    fn perform(&mut self, stage: &Stage, run: &Run<'_>) {
        heading(stage.name);
        let started = Instant::now();
        let result = if stage.needs_services && run.services.is_none() {
            Err(anyhow::anyhow!("the services it needs did not start"))
        } else {
            (stage.run)(run)
        };
        self.add(stage.name, started.elapsed(), result.as_ref().err());
    }

    fn add(&mut self, name: &'static str, took: Duration, error: Option<&anyhow::Error>) {
        let error = error.map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            eprintln!("\x1b[31m{name} failed:\x1b[0m {error}");
        }
        self.lines.push((name, took, error));
    }

    fn print(&self) {
        // Once more: what came after it may be long, and the end of a log is what is kept.
        for (name, _, error) in &self.lines {
            if let Some(error) = error {
                heading(&format!("What failed: {name}"));
                eprintln!("{error}");
            }
        }
        heading("Summary");
        for (name, took, error) in &self.lines {
            let mark = if error.is_none() {
                "\x1b[32mpassed\x1b[0m"
            } else {
                "\x1b[31mFAILED\x1b[0m"
            };
            eprintln!("  {mark}  {name:<24} {:>14}", seconds(*took));
        }
        let total = self.lines.iter().map(|(_, took, _)| *took).sum();
        eprintln!("          {:<24} {:>14}", "together", seconds(total));
    }

    fn verdict(&self) -> Result<()> {
        let failed: Vec<_> = self
            .lines
            .iter()
            .filter(|(_, _, error)| error.is_some())
            .map(|(name, _, _)| *name)
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        bail!(
            "{} of {} stages failed: {}",
            failed.len(),
            self.lines.len(),
            failed.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_stage_fails_the_command_and_is_named() {
        let mut report = Report::default();
        report.add("format", Duration::ZERO, None);
        assert!(report.verdict().is_ok());
        report.add("tests", Duration::ZERO, Some(&anyhow::anyhow!("no")));
        assert_eq!(
            report.verdict().unwrap_err().to_string(),
            "1 of 2 stages failed: tests"
        );
    }

    #[test]
    fn a_stage_whose_services_are_missing_fails_instead_of_being_skipped() {
        let stage = Stage {
            name: "needy",
            needs_services: true,
            run: |_| Ok(()),
        };
        let mut report = Report::default();
        let run = Run {
            services: None,
            long: false,
            interrupt: Interrupt::listen().unwrap(),
        };
        report.perform(&stage, &run);
        assert!(report.verdict().is_err());
    }
}
