//! A container that is not to run, and what is left when it is gone.

use crate::backend::Signal;
use crate::clock::Timestamp;
use crate::container::{ContainerDetail, ObjectRef, RunState};
use crate::tenant::{ContainerRecord, FailureReason, Location, Power};

use super::run::{may_have_started, start};
use super::{Situation, Step};

/// Ends it, and removes it if the tenant goes.
pub(super) fn stop(s: &Situation<'_>, location: &Location, container: &ContainerDetail) -> Step {
    let id = || container.seen.id.clone();
    match &container.state {
        RunState::Created | RunState::Exited { .. } if is_broken(location) => {
            Step::Remove(ObjectRef::Container(id()))
        }
        // A removal would answer success and leave a process behind that nobody sees. It is started with all it
        // needs: one that was never configured would end by that, and its owner be told to repair it.
        RunState::Created | RunState::Exited { .. } if may_have_started(s, location) => {
            let fallback = ContainerRecord::new(id());
            let record = location.container.as_ref().unwrap_or(&fallback);
            start(s, location, container, record)
        }
        // A signal that ends it also lets it go on first.
        RunState::Running { .. } | RunState::Paused => {
            match location
                .container
                .as_ref()
                .and_then(|record| record.stop_asked_at)
            {
                None => Step::Signal(id(), Signal::Terminate),
                Some(asked) => await_end(s, container, asked),
            }
        }
        RunState::Created | RunState::Exited { .. } => match s.tenant.desired.power {
            Power::Deleted => Step::Remove(ObjectRef::Container(id())),
            Power::Running | Power::Suspended => Step::Converged,
        },
        RunState::Other(state) => odd(state, container),
    }
}

fn is_broken(location: &Location) -> bool {
    location
        .container
        .as_ref()
        .is_some_and(|record| record.broken)
}

pub(super) fn await_end(s: &Situation<'_>, container: &ContainerDetail, asked: Timestamp) -> Step {
    let grace = s.blueprint.deadlines.stop;
    let waited = s.now.since(asked);
    if waited < grace {
        return Step::Wait(s.pace.watch.min(grace.saturating_sub(waited)));
    }
    Step::Signal(container.seen.id.clone(), Signal::Kill)
}

pub(super) fn odd(state: &str, container: &ContainerDetail) -> Step {
    if state == "dead" {
        return Step::Remove(ObjectRef::Container(container.seen.id.clone()));
    }
    left_alone(state, container)
}

/// Somebody, or the engine, is at work on it.
pub(super) fn left_alone(state: &str, container: &ContainerDetail) -> Step {
    Step::Fail(
        FailureReason::Engine,
        format!(
            "container {} is {state}; it is left alone until it is not",
            container.seen.name
        ),
    )
}

/// No container any more: the network, the volumes, then the place. The data volume goes last.
pub(super) fn tear_down(s: &Situation<'_>) -> Step {
    if let Some(network) = s.seen.networks.first() {
        return Step::Remove(ObjectRef::Network(network.id.clone()));
    }
    let last = |name: &&String| name.ends_with("-data");
    let volumes = &s.seen.volumes;
    if let Some(volume) = volumes
        .iter()
        .find(|name| !last(name))
        .or_else(|| volumes.first())
    {
        return Step::Remove(ObjectRef::Volume(volume.clone()));
    }
    Step::Leave
}
