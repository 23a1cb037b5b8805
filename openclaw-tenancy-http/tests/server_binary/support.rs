//! The real binary as a process of the test's own.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// The longest anything here may take; five times what a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const BINARY: &str = env!("CARGO_BIN_EXE_openclaw-tenancy");

/// The binary in an environment of its own.
pub(crate) fn command(data: &Path) -> Command {
    alone(Command::new(BINARY), data)
}

/// The same, with no more than `files` open, soft and hard.
pub(crate) fn command_with_few_files(data: &Path, files: u32) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args([
        "-euc",
        "ulimit -n \"$1\"; shift; exec \"$0\" \"$@\"",
        BINARY,
    ]);
    shell.arg(files.to_string());
    alone(shell, data)
}

fn alone(mut command: Command, data: &Path) -> Command {
    command
        .env_clear()
        .env("OPENCLAW_TENANCY_DATA", data)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A command that ends by itself.
pub(crate) async fn run(data: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = command(data);
    command.args(args).envs(environment.iter().copied());
    timeout(PATIENCE, command.output())
        .await
        .expect("it ends")
        .expect("it starts")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What `doctor` says of `subject`.
pub(crate) async fn doctor(data: &Path, environment: &[(&str, &str)], subject: &str) -> Vec<Value> {
    let report = run(data, &["doctor", "--json"], environment).await;
    let report: Value = serde_json::from_slice(&report.stdout).expect("a report");
    let checks = report["checks"].as_array().expect("checks").iter();
    checks
        .filter(|check| check["subject"] == subject)
        .cloned()
        .collect()
}
