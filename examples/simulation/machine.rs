//! The declared machine (I12), and that each phase explains itself (I3).

use openclaw_tenancy::id::{Generation, Revision, TenantId};
use openclaw_tenancy::status::{Phase, Status, status};
use openclaw_tenancy::store::{TenantStore as _, rules};
use openclaw_tenancy::tenant::{HoldReason, Power, Tenant};

use crate::scene::Scene;
use crate::world::now;

/// What moves in one direction only, as it stood after the step before.
#[derive(Debug, Clone)]
pub(crate) struct Stood {
    power: Power,
    revision: Revision,
    generation: Generation,
    restart_epoch: u64,
    converged: Option<Revision>,
    hold: Option<HoldReason>,
    phase: Phase,
}

impl Stood {
    fn of(row: &Tenant, status: Status) -> Self {
        Self {
            power: row.desired.power,
            revision: row.revision,
            generation: row.observed.generation,
            restart_epoch: row.desired.restart_epoch,
            converged: row.observed.converged,
            hold: row.observed.hold.as_ref().map(|hold| hold.reason),
            phase: status.phase,
        }
    }
}

/// Checks a row after a step, and gives what to compare the next with.
pub(crate) fn moved(scene: &Scene, before: Option<&Stood>, row: &Tenant) -> Result<Stood, String> {
    let status = status(row, scene.tenancy.deadlines());
    explained(&status)?;
    let after = Stood::of(row, status);
    if let Some(before) = before
        && let Some(why) = forbidden(before, &after)
    {
        return Err(format!("I12: {why}: {before:?}, then {after:?}"));
    }
    Ok(after)
}

/// I3: what lasts needs no deadline; everything else has one, and what went wrong has its reason.
fn explained(status: &Status) -> Result<(), String> {
    let (deadline, reason) = match status.phase {
        Phase::Running | Phase::Suspended | Phase::Queued => (false, false),
        Phase::Provisioning | Phase::Starting | Phase::Stopping | Phase::Deleting => (true, false),
        Phase::Failed { .. } | Phase::HostLost { .. } => (true, true),
        Phase::Held { .. } => (false, true),
    };
    if deadline && status.deadline.is_none() {
        return Err(format!("I3: no deadline: {status:?}"));
    }
    if reason && status.message.as_ref().is_none_or(String::is_empty) {
        return Err(format!("I3: no reason: {status:?}"));
    }
    Ok(())
}

/// I3: who waits for a host has a position in the queue.
pub(crate) fn queued(scene: &Scene, waiting: &[TenantId]) -> Result<(), String> {
    for id in waiting {
        if now(scene.store.queue_position(*id)).unwrap().is_none() {
            return Err(format!("I3: {id} waits and has no position"));
        }
    }
    Ok(())
}

/// Those of `rows` that wait for a host.
pub(crate) fn waiting(rows: &[&Tenant]) -> Vec<TenantId> {
    let waiting = rows.iter().filter(|row| rules::waits(row));
    waiting.map(|row| row.id).collect()
}

/// Why no step may lead from one to the other, if none may.
fn forbidden(before: &Stood, after: &Stood) -> Option<&'static str> {
    if after.revision < before.revision {
        return Some("a revision fell");
    }
    if after.generation < before.generation {
        return Some("a generation fell");
    }
    if after.restart_epoch < before.restart_epoch {
        return Some("a restart was taken back");
    }
    if after.converged < before.converged || after.converged > Some(after.revision) {
        return Some("what was made so is not what was asked for");
    }
    if before.power == Power::Deleted && after.power != Power::Deleted {
        return Some("a deletion was taken back");
    }
    let same_wish = before.revision == after.revision;
    if same_wish && (before.power, before.restart_epoch) != (after.power, after.restart_epoch) {
        return Some("a wish changed without a revision");
    }
    // Nobody releases holds in these stories, and an owner's change ends those of the configuration alone.
    let ended = before.hold.is_some() && after.hold.is_none();
    if ended && (same_wish || before.hold != Some(HoldReason::Configuration)) {
        return Some("a hold ended by itself");
    }
    // What is wanted and was reached stays, or goes wrong with a reason; it does not begin anew by itself.
    let lasts = before.phase == Phase::Suspended;
    let stays = matches!(
        after.phase,
        Phase::Suspended | Phase::Held { .. } | Phase::Failed { .. } | Phase::HostLost { .. }
    );
    if same_wish && lasts && !stays {
        return Some("a suspended instance moved by itself");
    }
    None
}
