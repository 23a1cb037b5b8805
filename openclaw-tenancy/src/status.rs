//! What a tenant is doing: derived by one function, never set by hand.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::HostId;
use crate::tenant::{Certainty, Failure, FailureReason, HoldReason, Power, Tenant};

/// A tenant's phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum Phase {
    /// No host has room, or none has been chosen yet.
    Queued,
    /// Its objects are being made.
    Provisioning,
    /// It was started and is not ready yet.
    Starting,
    /// It is ready.
    Running,
    /// It is being stopped.
    Stopping,
    /// It is stopped, its data kept.
    Suspended,
    /// Everything of it is being removed.
    Deleting,
    /// The last attempt failed; another follows.
    Failed {
        /// What kind of failure.
        reason: FailureReason,
        /// How many in a row.
        attempts: u32,
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// Its host does not answer, also where that was one call. Nothing is concluded from it: it is asked again soon.
    HostLost {
        /// The host.
        host: HostId,
    },
    /// Nothing goes on until somebody acts.
    Held {
        /// Why.
        reason: HoldReason,
    },
}

impl Phase {
    /// The stable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Provisioning => "provisioning",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
            Self::Failed { .. } => "failed",
            Self::HostLost { .. } => "host_lost",
            Self::Held { .. } => "held",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A phase with what explains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// Why, in words for the owner.
    pub message: Option<String>,
    /// When the phase must have ended; `None` where it lasts.
    pub deadline: Option<Timestamp>,
}

/// How long phases may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the start of a container to its readiness. `OpenClaw` takes up to 50 s at 0.5 CPU.
    pub start: Duration,
    /// From asking to end until it is ended by force.
    pub stop: Duration,
    /// From a request to a started container.
    pub provision: Duration,
}

impl Default for Deadlines {
    /// 180 s to start, 60 s to stop, 300 s to provision.
    fn default() -> Self {
        Self {
            start: Duration::from_secs(180),
            stop: Duration::from_secs(60),
            provision: Duration::from_secs(300),
        }
    }
}

/// What is said of an instance that runs on although a process of it was killed.
pub(crate) const CHILD_KILLED: &str =
    "a process of the instance was killed for memory; a larger plan helps";

/// What is said of an instance whose image is not on its host yet.
pub(crate) const PULLING: &str =
    "the image is on its way to the host; the instance goes on by itself once it is there";

/// What the tenant is doing, from what is wanted and what was seen.
#[must_use]
pub fn status(tenant: &Tenant, deadlines: &Deadlines) -> Status {
    let observed = &tenant.observed;
    let lasting = |phase, message: Option<&str>| Status {
        phase,
        message: message.map(str::to_owned),
        deadline: None,
    };
    if let Some(hold) = &observed.hold {
        return lasting(
            Phase::Held {
                reason: hold.reason,
            },
            Some(&hold.message),
        );
    }
    let location = observed.location();
    let container = location.and_then(|location| location.container.as_ref());
    let stopping = container.and_then(|container| container.stop_asked_at);
    let started = container.is_some_and(|container| container.started_at.is_some());
    if let Some(failure) = &observed.failure {
        // While the next attempt runs or waits, the attempt is the phase and the failure what explains it. Of one that
        // was ready, on a host that did not answer, nobody knows.
        let ready = container.is_some_and(|container| container.ready_at.is_some());
        let trying = tenant.desired.power == Power::Running
            && stopping.is_none()
            && (started || observed.queued.is_some())
            && !(ready && failure.reason == FailureReason::HostUnreachable);
        if !trying {
            return failed(tenant, failure);
        }
    }
    let message = observed
        .failure
        .as_ref()
        .map(|failure| failure.message.clone());
    let made_so = observed.converged == Some(tenant.revision);
    let begun = observed.begun_at.unwrap_or(tenant.created_at);
    let until = |from: Option<Timestamp>, within| Some(from.unwrap_or(begun).plus(within));
    match tenant.desired.power {
        Power::Deleted => Status {
            phase: Phase::Deleting,
            message: None,
            deadline: until(stopping, deadlines.stop),
        },
        // Until a pass has seen that nothing runs, one that began before the wish may be starting it.
        Power::Suspended if started || !made_so => Status {
            phase: Phase::Stopping,
            message: None,
            deadline: until(stopping, deadlines.stop),
        },
        Power::Suspended => lasting(Phase::Suspended, None),
        Power::Running if location.is_none() => lasting(Phase::Queued, observed.queued.as_deref()),
        Power::Running if stopping.is_some() => Status {
            phase: Phase::Stopping,
            message: None,
            deadline: until(stopping, deadlines.stop),
        },
        Power::Running => match container {
            Some(container) if container.ready_at.is_some() => {
                lasting(Phase::Running, container.oom_at.map(|_| CHILD_KILLED))
            }
            Some(container) if started => Status {
                phase: Phase::Starting,
                message,
                deadline: until(container.started_at, deadlines.start),
            },
            // A pull has a deadline of its own, and fails by it.
            Some(_) | None if observed.queued.is_some() => {
                lasting(Phase::Provisioning, observed.queued.as_deref())
            }
            Some(_) | None => Status {
                phase: Phase::Provisioning,
                message: None,
                deadline: until(None, deadlines.provision),
            },
        },
    }
}

fn failed(tenant: &Tenant, failure: &Failure) -> Status {
    let phase = match (failure.reason, tenant.observed.location()) {
        (FailureReason::HostUnreachable, Some(location)) => Phase::HostLost {
            host: location.host.clone(),
        },
        (reason, _) if tenant.desired.power != Power::Deleted => Phase::Failed {
            reason,
            attempts: failure.attempts,
            retry_at: failure.retry_at,
        },
        // A deletion goes on whatever failed: it says so, with the reason.
        _ => Phase::Deleting,
    };
    Status {
        phase,
        message: Some(failure.message.clone()),
        deadline: Some(failure.retry_at),
    }
}

/// Whether a location may be routed to: the container is known, started and ready.
#[must_use]
pub fn is_routable(tenant: &Tenant) -> bool {
    tenant.desired.power == Power::Running
        && tenant.observed.hold.is_none()
        && tenant.observed.location().is_some_and(|location| {
            !matches!(
                location.certainty,
                Certainty::GhostSuspected | Certainty::StartLost
            ) && location.container.as_ref().is_some_and(|container| {
                container.ready_at.is_some() && container.stop_asked_at.is_none()
            })
        })
}
