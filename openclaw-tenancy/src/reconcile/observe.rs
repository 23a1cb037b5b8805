//! Looking: what an engine holds of a tenant, and what that says about what is written.

use crate::backend::{BackendError, ContainerBackend, Made, Scope};
use crate::container::{ContainerDetail, EngineId, ObjectSpec, RunState, SeenNetwork, VolumeRole};
use crate::id::{DeploymentId, Generation, TenantId};
use crate::labels::Role;
use crate::probe::Readiness;
use crate::tenant::{Certainty, ContainerRecord, Location, Power};

/// What is on a location's host of one tenant, and what this pass alone knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The container of the location's generation.
    pub container: Option<ContainerDetail>,
    /// Containers of other generations.
    pub others: Vec<ContainerDetail>,
    /// Whether the data volume exists.
    pub data: bool,
    /// Whether the config volume exists.
    pub config: bool,
    /// The networks: an engine accepts two of one name.
    pub networks: Vec<SeenNetwork>,
    /// Names of the volumes there, to remove them by.
    pub volumes: Vec<String>,
    /// What this pass alone knows.
    pub pass: PassMemory,
}

/// What a pass has learnt by doing. It is lost with the pass, and nothing is wrong without it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PassMemory {
    /// The image is on the host.
    pub prepared: bool,
    /// This generation's container was made by this pass, so it was never started.
    pub fresh: bool,
    /// This generation's container was seeded, or found seeded.
    pub seeded: bool,
    /// What the instance said when it was last asked in this pass.
    pub readiness: Option<Readiness>,
}

impl Seen {
    /// Adds what a call has just made or found: the same as looking again would show.
    ///
    /// Not a container: what an engine made of its limits is seen only by looking.
    pub(super) fn add(&mut self, spec: &ObjectSpec, made: &Made, deployment: &DeploymentId) {
        let name = spec.name(deployment);
        match spec {
            ObjectSpec::Network(network) => self.networks.push(SeenNetwork {
                id: made.id.clone(),
                name,
                labels: spec.labels(),
                subnet: Some(network.subnet),
            }),
            ObjectSpec::Volume(volume) => {
                match volume.role {
                    VolumeRole::Data => self.data = true,
                    VolumeRole::Config => self.config = true,
                }
                self.volumes.push(name);
            }
            ObjectSpec::Instance(_) | ObjectSpec::HostMarker { .. } => {}
        }
    }
}

/// Looks at everything of `tenant` at `location`; of an instance that is on its way to be ready, only at it.
///
/// # Errors
/// What the engine answers.
pub async fn look(
    backend: &dyn ContainerBackend,
    tenant: TenantId,
    location: &Location,
    pass: PassMemory,
) -> Result<Seen, BackendError> {
    if let Some(starting) = starting(location)
        && let Some(container) = backend.inspect(&location.host, starting).await?
        && matches!(container.state, RunState::Running { .. })
    {
        // Everything else was looked at before it was started, and is again once it is ready or ends.
        return Ok(Seen {
            container: Some(container),
            pass,
            ..Seen::default()
        });
    }
    let found = backend.list(&location.host, Scope::Tenant(tenant)).await?;
    let mut seen = Seen {
        networks: found.networks,
        pass,
        ..Seen::default()
    };
    for volume in found.volumes {
        match volume.labels.role {
            Role::Data => seen.data = true,
            Role::Config => seen.config = true,
            Role::Instance | Role::Network | Role::HostMarker | Role::Probe => {}
        }
        seen.volumes.push(volume.name);
    }
    for container in found.containers {
        if container.labels.role != Role::Instance {
            continue;
        }
        // One that went between the two calls is absent, as it would be had we asked later.
        if let Some(detail) = backend.inspect(&location.host, &container.id).await? {
            if detail.seen.labels.generation == location.generation {
                seen.container = Some(detail);
            } else {
                seen.others.push(detail);
            }
        }
    }
    Ok(seen)
}

/// The container that was started here, is not ready yet and is not to end.
fn starting(location: &Location) -> Option<&EngineId> {
    let record = location.container.as_ref()?;
    let starts = location.certainty == Certainty::Known
        && record.started_at.is_some()
        && record.ready_at.is_none()
        && record.stop_asked_at.is_none();
    starts.then_some(&record.id)
}

/// Brings what is written about a location up to what was seen.
///
/// `highest` is the highest generation ever used; a container that is gone raises it.
pub fn absorb(location: &mut Location, highest: &mut Generation, power: Power, seen: &Seen) {
    let lost = location.certainty == Certainty::StartLost;
    match (&seen.container, &mut location.container) {
        (found, Some(record)) if lost && found.as_ref().is_none_or(|c| c.seen.id != record.id) => {
            // Removed by a late call before starting again could tell: its process would be in no list.
            location.certainty = Certainty::GhostSuspected;
            return;
        }
        (Some(detail), Some(record)) if record.id == detail.seen.id => {
            update(record, detail, power);
        }
        (Some(detail), record) => {
            // Found by its derived name after a lost answer, or made anew behind our back.
            let mut found = ContainerRecord::new(detail.seen.id.clone());
            update(&mut found, detail, power);
            *record = Some(found);
        }
        (None, record @ Some(_)) => {
            *record = None;
            *highest = (*highest).max(location.generation).next();
            location.generation = *highest;
        }
        (None, None) => {}
    }
    let certain = match seen.container.as_ref().map(|container| &container.state) {
        // A start whose answer was lost leaves either word behind, with a process or without.
        Some(RunState::Created | RunState::Exited { .. } | RunState::Other(_)) => false,
        Some(RunState::Running { .. } | RunState::Paused) => true,
        // One of the next generation may be there already, made by a pass that never settled.
        None => seen.others.is_empty(),
    };
    if certain
        && matches!(
            location.certainty,
            Certainty::Unknown | Certainty::StartLost
        )
    {
        location.certainty = Certainty::Known;
    }
    if matches!(
        seen.container.as_ref().map(|c| &c.state),
        Some(RunState::Running { .. } | RunState::Exited { .. })
    ) {
        location.has_data = true;
    }
}

fn update(record: &mut ContainerRecord, detail: &ContainerDetail, power: Power) {
    match &detail.state {
        RunState::Running { started_at } => {
            // A start whose answer was lost: the engine's time stands for ours.
            record.started_at.get_or_insert(*started_at);
        }
        RunState::Exited { .. } if record.stop_asked_at.is_some() || power != Power::Running => {
            // It ended as it was asked to: the next start is no retry.
            record.started_at = None;
            record.ready_at = None;
            record.stop_asked_at = None;
            record.oom_at = None;
        }
        RunState::Created | RunState::Paused | RunState::Exited { .. } | RunState::Other(_) => {
            record.ready_at = None;
            record.oom_at = None;
        }
    }
}
