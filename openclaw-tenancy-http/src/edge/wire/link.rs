//! What a connection's stream and the service above it tell each other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;

use futures::task::AtomicWaker;

use super::Fault;

/// Shared by a [`Strict`](super::Strict) stream and the service that hyper runs on it.
///
/// Both run in one task, or one after the other: the orderings need not be stronger than relaxed.
#[derive(Debug, Default)]
pub(crate) struct Link {
    fault: OnceLock<(Fault, Vec<u8>)>,
    raw: AtomicBool,
    busy: AtomicBool,
    reader: AtomicWaker,
    moved: AtomicU64,
}

impl Link {
    pub(super) fn set_fault(&self, fault: Fault, head: &[u8]) {
        // The first fault ends the connection: there is no second.
        let _ = self.fault.set((fault, head.to_vec()));
    }

    /// What was wrong, and as much of the refused head as was read.
    pub(crate) fn fault(&self) -> Option<(Fault, &[u8])> {
        self.fault
            .get()
            .map(|(fault, head)| (*fault, head.as_slice()))
    }

    /// The stream is a tunnel from now on: nothing is read as HTTP any more.
    pub(in crate::edge) fn set_raw(&self) {
        self.raw.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_raw(&self) -> bool {
        self.raw.load(Ordering::Relaxed)
    }

    /// A request is under way, or no more: its client need not say anything meanwhile.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Whoever reads waits for the client, and does not measure for how long while a request is under way.
    pub(super) fn reader_waits(&self, cx: &Context<'_>) {
        self.reader.register(cx.waker());
    }

    /// Lets whoever reads look again, so that from now on it measures how long the client is silent. For those who do
    /// not look again by themselves from time to time.
    #[cfg(feature = "server")]
    pub(crate) fn wake_reader(&self) {
        self.reader.wake();
    }

    pub(super) fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes went through, both ways together.
    pub(in crate::edge) fn bytes_moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}
