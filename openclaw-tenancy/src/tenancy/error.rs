//! What a request to the facade can come to.

use crate::backend::BackendError;
use crate::error::Retry;
use crate::host::Shortage;
use crate::id::{HostId, InvalidId};
use crate::plan::PlanName;
use crate::quantity::Bytes;
use crate::quota::PlanRefused;
use crate::store::StoreError;

/// Why a request was not carried out. Nothing was written, except where [`StoreError::Unavailable`] leaves it open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TenancyError {
    /// The plan does not exist, or the account may not have it.
    #[error(transparent)]
    Plan(#[from] PlanRefused),
    /// No host could hold the plan, even if it were empty.
    #[error("plan `{plan}` fits no host: {}", shortages(hosts))]
    PlanDoesNotFit {
        /// The plan.
        plan: PlanName,
        /// Each host with what it lacks.
        hosts: Vec<(HostId, Shortage)>,
    },
    /// The plan is too small for the image on every host.
    #[error(
        "plan `{plan}` gives {available} of memory and swap together, the image needs {needed}; choose a larger plan, or add swap to the host"
    )]
    PlanBelowImageFloor {
        /// The plan.
        plan: PlanName,
        /// What the image needs of memory and swap together, in bytes.
        needed: Bytes,
        /// What the plan gives at most, with the swap that hosts have, in bytes.
        available: Bytes,
    },
    /// The name cannot be a host name.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// A setting is not valid.
    #[error("{field} `{value}` is not valid: {rule}")]
    Setting {
        /// The field.
        field: &'static str,
        /// The value, cut to 80 characters.
        value: String,
        /// What a valid one looks like.
        rule: &'static str,
    },
    /// The account has no instance.
    #[error("the account has no instance")]
    NoTenant,
    /// The backend has the host: it would be made known again.
    #[error("host {host} is configured")]
    HostConfigured {
        /// The host.
        host: HostId,
    },
    /// The backend did not say what was asked.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TenancyError {
    /// Whether the same request can succeed later.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Plan(_)
            | Self::PlanDoesNotFit { .. }
            | Self::PlanBelowImageFloor { .. }
            | Self::Name(_)
            | Self::Setting { .. }
            | Self::NoTenant
            | Self::HostConfigured { .. } => Retry::Never,
            Self::Backend(error) => error.retry(),
            Self::Store(error) => error.retry(),
        }
    }
}

fn shortages(hosts: &[(HostId, Shortage)]) -> String {
    let lines: Vec<String> = hosts
        .iter()
        .take(5)
        .map(|(host, lack)| format!("host {host}: {lack}"))
        .collect();
    lines.join("; ")
}
