//! Hot reload: an edit is applied without a restart, a bad edit is passed over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::Config;
use crate::log;
use crate::settings::Settings;

/// Slower than a file event, quicker than OpenClaw's own 0.6 to 2.3 s.
const INTERVAL: Duration = Duration::from_millis(250);

/// What tells two versions of a file apart; `None` where there is none.
type Stamp = Option<(SystemTime, u64, u64)>;

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    files
        .iter()
        .map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
        })
        .collect()
}

/// Publishes each accepted edit to `current`, for as long as the instance runs.
pub(crate) async fn run(settings: Arc<Settings>, current: watch::Sender<Arc<Config>>) {
    let mut files = current.borrow().files.clone();
    // What was written while it was read at the start is read now.
    let mut seen = None;
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let now = Some(stamps(&files));
        if now == seen {
            continue;
        }
        match Config::load(&settings) {
            Ok(config) => {
                // As they were before they were read: what is written meanwhile is read at the next look. So are files
                // that were not looked at before.
                seen = now.filter(|_| config.files == files);
                files.clone_from(&config.files);
                let held = Arc::clone(&current.borrow());
                if (&held.merged, &held.files) != (&config.merged, &config.files) {
                    current.send_replace(Arc::new(config));
                    log::line("reload", "config hot reload applied");
                }
            }
            Err(error) => {
                seen = now;
                log::line(
                    "reload",
                    &format!("config reload skipped (invalid config): {}", error.why()),
                );
            }
        }
    }
}
