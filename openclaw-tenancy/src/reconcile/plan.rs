//! Which step is next: pure, total and deterministic.

use std::time::Duration;

use crate::backend::Signal;
use crate::clock::Timestamp;
use crate::container::{
    AppliedLimits, ContainerDetail, EngineId, InstanceSpec, NetworkSpec, ObjectRef, ObjectSpec,
    RunState, VolumeRole, VolumeSpec, instance_address,
};
use crate::instance;
use crate::probe::Readiness;
use crate::tenant::{
    Certainty, ContainerRecord, FailureReason, Hold, HoldReason, Location, Power, Tenant,
};

use super::observe::Seen;
use super::{Blueprint, Pace};

/// The exit code by which `OpenClaw` says that its configuration does not start; trying again does not help.
pub const EXIT_CONFIGURATION: i64 = 78;

/// An instance that has just been started is not asked again before this.
const SOONEST: Duration = Duration::from_millis(25);

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
    if let Some(hold) = &s.tenant.observed.hold {
        return held(s, hold);
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

fn held(s: &Situation<'_>, hold: &Hold) -> Step {
    match hold.reason {
        // A configuration that does not start is no reason to keep an instance from going.
        HoldReason::Configuration if s.tenant.desired.power != Power::Running => {
            match (&s.seen.container, s.tenant.observed.location()) {
                (Some(container), Some(location)) => stop(s, location, container),
                (None, Some(_)) if s.tenant.desired.power == Power::Deleted => tear_down(s),
                (_, None) if s.tenant.desired.power == Power::Deleted => Step::Erase,
                (_, _) => Step::Converged,
            }
        }
        HoldReason::Configuration
        | HoldReason::GhostSuspected
        | HoldReason::HostQuarantined
        | HoldReason::Conflict => Step::Converged,
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
        RunState::Running { .. } => Step::Signal(other.seen.id.clone(), Signal::Kill),
        RunState::Created | RunState::Exited { .. } | RunState::Other(_) => {
            Step::Remove(ObjectRef::Container(other.seen.id.clone()))
        }
    })
}

/// No container yet: make what it stands on, then it.
fn make(s: &Situation<'_>, location: &Location) -> Step {
    if !s.seen.pass.prepared {
        return Step::Prepare;
    }
    let tenant = s.tenant.id;
    let fits = |network: &&crate::container::SeenNetwork| network.subnet == Some(location.subnet);
    match s.seen.networks.as_slice() {
        [] => {
            return Step::Make(ObjectSpec::Network(NetworkSpec {
                tenant,
                subnet: location.subnet,
            }));
        }
        [network] if fits(&network) => {}
        networks => {
            // Keep one that fits, remove the rest: a container joins by name, which must be unambiguous.
            let keep = networks.iter().position(|network| fits(&network));
            let excess = networks
                .iter()
                .enumerate()
                .find(|(at, _)| Some(*at) != keep);
            if let Some((_, network)) = excess {
                return Step::Remove(ObjectRef::Network(network.id.clone()));
            }
        }
    }
    if !s.seen.data {
        if location.has_data {
            return Step::Hold(
                HoldReason::Conflict,
                format!(
                    "host {}: the data volume is gone; an empty one would hide the loss. Restore it, or release the hold to begin anew",
                    location.host
                ),
            );
        }
        return Step::Make(ObjectSpec::Volume(VolumeSpec {
            tenant,
            role: VolumeRole::Data,
        }));
    }
    if !s.seen.config {
        return Step::Make(ObjectSpec::Volume(VolumeSpec {
            tenant,
            role: VolumeRole::Config,
        }));
    }
    Step::Make(ObjectSpec::Instance(Box::new(instance_spec(s, location))))
}

fn instance_spec(s: &Situation<'_>, location: &Location) -> InstanceSpec {
    InstanceSpec {
        tenant: s.tenant.id,
        generation: location.generation,
        image: s.tenant.desired.image.clone(),
        limits: location.granted,
        env: instance::environment(&s.tenant.settings),
        subnet: location.subnet,
    }
}

/// A container that is to run.
fn run(s: &Situation<'_>, location: &Location, container: &ContainerDetail) -> Step {
    let id = || container.seen.id.clone();
    let fallback = ContainerRecord::new(id());
    let record = location.container.as_ref().unwrap_or(&fallback);
    let spec = ObjectSpec::Instance(Box::new(instance_spec(s, location))).spec_hash();
    let outdated = container.seen.labels.spec != spec;
    match &container.state {
        RunState::Created => {
            if record.broken || (outdated && !may_have_started(s, location)) {
                return Step::Remove(ObjectRef::Container(id()));
            }
            start(s, location, container, record)
        }
        RunState::Running { .. } => {
            if let Some(asked) = record.stop_asked_at {
                return await_end(s, container, asked);
            }
            if outdated || record.restart_epoch != s.tenant.desired.restart_epoch {
                return Step::Signal(id(), Signal::Terminate);
            }
            if container
                .address
                .is_some_and(|at| at != instance_address(location.subnet))
            {
                return Step::Hold(
                    HoldReason::Conflict,
                    format!(
                        "host {}: container {} has another address than it was given",
                        location.host, container.seen.id
                    ),
                );
            }
            if container.limits != AppliedLimits::from(location.granted) {
                return Step::Update(id());
            }
            if record.config.as_deref() != Some(s.config) {
                return Step::Configure(id());
            }
            readiness(s, record)
        }
        RunState::Exited {
            code, oom_killed, ..
        } => {
            if record.started_at.is_some() {
                return ended(*code, *oom_killed);
            }
            if record.broken || (outdated && !may_have_started(s, location)) {
                return Step::Remove(ObjectRef::Container(id()));
            }
            start(s, location, container, record)
        }
        RunState::Other(state) => odd(state, container),
    }
}

/// Everything a start needs, then the start.
fn start(
    s: &Situation<'_>,
    location: &Location,
    container: &ContainerDetail,
    record: &ContainerRecord,
) -> Step {
    let id = container.seen.id.clone();
    if !s
        .seen
        .networks
        .iter()
        .any(|network| network.subnet == Some(location.subnet))
    {
        // A container joins by name: one whose network was removed starts once there is one again.
        let (tenant, subnet) = (s.tenant.id, location.subnet);
        return Step::Make(ObjectSpec::Network(NetworkSpec { tenant, subnet }));
    }
    // All three are harmless to a process that may live unseen: it was seeded before it was started.
    if !s.seen.pass.seeded {
        return Step::Seed(id);
    }
    if record.config.as_deref() != Some(s.config) {
        return Step::Configure(id);
    }
    if container.limits != AppliedLimits::from(location.granted) {
        return Step::Update(id);
    }
    start_or_doubt(s, location, id)
}

/// The start, once it is written that it may be lost.
///
/// A container that others may know of can be removed by their late calls: were the start forgotten as well, its
/// process would be in no list and in no row. What this very pass has made, nobody else knows of.
fn start_or_doubt(s: &Situation<'_>, location: &Location, id: EngineId) -> Step {
    if s.seen.pass.fresh || location.certainty == Certainty::StartLost {
        Step::Start(id)
    } else {
        Step::Doubt
    }
}

/// Whether a start of a container that does not run may have been tried, and a process of it may live unseen. Only
/// starting it again tells: nothing else is done with it before that.
fn may_have_started(s: &Situation<'_>, location: &Location) -> bool {
    match location.certainty {
        Certainty::Known => false,
        Certainty::Unknown => !s.seen.pass.fresh,
        Certainty::StartLost | Certainty::GhostSuspected => true,
    }
}

fn readiness(s: &Situation<'_>, record: &ContainerRecord) -> Step {
    if record.ready_at.is_some() {
        return Step::Converged;
    }
    match s.seen.pass.readiness {
        None => Step::Probe,
        Some(Readiness::NeedsRepair) => Step::Hold(
            HoldReason::Configuration,
            "the instance is up and says that it needs repair".to_owned(),
        ),
        Some(Readiness::Started | Readiness::Starting) => {
            let limit = s.blueprint.deadlines.start;
            match record.started_at {
                Some(started) if s.now.since(started) > limit => Step::GiveUp(
                    record.id.clone(),
                    format!("not ready within {} s of its start", limit.as_secs()),
                ),
                Some(started) => Step::Wait(look_again(s.now.since(started), s.pace)),
                None => Step::Wait(s.pace.watch),
            }
        }
    }
}

/// A process of a second is looked at after an eighth of one, an old one every [`Pace::watch`] twice over: what is
/// quick is not kept waiting, and what is slow is not asked without end.
fn look_again(age: Duration, pace: &Pace) -> Duration {
    (age / 8).clamp(SOONEST, (pace.watch * 2).max(SOONEST))
}

fn ended(code: i64, oom_killed: bool) -> Step {
    if oom_killed {
        return Step::Fail(
            FailureReason::OutOfMemory,
            "the instance ran out of memory and was killed; a larger plan helps".to_owned(),
        );
    }
    if code == EXIT_CONFIGURATION {
        return Step::Hold(
            HoldReason::Configuration,
            "OpenClaw does not start with its configuration (exit code 78); repair it, then restart"
                .to_owned(),
        );
    }
    Step::Fail(
        FailureReason::Crashed,
        format!("the instance ended by itself with exit code {code}"),
    )
}

/// A container that is not to run: ended, and removed if the tenant goes.
fn stop(s: &Situation<'_>, location: &Location, container: &ContainerDetail) -> Step {
    let id = || container.seen.id.clone();
    match &container.state {
        RunState::Created | RunState::Exited { .. } if is_broken(location) => {
            Step::Remove(ObjectRef::Container(id()))
        }
        // A removal would answer success and leave a process behind that nobody sees.
        RunState::Created | RunState::Exited { .. } if may_have_started(s, location) => {
            start_or_doubt(s, location, id())
        }
        RunState::Running { .. } => {
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

fn await_end(s: &Situation<'_>, container: &ContainerDetail, asked: Timestamp) -> Step {
    let grace = s.blueprint.deadlines.stop;
    let waited = s.now.since(asked);
    if waited < grace {
        return Step::Wait(s.pace.watch.min(grace.saturating_sub(waited)));
    }
    Step::Signal(container.seen.id.clone(), Signal::Kill)
}

fn odd(state: &str, container: &ContainerDetail) -> Step {
    if state == "dead" {
        return Step::Remove(ObjectRef::Container(container.seen.id.clone()));
    }
    Step::Fail(
        FailureReason::Engine,
        format!(
            "container {} is {state}; it is left alone until it is not",
            container.seen.id
        ),
    )
}

/// No container any more: the network, the volumes, then the place. The data volume goes last.
fn tear_down(s: &Situation<'_>) -> Step {
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
