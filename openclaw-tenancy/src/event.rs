//! What happened to a tenant, for its owner and its operator.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::TenantId;

/// What an event tells. Stable names: scripts read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The tenant was asked for.
    Requested,
    /// The desired state changed.
    Changed,
    /// A host was chosen.
    Placed,
    /// No host has room now.
    Queued,
    /// The container was started.
    Started,
    /// The instance is ready.
    Ready,
    /// The container ended without being asked to.
    Ended,
    /// The kernel killed it, or a process of it, for memory.
    OutOfMemory,
    /// A step failed; it is tried again.
    Failed,
    /// Nothing goes on until somebody acts.
    Held,
    /// Somebody released a hold.
    Released,
    /// The instance was stopped.
    Stopped,
    /// Everything of the tenant is gone.
    Deleted,
}

impl EventKind {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Changed => "changed",
            Self::Placed => "placed",
            Self::Queued => "queued",
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Ended => "ended",
            Self::OutOfMemory => "out_of_memory",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Released => "released",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }
}

/// An event to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// In words, without secrets.
    pub detail: String,
}

/// An event as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Counts up over all tenants.
    pub seq: u64,
    /// Whose.
    pub tenant: TenantId,
    /// When.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: NewEvent,
}
