//! Which step is next: pure, total and deterministic.
//!
//! This much is the same whatever is wanted. What follows depends on what is there: nothing yet (`make`), a container
//! that is to run (`run`), or one that is not (`stop`).

mod make;
mod run;
mod stop;

use std::time::Duration;

use crate::backend::Signal;
use crate::clock::Timestamp;
use crate::container::{EngineId, ObjectRef, ObjectSpec, RunState};
use crate::tenant::{Certainty, FailureReason, HoldReason, Location, Power, Tenant};

use self::make::make;
pub(crate) use self::make::nothing_is_there;
use self::run::run;
use self::stop::{stop, tear_down};
use super::observe::Seen;
use super::{Blueprint, Pace};

/// The exit code by which `OpenClaw` says that its configuration does not start; trying again does not help.
pub const EXIT_CONFIGURATION: i64 = 78;

/// One thing to do. Every one may be repeated, and may have happened although it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Choose a host and reserve a place there.
    Place,
    /// Make sure that the image is on the host.
    Prepare,
    /// Make an object.
    Make(ObjectSpec),
    /// Write the tenant's own configuration, unless it is there.
    Seed(EngineId),
    /// Write our configuration.
    Configure(EngineId),
    /// Write that a start may be lost from now on, before the one that follows.
    Doubt,
    /// Start the container.
    Start(EngineId),
    /// Ask the instance whether it is ready.
    Probe,
    /// Bring the container's limits to what was granted.
    Update(EngineId),
    /// Send the container a signal.
    Signal(EngineId, Signal),
    /// Remove an object.
    Remove(ObjectRef),
    /// Nothing of the tenant is left here: give the place back.
    Leave,
    /// Nothing of the tenant is left anywhere: its row may go.
    Erase,
    /// Write that an attempt has failed.
    Fail(FailureReason, String),
    /// Write that the container did not become ready in time, and ask it to end.
    GiveUp(EngineId, String),
    /// Ask a container to end that cannot be brought to what it needs, and write that a new one replaces it.
    Replace(EngineId, String),
    /// Do nothing until somebody acts.
    Hold(HoldReason, String),
    /// Nothing to do before this has passed; what is wanted is not reached yet.
    Wait(Duration),
    /// What is wanted is so.
    Converged,
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What is wanted and what is written.
    pub tenant: &'a Tenant,
    /// What was seen at its location.
    pub seen: &'a Seen,
    /// What instances are made from.
    pub blueprint: &'a Blueprint,
    /// How the loop works.
    pub pace: &'a Pace,
    /// The digest of the configuration that is wanted.
    pub config: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// The next step.
#[must_use]
pub fn plan(s: &Situation<'_>) -> Step {
    if s.tenant.observed.hold.is_some() {
        // What ends a hold takes it away: an operator's release, and for the owner's own any change (`stir`).
        return Step::Converged;
    }
    if let Some(failure) = &s.tenant.observed.failure
        && failure.retry_at > s.now
    {
        return Step::Wait(failure.retry_at.since(s.now));
    }
    let Some(location) = s.tenant.observed.location() else {
        return match s.tenant.desired.power {
            Power::Running => Step::Place,
            Power::Suspended => Step::Converged,
            Power::Deleted => Step::Erase,
        };
    };
    if location.certainty == Certainty::GhostSuspected {
        return ghost(location);
    }
    if let Some(step) = other_generations(s, location) {
        return step;
    }
    if s.tenant.desired.power == Power::Running && s.tenant.desired.image.digest.is_none() {
        // The content is pinned before anything is judged by it: the settlement that had it may be lost.
        return Step::Prepare;
    }
    match (&s.seen.container, s.tenant.desired.power) {
        (None, Power::Running) => make(s, location),
        (None, Power::Suspended) => Step::Converged,
        (None, Power::Deleted) => tear_down(s),
        (Some(container), Power::Running) => run(s, location, container),
        (Some(container), Power::Suspended | Power::Deleted) => stop(s, location, container),
    }
}

fn ghost(location: &Location) -> Step {
    let id = location
        .container
        .as_ref()
        .map_or("?", |container| container.id.0.as_str());
    Step::Hold(
        HoldReason::GhostSuspected,
        format!(
            "host {}: a process of container {id} may run unseen by the engine; on the host, end it and its shim (containerd-shim with this id), then release the hold",
            location.host
        ),
    )
}

/// One writer per volume: what is left of another generation goes before anything else is done.
fn other_generations(s: &Situation<'_>, location: &Location) -> Option<Step> {
    let other = s.seen.others.first()?;
    if other.seen.labels.generation > location.generation {
        // Only a store restored from a backup can be behind an engine.
        return Some(Step::Hold(
            HoldReason::Conflict,
            format!(
                "host {}: container {} is newer than what is stored; nothing was touched",
                location.host, other.seen.id
            ),
        ));
    }
    Some(match other.state {
        RunState::Running { .. } | RunState::Paused => {
            Step::Signal(other.seen.id.clone(), Signal::Kill)
        }
        RunState::Created | RunState::Exited { .. } | RunState::Other(_) => {
            Step::Remove(ObjectRef::Container(other.seen.id.clone()))
        }
    })
}
