//! Bugs of the plan: the wrong next step.

use std::time::Duration;

use openclaw_tenancy::backend::Signal;
use openclaw_tenancy::container::{ObjectRef, ObjectSpec, RunState};
use openclaw_tenancy::reconcile::Planner;
use openclaw_tenancy::reconcile::plan::{Situation, Step, plan};
use openclaw_tenancy::tenant::Power;

use super::Bug;

impl Bug {
    pub(crate) fn planner(self) -> Planner {
        match self {
            Self::EraseFirst => |s| match s.tenant.desired.power {
                Power::Deleted => Step::Erase,
                Power::Running | Power::Suspended => plan(s),
            },
            Self::RemoveAfterLostStart => |s| match (&s.seen.container, s.tenant.desired.power) {
                (Some(container), Power::Deleted) if container.state == RunState::Created => {
                    Step::Remove(ObjectRef::Container(container.seen.id.clone()))
                }
                (_, _) => plan(s),
            },
            Self::NeverDoubts => |s| match (plan(s), &s.seen.container) {
                (Step::Doubt, Some(container)) => Step::Start(container.seen.id.clone()),
                (step, _) => step,
            },
            Self::SuspendRemovesData => |s| {
                let mut tenant = s.tenant.clone();
                if tenant.desired.power == Power::Suspended {
                    tenant.desired.power = Power::Deleted;
                }
                plan(&Situation {
                    tenant: &tenant,
                    ..*s
                })
            },
            Self::LeaveEarly => |s| match plan(s) {
                Step::Remove(ObjectRef::Network(_)) => Step::Leave,
                step => step,
            },
            Self::LeaveNetworks => |s| match plan(s) {
                Step::Remove(ObjectRef::Network(_)) => match s.seen.volumes.first() {
                    Some(volume) => Step::Remove(ObjectRef::Volume(volume.clone())),
                    None => Step::Leave,
                },
                step => step,
            },
            Self::NeverKills => |s| match plan(s) {
                Step::Signal(_, Signal::Kill) => Step::Wait(Duration::from_secs(1)),
                step => step,
            },
            Self::NeverRestarts => |s| match (plan(s), &s.seen.container) {
                (Step::Start(_), Some(c)) if matches!(c.state, RunState::Exited { .. }) => {
                    Step::Converged
                }
                (step, _) => step,
            },
            Self::MadeWithThePlansLimits => |s| match plan(s) {
                Step::Make(ObjectSpec::Instance(mut spec)) => {
                    spec.limits = s.tenant.desired.limits;
                    Step::Make(ObjectSpec::Instance(spec))
                }
                step => step,
            },
            Self::FenceIsIgnored
            | Self::ClaimForgetsUnknown
            | Self::PlaceIgnoresCapacity
            | Self::AnswerBeforeDurable
            | Self::KeyIsIgnored
            | Self::GhostTakenForBroken
            | Self::ForeignIsRemoved
            | Self::HoldIsForgotten
            | Self::KeepsLateNetworks
            | Self::SharedSubnet
            | Self::ForeignIsSignalled
            | Self::ForeignMakesWay
            | Self::LeftoversAreNotTold
            | Self::NeverRenews
            | Self::NeverAdopts
            | Self::RouteIsCached
            | Self::LeaseNeverEnds
            | Self::SilenceIsAbsence
            | Self::AdoptsForeign
            | Self::QueueIsForgotten
            | Self::NeverTriedAgain
            | Self::ConvergesTheNewest => plan,
        }
    }
}
