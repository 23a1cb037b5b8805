//! Hints within one process: that something may be due, and that something has changed.

use tokio::sync::{Notify, watch};

/// What the facade, the loop and those who wait tell each other. Nothing is lost with a hint but time.
#[derive(Debug)]
pub(crate) struct Signals {
    stirred: Notify,
    changed: watch::Sender<u64>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            stirred: Notify::new(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Signals {
    /// What is wanted has changed, so that something may be due.
    pub(crate) fn stir(&self) {
        self.stirred.notify_one();
        self.change();
    }

    /// Resolves once something may be due.
    pub(super) async fn stirred(&self) {
        self.stirred.notified().await;
    }

    /// Something has changed.
    pub(super) fn change(&self) {
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Counts the changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
