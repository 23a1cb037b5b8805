//! What a phase looks like, and what its owner can do in it.

use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::{FailureReason, HoldReason};

use super::words::Words;

/// The step at which an instance is ready.
pub(super) const READY: usize = 3;

/// What its owner can do now.
#[derive(Default)]
pub(super) struct Can {
    pub(super) open: bool,
    pub(super) resume: bool,
    pub(super) restart: bool,
    pub(super) suspend: bool,
    pub(super) delete: bool,
}

/// What a phase looks like.
pub(super) struct Look {
    pub(super) tone: &'static str,
    pub(super) badge: &'static str,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    /// Which step it is at, on the way to running.
    pub(super) step: Option<usize>,
    pub(super) can: Can,
}

/// What `phase` looks like.
pub(super) fn look(phase: &Phase, words: &Words) -> Look {
    let deletable = Can {
        delete: true,
        ..Can::default()
    };
    let retryable = Can {
        restart: true,
        delete: true,
        ..Can::default()
    };
    match phase {
        Phase::Queued => Look {
            tone: "busy",
            badge: words.queued,
            title: words.queued_title,
            text: words.queued_text,
            step: Some(0),
            can: deletable,
        },
        Phase::Provisioning => Look {
            tone: "busy",
            badge: words.provisioning,
            title: words.provisioning_title,
            text: words.provisioning_text,
            step: Some(1),
            can: deletable,
        },
        Phase::Starting => Look {
            tone: "busy",
            badge: words.starting,
            title: words.starting_title,
            text: words.starting_text,
            step: Some(2),
            can: deletable,
        },
        Phase::Running => Look {
            tone: "good",
            badge: words.running,
            title: words.running_title,
            text: words.running_text,
            step: Some(READY),
            can: Can {
                open: true,
                restart: true,
                suspend: true,
                delete: true,
                ..Can::default()
            },
        },
        Phase::Stopping => Look {
            tone: "busy",
            badge: words.stopping,
            title: words.stopping_title,
            text: words.stopping_text,
            step: None,
            can: deletable,
        },
        Phase::Suspended => Look {
            tone: "calm",
            badge: words.suspended,
            title: words.suspended_title,
            text: words.suspended_text,
            step: None,
            can: Can {
                resume: true,
                delete: true,
                ..Can::default()
            },
        },
        Phase::Deleting => Look {
            tone: "busy",
            badge: words.deleting,
            title: words.deleting_title,
            text: words.deleting_text,
            step: None,
            can: Can::default(),
        },
        Phase::Failed { reason, .. } => {
            let (title, text) = failure(*reason, words);
            Look {
                tone: "bad",
                badge: words.failed,
                title,
                text,
                step: None,
                can: retryable,
            }
        }
        Phase::HostLost { .. } => Look {
            tone: "bad",
            badge: words.host_lost,
            title: words.host_lost_title,
            text: words.host_lost_text,
            step: None,
            can: deletable,
        },
        Phase::Held { reason } => Look {
            tone: "bad",
            badge: words.held,
            title: words.held_title,
            text: match reason {
                HoldReason::Configuration => words.held_configuration_text,
                HoldReason::GhostSuspected | HoldReason::HostQuarantined | HoldReason::Conflict => {
                    words.held_operator_text
                }
            },
            step: None,
            can: match reason {
                HoldReason::Configuration => retryable,
                HoldReason::GhostSuspected | HoldReason::HostQuarantined | HoldReason::Conflict => {
                    deletable
                }
            },
        },
    }
}

fn failure(reason: FailureReason, words: &Words) -> (&'static str, &'static str) {
    match reason {
        FailureReason::OutOfMemory => (words.out_of_memory_title, words.out_of_memory_text),
        FailureReason::StartTimeout => (words.start_timeout_title, words.failed_text),
        FailureReason::HostUnreachable => (words.host_lost_title, words.failed_text),
        FailureReason::Engine
        | FailureReason::Image
        | FailureReason::Capacity
        | FailureReason::Storage
        | FailureReason::Crashed
        | FailureReason::Configuration => (words.failed_title, words.failed_text),
    }
}
