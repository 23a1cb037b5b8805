//! From the errors of the core and of access to problems: the last step, and the only place for it.

use openclaw_tenancy::identity::IdentityError;
use openclaw_tenancy::quota::PlanRefused;
use openclaw_tenancy::store::StoreError;
use openclaw_tenancy::tenancy::TenancyError;

use super::fault::{Fault, FieldFault};
use super::kind::{Kind, Missing};
use super::{Problem, echo};
use crate::access::caller::AuthError;
use crate::access::csrf::CrossSite;
use crate::access::token::IssueError;

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

impl From<CrossSite> for Problem {
    fn from(fault: CrossSite) -> Self {
        Self::new(Kind::CrossSite(fault))
    }
}

impl From<FieldFault> for Problem {
    fn from(fault: FieldFault) -> Self {
        Self::new(Kind::InvalidFields(vec![fault]))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Unavailable { .. } => Kind::StoreUnavailable,
            // What the API looks up and finds missing it says itself; here a tenant went away meanwhile.
            StoreError::NotFound { what } if *what == "host" => Kind::NotFound(Missing::Host),
            StoreError::NotFound { .. } => Kind::NotFound(Missing::Instance),
            StoreError::AlreadyHasTenant { existing } => Kind::AlreadyHasInstance {
                existing: existing.to_string(),
            },
            StoreError::SlugTaken { slug } => Kind::NameTaken {
                name: slug.to_string(),
            },
            StoreError::NoSeat { seats } => Kind::SeatsTaken { seats: *seats },
            StoreError::IdempotencyMismatch => Kind::IdempotencyMismatch,
            StoreError::StaleRevision { .. } | StoreError::Conflict { .. } => Kind::Changed,
            StoreError::Deleting => Kind::Deleting,
            StoreError::HostInUse { host, tenants } => Kind::HostInUse {
                host: host.to_string(),
                instances: *tenants,
            },
            // Fencing and room are the reconciler's; a damaged row and what is yet unknown are faults of ours.
            _ => Kind::Internal,
        };
        Self::new(kind).caused_by(error)
    }
}

impl From<TenancyError> for Problem {
    fn from(error: TenancyError) -> Self {
        match error {
            TenancyError::Plan(PlanRefused::Unknown { plan, known }) => {
                let plan = echo(&plan);
                Kind::PlanUnknown { plan, known }.into()
            }
            TenancyError::Plan(PlanRefused::NotEntitled { plan, allowed }) => {
                let plan = plan.to_string();
                Kind::PlanNotEntitled { plan, allowed }.into()
            }
            TenancyError::PlanDoesNotFit { plan, hosts } => Kind::PlanDoesNotFit {
                plan: plan.to_string(),
                shortages: hosts.into_iter().map(|(_, shortage)| shortage).collect(),
            }
            .into(),
            TenancyError::PlanBelowImageFloor {
                plan,
                needed,
                available,
            } => Kind::PlanBelowImageFloor {
                plan: plan.to_string(),
                needed,
                available,
            }
            .into(),
            TenancyError::Name(error) => {
                let rule = Fault::Rule { rule: error.rule };
                FieldFault::new("name", Some(&error.value), rule).into()
            }
            TenancyError::Setting { field, value, rule } => {
                FieldFault::new(field, Some(&value), Fault::Rule { rule }).into()
            }
            TenancyError::NoTenant => Kind::NotFound(Missing::OwnInstance).into(),
            TenancyError::HostConfigured { host } => Kind::HostConfigured {
                host: host.to_string(),
            }
            .into(),
            TenancyError::Store(error) => error.into(),
            error => Self::new(Kind::Internal).caused_by(error),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Scheme => Kind::BearerRefused {
                reason: "the Authorization header is not one bearer token",
            }
            .into(),
            AuthError::Refused { reason } => Kind::BearerRefused { reason }.into(),
            AuthError::Provider(error) => {
                Self::of_provider(error, |reason| Kind::BearerRefused { reason })
            }
            AuthError::Store(error) => error.into(),
        }
    }
}

impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Store(error) => error.into(),
            error @ IssueError::Sign(_) => Self::new(Kind::Internal).caused_by(error),
        }
    }
}

impl Problem {
    /// What an identity provider's error is; `refused` says what a refusal means here.
    pub(crate) fn of_provider(
        error: IdentityError,
        refused: impl FnOnce(&'static str) -> Kind,
    ) -> Self {
        match error {
            IdentityError::Refused { reason } => refused(reason).into(),
            IdentityError::Busy { retry_after } => Kind::TooManyRequests { retry_after }.into(),
            IdentityError::Unsupported { .. } => {
                refused("the provider does not offer this way to sign in").into()
            }
            error @ IdentityError::Misconfigured { .. } => {
                Self::new(Kind::ProviderMisconfigured).caused_by(error)
            }
            error @ IdentityError::Unavailable { .. } => {
                Self::new(Kind::ProviderUnavailable).caused_by(error)
            }
            error => Self::new(Kind::Internal).caused_by(error),
        }
    }
}
