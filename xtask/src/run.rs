//! Running other programs and waiting for what they promise.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A command as a person would type it, for messages.
pub(crate) fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Runs a command and answers its standard output, trimmed.
///
/// Fails when it cannot start or ends with another code than 0; the message holds the end of its
/// standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let answer = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !answer.status.success() {
        bail!(
            "`{}` ended with {}:\n{}",
            shown(command),
            answer.status,
            tail(&String::from_utf8_lossy(&answer.stderr), 20)
        );
    }
    Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

/// A new file for what programs print, in a folder that need not be there yet.
pub(crate) fn log(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Runs a command with everything it prints going to a file; a failure shows the file's end.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = self::log(log)?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!(
            "`{}` ended with {status}; the end of {}:\n{}",
            shown(command),
            log.display(),
            log_tail(log)
        );
    }
    Ok(())
}

/// The last lines of a log file, for an error message.
pub(crate) fn log_tail(log: &Path) -> String {
    tail(&fs::read_to_string(log).unwrap_or_default(), 20)
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.trim_end().lines().collect();
    let from = all.len().saturating_sub(lines);
    all.get(from..).unwrap_or_default().join("\n")
}

/// Asks again and again until there is an answer or the time is up (then `None`).
pub(crate) fn poll<T>(limit: Duration, ask: impl FnMut() -> Option<T>) -> Option<T> {
    poll_every(Duration::from_millis(100), limit, ask)
}

/// The same, with the pause between two questions.
pub(crate) fn poll_every<T>(
    pause: Duration,
    limit: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if started.elapsed() > limit {
            return None;
        }
        std::thread::sleep(pause);
    }
}

/// Notices Ctrl-C and SIGTERM instead of ending at once, so that what was started can be ended.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on, for the rest of the process.
    pub(crate) fn listen() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&flag))
                .context("cannot listen for signals")?;
        }
        Ok(Self(flag))
    }

    /// An error where somebody wants this to end.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits for the end of a child, or for an interruption (then `None`).
    pub(crate) fn or_end_of(&self, child: &mut Child) -> Result<Option<ExitStatus>> {
        loop {
            if self.0.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Sends a signal to one process, by its id.
pub(crate) fn signal(process: u32, name: &str) -> Result<()> {
    // The shell's own `kill`: the program of that name is in a package that may be missing.
    output(Command::new("sh").args(["-c", &format!("kill -{name} {process}")])).map(drop)
}

/// Whether a program is on the search path.
pub(crate) fn on_path(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is: on the search path, or where only root's path looks.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_command_and_the_end_of_its_errors() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c"), "{text}");
        assert!(text.contains("broken"), "{text}");
    }

    #[test]
    fn a_tail_is_at_most_as_long_as_asked() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a\n", 2), "a");
    }

    #[test]
    fn polling_ends_when_the_time_is_up() {
        assert_eq!(poll(Duration::ZERO, || None::<()>), None);
        assert_eq!(poll(Duration::ZERO, || Some(1)), Some(1));
    }
}
