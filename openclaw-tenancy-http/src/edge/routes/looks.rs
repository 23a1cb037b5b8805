//! How a request has the table looked at anew before it says that an instance is not ready.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// A request waits no longer than this for a look; then it goes by the table as it is. The store may be down.
const PATIENCE: Duration = Duration::from_secs(1);

/// What requests and the one follower of a table know of its looks at the store.
///
/// All who ask while a look is under way share the next one, and the follower leaves a pause between two: how often
/// the store is asked does not depend on how many ask.
#[derive(Debug)]
pub(in crate::edge) struct Looks {
    asked: Notify,
    begun: AtomicU64,
    ended: watch::Sender<u64>,
}

impl Looks {
    pub(in crate::edge) fn new() -> Self {
        Self {
            asked: Notify::new(),
            begun: AtomicU64::new(0),
            ended: watch::Sender::new(0),
        }
    }

    /// Asks for a look without waiting for it.
    pub(in crate::edge) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Resolves once a look that began after this call has ended: whatever the store said before the call, the table
    /// says now, where the store answers.
    pub(in crate::edge) async fn fresh(&self) {
        // One that has begun may have asked the store before the call.
        let next = self.begun.load(Ordering::SeqCst) + 1;
        let mut ended = self.ended.subscribe();
        self.ask();
        // Its sender lives as long as this.
        let _ = timeout(PATIENCE, ended.wait_for(|&look| look >= next)).await;
    }

    /// Resolves once somebody has asked since the last look began.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// A look begins, before anything is read: its number.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The look of this number has ended, well or not.
    pub(super) fn end(&self, look: u64) {
        self.ended.send_replace(look);
    }
}
