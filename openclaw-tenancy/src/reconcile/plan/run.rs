//! A container that is to run.

use std::time::Duration;

use crate::backend::Signal;
use crate::container::{
    AppliedLimits, ContainerDetail, EngineId, ObjectRef, ObjectSpec, RunState, SeenNetwork,
    instance_address,
};
use crate::probe::Readiness;
use crate::tenant::{Certainty, ContainerRecord, FailureReason, HoldReason, Location, Power};

use super::make::{instance_spec, network};
use super::stop::{await_end, left_alone, odd};
use super::{EXIT_CONFIGURATION, Situation, Step};
use crate::reconcile::Pace;

/// An instance that has just been started is not asked again before this.
const SOONEST: Duration = Duration::from_millis(25);

/// Starts it, and sees to it that it runs as it is wanted to.
pub(super) fn run(s: &Situation<'_>, location: &Location, container: &ContainerDetail) -> Step {
    let id = || container.seen.id.clone();
    let fallback = ContainerRecord::new(id());
    let record = location.container.as_ref().unwrap_or(&fallback);
    let spec = ObjectSpec::Instance(Box::new(instance_spec(s, location))).spec_hash();
    let outdated = record.unfit || container.seen.labels.spec != spec;
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
            match container.seen.address {
                Some(at) if at == instance_address(location.subnet) => {}
                Some(_) => {
                    return Step::Hold(
                        HoldReason::Conflict,
                        format!(
                            "host {}: container {} has another address than it was given",
                            location.host, container.seen.id
                        ),
                    );
                }
                // Starting it again does not help: an engine does not let it join again by itself.
                None => {
                    let why = "the container was cut off from its network; a new one replaces it";
                    return Step::Replace(id(), why.to_owned());
                }
            }
            // Nothing of it is in one of another subnet; and the next start joins by name.
            let unfit = |network: &&SeenNetwork| network.subnet != Some(location.subnet);
            if let Some(excess) = s.seen.networks.iter().find(unfit) {
                return Step::Remove(ObjectRef::Network(excess.id.clone()));
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
            code,
            oom_killed,
            finished_at,
        } => {
            if record.started_at.is_some() {
                let last_kill = container.oom_kills.last();
                let child = last_kill.is_some_and(|at| finished_at.since(*at) < JUST_BEFORE);
                return ended(*code, *oom_killed, child);
            }
            if record.broken || (outdated && !may_have_started(s, location)) {
                return Step::Remove(ObjectRef::Container(id()));
            }
            start(s, location, container, record)
        }
        // Whoever paused it has a reason, and lets it go on.
        RunState::Paused => left_alone("paused", container),
        RunState::Other(state) => odd(state, container),
    }
}

/// Everything a start needs, then the start.
pub(super) fn start(
    s: &Situation<'_>,
    location: &Location,
    container: &ContainerDetail,
    record: &ContainerRecord,
) -> Step {
    let id = container.seen.id.clone();
    // One whose network was removed starts once there is one again.
    if let Some(step) = network(s, location) {
        return step;
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
pub(super) fn may_have_started(s: &Situation<'_>, location: &Location) -> bool {
    match location.certainty {
        Certainty::Known => false,
        Certainty::Unknown => !s.seen.pass.fresh && !rests(s),
        Certainty::StartLost | Certainty::GhostSuspected => true,
    }
}

/// Whether it was settled that the tenant is suspended, and nothing else was wanted since: whoever claimed it after
/// that had no reason to start anything, so a lost pass has not.
fn rests(s: &Situation<'_>) -> bool {
    s.tenant.desired.power == Power::Suspended
        && s.tenant.observed.converged == Some(s.tenant.revision)
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

/// An end this soon after a child was killed for memory is taken for its consequence.
const JUST_BEFORE: Duration = Duration::from_secs(10);

fn ended(code: i64, oom_killed: bool, child_oom_killed: bool) -> Step {
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
    if child_oom_killed {
        return Step::Fail(
            FailureReason::OutOfMemory,
            format!(
                "the instance ended with exit code {code} after a process of it was killed for memory; a larger plan helps"
            ),
        );
    }
    Step::Fail(
        FailureReason::Crashed,
        format!("the instance ended by itself with exit code {code}"),
    )
}
