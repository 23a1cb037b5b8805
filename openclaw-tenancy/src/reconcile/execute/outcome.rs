//! What a step came to: rest, failure with its backoff, or a hold.

use super::{After, Pass};
use crate::backend::{BackendError, Signal};
use crate::container::RunState;
use crate::event::EventKind;
use crate::reconcile::observe::Seen;
use crate::status::{CHILD_KILLED, PULLING};
use crate::tenant::{Certainty, Failure, FailureReason, Hold, HoldReason, Power};

impl Pass<'_> {
    pub(super) fn signalled(&mut self, signal: Signal) -> After {
        let now = self.context.clock.now();
        let grace = self.context.blueprint.deadlines.stop;
        let mut stuck = false;
        self.record(|record| {
            let asked = *record.stop_asked_at.get_or_insert(now);
            stuck = signal == Signal::Kill && now.since(asked) > grace + grace;
            record.ready_at = None;
        });
        if stuck {
            let message = "the container does not end, not even by SIGKILL".to_owned();
            return self.fail(FailureReason::Engine, message);
        }
        if self.tenant.desired.power != Power::Running {
            // Heard: what failed before is over, and its end has a deadline of its own.
            self.tenant.observed.failure = None;
        }
        // It ends when it ends; asking at once again would only be noise.
        After::Rest(self.pace().watch)
    }

    pub(super) fn converged(&mut self, seen: &Seen) -> After {
        let now = self.context.clock.now();
        let pace = self.context.pace.clone();
        let running = self.tenant.desired.power == Power::Running;
        let ready = self
            .tenant
            .observed
            .location()
            .and_then(|location| location.container.as_ref())
            .and_then(|container| container.ready_at);
        let observed = &mut self.tenant.observed;
        if observed.hold.is_none() {
            let newly = observed.converged != Some(self.tenant.revision);
            observed.converged = Some(self.tenant.revision);
            let reason = observed.failure.as_ref().map(|failure| failure.reason);
            let over = !running
                || ready.is_some_and(|since| {
                    // A host has answered, or an instance has lasted.
                    reason == Some(FailureReason::HostUnreachable)
                        || now.since(since) >= pace.stable
                });
            if over {
                observed.failure = None;
            }
            for location in &mut observed.locations {
                // The plan would not be done with one that may run.
                if location.certainty == Certainty::Unknown {
                    location.certainty = Certainty::Known;
                }
            }
            observed.refused_subnets.clear();
            if newly && !running && seen.container.is_some() {
                self.event(EventKind::Stopped, "the instance is stopped");
            }
        }
        let waiting_for_stable = self.tenant.observed.failure.is_some() && running;
        After::Rest(if waiting_for_stable {
            pace.stable
        } else {
            pace.resync
        })
    }

    /// Tells the owner that a process of an instance was killed for memory while the instance runs on; each kill
    /// once. What ended with its instance is told as the failure that it is.
    pub(super) fn tell_of_oom_kills(&mut self, seen: &Seen) {
        let Some(container) = &seen.container else {
            return;
        };
        let location = self.tenant.observed.location();
        let told = location
            .and_then(|location| location.container.as_ref())
            .and_then(|record| record.oom_told);
        let kills = &container.oom_kills;
        let is_new = kills.iter().any(|at| Some(*at) > told);
        if !is_new || !matches!(container.state, RunState::Running { .. }) {
            return;
        }
        let newest = kills.iter().max().copied();
        let now = self.context.clock.now();
        self.record(|record| {
            record.oom_told = newest;
            record.oom_at = Some(now);
        });
        // One event for all since the last look, and no number: engines tell of one kill several times.
        self.event(EventKind::OutOfMemory, CHILD_KILLED);
    }

    /// Writes a failure with its backoff.
    pub(super) fn fail(&mut self, reason: FailureReason, message: String) -> After {
        let told = message.clone();
        self.fail_of(reason, message, &told)
    }

    /// As [`fail`](Self::fail); the operator is told `cause`, what the engine said, and the owner less.
    fn fail_of(&mut self, reason: FailureReason, message: String, cause: &str) -> After {
        let now = self.context.clock.now();
        let before = self.tenant.observed.failure.as_ref();
        let attempts = before
            .map_or(0, |failure| failure.attempts)
            .saturating_add(1);
        let since = before.map_or(now, |failure| failure.since);
        let wait = self.pace().wait(attempts, &*self.context.entropy);
        tracing::warn!(
            tenant = %self.tenant.id,
            ?reason,
            attempt = attempts,
            retry_in_ms = wait.as_millis(),
            error = cause,
            "failed; tried again"
        );
        // What it waited for before, it has or will not get.
        self.tenant.observed.queued = None;
        self.tenant.observed.failure = Some(Failure {
            reason,
            message,
            attempts,
            since,
            retry_at: now.plus(wait),
        });
        After::Rest(wait)
    }

    /// Sorts a backend's error: what holds, what is tried again and what it is called.
    pub(super) fn failed(&mut self, error: &BackendError) -> After {
        let reason = match error {
            // It makes progress elsewhere, and has a deadline of its own there.
            BackendError::Pulling { .. } => {
                self.tenant.observed.queued = Some(PULLING.to_owned());
                return After::Rest(self.pace().watch * 4);
            }
            BackendError::GhostSuspected { .. } => {
                let error = crate::error::chain(error);
                tracing::warn!(tenant = %self.tenant.id, error, "step failed");
                self.certainty(Certainty::GhostSuspected);
                return After::Again;
            }
            BackendError::Conflict { .. }
            | BackendError::VolumeHeld { .. }
            | BackendError::Foreign { .. } => {
                self.hold(HoldReason::Conflict, error.to_string());
                return After::Rest(self.pace().resync);
            }
            BackendError::Unreachable { .. } | BackendError::UnknownHost { .. } => {
                FailureReason::HostUnreachable
            }
            BackendError::ImageMissing { .. } => FailureReason::Image,
            BackendError::NoSpace { .. } | BackendError::SubnetTaken { .. } => {
                FailureReason::Capacity
            }
            BackendError::StorageMismatch { .. } => FailureReason::Storage,
            BackendError::NotFound { .. }
            | BackendError::Busy { .. }
            | BackendError::Refused { .. }
            // Of a start it is no failure: it tells that a new container is needed.
            | BackendError::NeverStarts { .. }
            | BackendError::Engine { .. } => FailureReason::Engine,
        };
        if self
            .tenant
            .observed
            .failure
            .as_ref()
            .is_none_or(|failure| failure.reason != reason)
        {
            self.event(EventKind::Failed, &error.to_string());
        }
        let cause = crate::error::chain(error);
        self.fail_of(reason, error.to_string(), &cause)
    }

    /// Writes a hold; its message says what ends it.
    pub(super) fn hold(&mut self, reason: HoldReason, mut message: String) {
        message.push_str(match reason {
            HoldReason::GhostSuspected | HoldReason::Conflict => {
                ". It is held until an administrator releases it"
            }
            HoldReason::Configuration => ". It is held until its owner restarts it",
            HoldReason::HostQuarantined => {
                ". It is held until its host is the one it was, or an administrator releases the host"
            }
        });
        tracing::error!(tenant = %self.tenant.id, ?reason, message, "held");
        self.event(EventKind::Held, &message);
        let since = self.context.clock.now();
        self.tenant.observed.hold = Some(Hold {
            reason,
            message,
            since,
        });
    }
}
