//! Commands of stages: where they run, what they are given, and where what they print goes.

use std::io::{BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::failures::{Failure, pass_on};
use super::services::Services;
use super::stages::Run;
use crate::platform;
use crate::run;
use crate::term::{Patient, note};

/// After the end of a run of tests, what they printed is read.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A command whose output goes to the reader, or to where the stage prints.
pub(super) struct Call(Command);

pub(super) fn cargo(arguments: &[&str]) -> Call {
    Call(platform::cargo()).args(arguments)
}

/// The same, and it leaves the processor to whoever else wants it.
pub(super) fn cargo_patiently(arguments: &[&str]) -> Call {
    let cargo = platform::cargo();
    let told = cargo.get_envs();
    let mut nice = Call::program(Path::new("nice"));
    nice.0
        .args(["-n", "19"])
        .arg(cargo.get_program())
        .envs(told.filter_map(|(name, value)| Some((name, value?))));
    nice.args(arguments)
}

impl Call {
    /// A program of the workspace's.
    pub(super) fn program(program: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(platform::workspace());
        Self(command)
    }

    pub(super) fn args(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it to its end, or ends it when the whole run is interrupted.
    pub(super) fn run(mut self, context: &Run<'_>) -> Result<()> {
        if let Some(log) = &context.log {
            self.0.stdout(log.try_clone()?);
        }
        self.run_with(context, |_| {})
    }

    /// The same, and an error holds what failed tests said.
    pub(super) fn run_tests(mut self, context: &Run<'_>) -> Result<()> {
        self.0.stdout(Stdio::piped());
        let mut to: Box<dyn Write + Send> = match &context.log {
            Some(log) => Box::new(log.try_clone()?),
            None => Box::new(Patient(std::io::stdout())),
        };
        let (tell, told) = mpsc::channel();
        let outcome = self.run_with(context, |child| {
            if let Some(printed) = child.stdout.take() {
                let printed = BufReader::new(printed);
                thread::spawn(move || tell.send(pass_on(printed, &mut to)));
            }
        });
        // What a test left running may hold the other end for ever.
        let told = told.recv_timeout(LAST_WORDS);
        match (outcome, told) {
            (Err(error), Ok(Ok(failures))) => {
                let brief: Vec<_> = failures.iter().map(Failure::brief).collect();
                let said: String = failures.iter().map(Failure::to_string).collect();
                bail!("{error:#}: {}\n{said}", brief.join(", "))
            }
            (outcome, Ok(Ok(_))) => outcome,
            (outcome, told) => outcome.and_then(|()| bail!("what tests print ended with {told:?}")),
        }
    }

    fn run_with(mut self, context: &Run<'_>, started: impl FnOnce(&mut Child)) -> Result<()> {
        let services = context.services.get();
        for (name, value) in services.into_iter().flat_map(Services::variables) {
            self.0.env(name, value);
        }
        if context.long {
            self.0.env("TENANCY_TEST_LONG", "1");
            self.0.env("SIMULATION_SCHEDULES", "1000000");
        }
        let shown = run::shown(&self.0);
        match &context.log {
            Some(log) => {
                self.0.stdin(Stdio::null()).stderr(log.try_clone()?);
                writeln!(&mut &*log, "  $ {shown}")?;
            }
            None => note(&format!("$ {shown}")),
        }
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
