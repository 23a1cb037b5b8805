//! How a tenant looks from outside.

use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::id::{AccountId, HostId, TenantId};
use openclaw_tenancy::plan::{Limits, PlanCatalog, SandboxLimit};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenancy::TenantView;
use openclaw_tenancy::tenant::{FailureReason, HoldReason};
use serde::{Serialize, Serializer};

use super::ended_by::{self, Reader};

/// A tenant, for its owner.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TenantJson {
    pub(crate) id: TenantId,
    /// The host-name label.
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) plan: String,
    pub(crate) limits: LimitsJson,
    /// How the storage figure is enforced: not at all so far, and it says so.
    pub(crate) storage_quota: &'static str,
    pub(crate) phase: &'static str,
    pub(crate) status: StatusJson,
    pub(crate) created_at: Timestamp,
    /// When the instance was last started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<Timestamp>,
    /// When it was first found ready since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ready_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timezone: Option<String>,
}

/// What an instance may use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LimitsJson {
    /// Processors.
    #[serde(serialize_with = "cpus")]
    pub(crate) cpu: MilliCpus,
    pub(crate) memory_bytes: Bytes,
    pub(crate) swap_bytes: Bytes,
    pub(crate) storage_bytes: Bytes,
    pub(crate) pids: u32,
    #[serde(serialize_with = "sandboxes", skip_serializing_if = "Option::is_none")]
    pub(crate) sandboxes: Option<SandboxLimit>,
}

/// What a tenant is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StatusJson {
    pub(crate) name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Reason>,
    /// The call that ends a hold, for whoever may make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue_position: Option<u64>,
}

/// Why it failed or is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Reason {
    Failure(FailureReason),
    Hold(HoldReason),
}

/// A tenant, for an administrator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TenantForAdminJson {
    #[serde(flatten)]
    pub(crate) tenant: TenantJson,
    pub(crate) owner: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<HostId>,
    pub(crate) generation: u64,
    pub(crate) revision: u64,
}

impl TenantJson {
    /// The tenant as `reader` is to see it.
    pub(crate) fn new(view: TenantView, catalog: &PlanCatalog, reader: Reader) -> Self {
        let ended_by = ended_by::tenant(&view.tenant, reader);
        let TenantView {
            tenant,
            status,
            queue_position,
            url,
        } = view;
        let location = tenant.observed.location();
        let container = location.and_then(|location| location.container.as_ref());
        // What was granted where it stands, which has no more swap than the host.
        let limits = location.map_or(tenant.desired.limits, |location| location.granted);
        let plan = catalog.get(&tenant.desired.plan);
        let phase = status.phase.name();
        let (reason, attempts, retry_at) = match &status.phase {
            Phase::Failed {
                reason,
                attempts,
                retry_at,
            } => (
                Some(Reason::Failure(*reason)),
                Some(*attempts),
                Some(*retry_at),
            ),
            Phase::Held { reason } => (Some(Reason::Hold(*reason)), None, None),
            Phase::HostLost { .. } => (
                Some(Reason::Failure(FailureReason::HostUnreachable)),
                None,
                None,
            ),
            Phase::Queued
            | Phase::Provisioning
            | Phase::Starting
            | Phase::Running
            | Phase::Stopping
            | Phase::Suspended
            | Phase::Deleting => (None, None, None),
        };
        Self {
            id: tenant.id,
            name: tenant.slug.to_string(),
            url,
            plan: tenant.desired.plan.to_string(),
            limits: LimitsJson::new(&limits, plan.map(|plan| plan.sandboxes)),
            storage_quota: "none",
            phase,
            started_at: container.and_then(|container| container.started_at),
            ready_at: container.and_then(|container| container.ready_at),
            status: StatusJson {
                name: phase,
                message: status.message,
                deadline: status.deadline,
                reason,
                ended_by,
                attempts,
                retry_at,
                queue_position,
            },
            created_at: tenant.created_at,
            email: tenant.settings.email,
            timezone: tenant.settings.timezone,
        }
    }
}

impl TenantForAdminJson {
    pub(crate) fn new(view: TenantView, catalog: &PlanCatalog) -> Self {
        let tenant = &view.tenant;
        let host = tenant
            .observed
            .location()
            .map(|location| location.host.clone());
        Self {
            owner: tenant.owner,
            host,
            generation: tenant.observed.generation.0,
            revision: tenant.revision.0,
            tenant: TenantJson::new(view, catalog, Reader::administrator()),
        }
    }
}

impl LimitsJson {
    pub(crate) const fn new(limits: &Limits, sandboxes: Option<SandboxLimit>) -> Self {
        Self {
            cpu: limits.cpu,
            memory_bytes: limits.memory,
            swap_bytes: limits.swap,
            storage_bytes: limits.storage,
            pids: limits.pids,
            sandboxes,
        }
    }
}

/// Processors as people write them: thousandths are exact enough in a float.
#[expect(clippy::cast_precision_loss, reason = "figures far below 2^53")]
fn cpus<S: Serializer>(cpu: &MilliCpus, serializer: S) -> Result<S::Ok, S::Error> {
    if cpu.0.is_multiple_of(1000) {
        serializer.serialize_u64(cpu.0 / 1000)
    } else {
        serializer.serialize_f64(cpu.0 as f64 / 1000.0)
    }
}

#[expect(clippy::ref_option, reason = "serde gives a reference")]
fn sandboxes<S: Serializer>(
    limit: &Option<SandboxLimit>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match limit {
        Some(SandboxLimit::AtMost(most)) => serializer.serialize_u32(*most),
        Some(SandboxLimit::Unlimited) => serializer.serialize_str("unlimited"),
        None => serializer.serialize_none(),
    }
}
