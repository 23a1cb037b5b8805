//! What the person at the terminal sees: one line per step, with its time. Everything goes to
//! standard error, so that `--json` has standard output for itself.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The pause before a pipe that is full is tried again.
const FULL: Duration = Duration::from_millis(10);

/// A writer to a pipe that another program may have set to refuse what does not fit at once, as Node does with what it
/// inherits: everybody who has the pipe is refused then. What does not fit is waited for, as always.
#[derive(Debug)]
pub(crate) struct Patient<W>(pub(crate) W);

impl<W: Write> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(FULL),
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            match self.0.flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(FULL),
                flushed => return flushed,
            }
        }
    }
}

/// Writes a line to standard error; where nobody reads it any more there is nobody to tell.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let line = format!("{line}\n");
    Patient(io::stderr()).write_all(line.as_bytes()).ok();
}

/// A heading between groups of steps.
pub(crate) fn heading(text: &str) {
    say(format_args!("\n\x1b[1m{text}\x1b[0m"));
}

/// Something worth knowing that is not a step.
pub(crate) fn note(text: &str) {
    say(format_args!("  {text}"));
}

/// Seconds as people read them.
pub(crate) fn seconds(duration: Duration) -> String {
    let secs = duration.as_secs_f64();
    if secs < 60.0 {
        format!("{secs:.1} s")
    } else {
        format!(
            "{} min {:02} s",
            duration.as_secs() / 60,
            duration.as_secs() % 60
        )
    }
}

/// A running step: on a terminal its line counts the seconds; dropped without [`Step::done`], it
/// counts as failed.
#[derive(Debug)]
pub(crate) struct Step {
    label: String,
    started: Instant,
    ticker: Option<(Sender<String>, JoinHandle<()>)>,
    finished: bool,
}

impl Step {
    /// Prints the label and starts counting.
    pub(crate) fn begin(label: &str) -> Self {
        let started = Instant::now();
        let ticker = std::io::stderr().is_terminal().then(|| {
            let (sender, receiver) = channel::<String>();
            let label = label.to_owned();
            let thread = std::thread::spawn(move || {
                let mut detail = String::new();
                loop {
                    eprint!("\r\x1b[K  … {label} {detail}{}", seconds(started.elapsed()));
                    std::io::stderr().flush().ok();
                    match receiver.recv_timeout(Duration::from_millis(500)) {
                        Ok(text) => detail = format!("· {text} · "),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
                eprint!("\r\x1b[K");
            });
            (sender, thread)
        });
        if ticker.is_none() {
            say(format_args!("  … {label}"));
        }
        Self {
            label: label.to_owned(),
            started,
            ticker,
            finished: false,
        }
    }

    /// Says which part of the step is running.
    pub(crate) fn detail(&self, text: &str) {
        match &self.ticker {
            Some((sender, _)) => {
                sender.send(text.to_owned()).ok();
            }
            None => say(format_args!(
                "    {text} ({})",
                seconds(self.started.elapsed())
            )),
        }
    }

    /// Ends the step well and answers how long it took.
    pub(crate) fn done(mut self, result: &str) -> Duration {
        self.end("\x1b[32m✓\x1b[0m", result)
    }

    fn end(&mut self, mark: &str, result: &str) -> Duration {
        self.finished = true;
        if let Some((sender, thread)) = self.ticker.take() {
            drop(sender);
            thread.join().ok();
        }
        let elapsed = self.started.elapsed();
        let separator = if result.is_empty() { "" } else { ": " };
        say(format_args!(
            "  {mark} {}{separator}{result} ({})",
            self.label,
            seconds(elapsed)
        ));
        elapsed
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.finished {
            self.end("\x1b[31m✗\x1b[0m", "failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes three bytes at a time, and nothing each second time.
    #[derive(Default)]
    struct Full {
        taken: Vec<u8>,
        turn: usize,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turn += 1;
            if self.turn % 2 == 1 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let fits = bytes.len().min(3);
            self.taken.extend(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_does_not_fit_at_once_is_waited_for() {
        let mut writer = Patient(Full::default());
        writer.write_all(b"much at once").unwrap();
        assert_eq!(writer.0.taken, b"much at once");
    }
}
