//! Taking memory, here or in a child.

use std::process::{ExitCode, Stdio};
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::App;

/// As the first argument it makes the process a child that takes memory and nothing else.
pub(crate) const CHILD_ARGUMENT: &str = "--stand-in-allocate-mib";

const MIB: usize = 1024 * 1024;

/// Takes `mib` MiB more and returns what is held in all.
pub(crate) fn hold(app: &App, mib: u64) -> usize {
    let mut ballast = app.ballast.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..mib {
        ballast.push(touched_mib());
    }
    ballast.len()
}

pub(crate) fn release(app: &App) -> usize {
    let mut ballast = app.ballast.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *ballast).len()
}

/// One MiB that the kernel has really had to find; zeroes would be given without memory behind them.
fn touched_mib() -> Vec<u8> {
    vec![1; MIB]
}

/// Starts a child that takes `mib` MiB, and says how it ended.
///
/// The child offers itself to the OOM killer first, so that the instance outlives it: an engine then reports no
/// `OOMKilled`.
pub(crate) async fn child(mib: u64) -> std::io::Result<Value> {
    use std::os::unix::process::ExitStatusExt as _;
    let status = tokio::process::Command::new(std::env::current_exe()?)
        .arg(CHILD_ARGUMENT)
        .arg(mib.to_string())
        .stdin(Stdio::null())
        .status()
        .await?;
    Ok(json!({ "exitCode": status.code(), "signal": status.signal() }))
}

/// The life of that child: 0 when it got everything, else it does not come this far.
pub(crate) fn be_the_child(mib: Option<&str>) -> ExitCode {
    let Some(mib) = mib.and_then(|text| text.parse::<u64>().ok()) else {
        return ExitCode::from(64);
    };
    // Best effort: without it the larger of the two processes is chosen, which is the child as well.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let held: Vec<Vec<u8>> = (0..mib).map(|_| touched_mib()).collect();
    thread::sleep(Duration::from_millis(100));
    drop(held);
    ExitCode::SUCCESS
}
