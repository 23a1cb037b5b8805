//! What the person at the terminal sees: one line per step, with its time. Everything goes to
//! standard error, so that `--json` has standard output for itself.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A heading between groups of steps.
pub(crate) fn heading(text: &str) {
    eprintln!("\n\x1b[1m{text}\x1b[0m");
}

/// Something worth knowing that is not a step.
pub(crate) fn note(text: &str) {
    eprintln!("  {text}");
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
            eprintln!("  … {label}");
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
            None => eprintln!("    {text} ({})", seconds(self.started.elapsed())),
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
        eprintln!(
            "  {mark} {}{separator}{result} ({})",
            self.label,
            seconds(elapsed)
        );
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
