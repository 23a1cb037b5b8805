//! The real server as a process of the test's own.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub(crate) use test_support::ports::free_port;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The longest that a start may take on a machine that is busy with everything else.
const START: Duration = Duration::from_secs(60);

/// The log's name among the server's files.
const LOG: &str = "server.log";

/// A running server; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// From its start to the line that says that it serves.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts the server on a folder with its `config.toml`, and waits until it serves.
    pub(crate) async fn start(data: &Path) -> Self {
        let log = data.join(LOG);
        let errors = File::options()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_openclaw-tenancy"))
            .arg("serve")
            .arg("--data")
            .arg(data)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.starts_with("ready: ") {
                    return true;
                }
            }
            false
        };
        let ready = timeout(START, ready).await.unwrap_or(false);
        let ready_after = started.elapsed();
        assert!(ready, "the server does not serve: {}", tail(&log));
        Self { child, ready_after }
    }

    /// Kills it with SIGKILL, as a crash or a lost machine would end it.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}

/// The end of what servers on these data have logged, for a failure; not each request.
pub(crate) fn last_words(data: &Path) -> String {
    tail(&data.join(LOG))
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains(": answered "))
        .collect();
    // What somebody repeats must not push out what went wrong.
    let (calm, wrong): (Vec<&str>, Vec<&str>) =
        lines.into_iter().partition(|line| line.contains(" INFO "));
    let last = |lines: Vec<&str>| lines[lines.len().saturating_sub(60)..].join("\n");
    format!("{}\n\n{}", last(wrong), last(calm))
}
