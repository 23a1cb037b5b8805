//! What a connection's stream and the service above it tell each other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Fault;

/// Shared by a [`Strict`](super::Strict) stream and the service that hyper runs on it.
///
/// Both run in one task, or one after the other: the orderings need not be stronger than relaxed.
#[derive(Debug, Default)]
pub(in crate::edge) struct Link {
    fault: OnceLock<(Fault, Vec<u8>)>,
    raw: AtomicBool,
    busy: AtomicBool,
    moved: AtomicU64,
}

impl Link {
    pub(super) fn set_fault(&self, fault: Fault, head: &[u8]) {
        // The first fault ends the connection: there is no second.
        let _ = self.fault.set((fault, head.to_vec()));
    }

    /// What was wrong, and as much of the refused head as was read.
    pub(in crate::edge) fn fault(&self) -> Option<(Fault, &[u8])> {
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
    pub(in crate::edge) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes went through, both ways together.
    pub(in crate::edge) fn bytes_moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}
