//! The kinds of problems: what a client would do differently.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use openclaw_tenancy::host::Shortage;
use openclaw_tenancy::quantity::Bytes;

use super::fault::FieldFault;
use super::sign_in;
use crate::access::csrf::CrossSite;
use crate::access::host::HostName;
use crate::json::JsonFault as BodyFault;

/// How long a client waits when the database or a provider does not answer.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

/// The place of what is wrong with a body as a whole.
const BODY: &str = "body";

/// A kind of problem with what it says of this case.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// The request's first lines are not HTTP as it must be.
    InvalidHead(HeadFault),
    /// The body is not one strict JSON object.
    InvalidBody(BodyFault),
    /// The body is of another media type, or encoded.
    UnsupportedMediaType {
        /// Which, as it may be shown.
        found: Option<String>,
    },
    /// The body is larger than is read.
    BodyTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// Fields of the body are wrong; at least one.
    InvalidFields(Vec<FieldFault>),
    /// A query parameter, a header or a part of the path is wrong.
    InvalidParameter {
        /// Which.
        name: &'static str,
        /// Its value, as it may be shown.
        value: Option<String>,
        /// What a valid one looks like.
        rule: &'static str,
    },
    /// No credential, or a session that has ended.
    Unauthenticated,
    /// A bearer token that is not taken.
    BearerRefused {
        /// Which check failed.
        reason: &'static str,
    },
    /// The name or the password is wrong.
    PasswordRefused {
        /// In the provider's words.
        reason: &'static str,
    },
    /// A sign-in at a provider did not come to a good end.
    SignInRefused {
        /// In the provider's words.
        reason: &'static str,
    },
    /// The first administrator's link does not work (any more).
    ClaimRefused,
    /// For administrators.
    AdministratorsOnly,
    /// A write by cookie that is not surely our own pages'.
    CrossSite(CrossSite),
    /// The request names a host that is not ours.
    ForeignHost {
        /// Which.
        host: HostName,
    },
    /// There is no such thing.
    NotFound(Missing),
    /// The path has no such method.
    MethodNotAllowed,
    /// The account has an instance.
    AlreadyHasInstance {
        /// Which.
        existing: String,
    },
    /// The name is in use or kept back.
    NameTaken {
        /// Which.
        name: String,
    },
    /// Every seat of the plan is taken.
    SeatsTaken {
        /// How many there are.
        seats: u64,
    },
    /// The instance is being deleted.
    Deleting,
    /// Instances have their place on the host.
    HostInUse {
        /// Which.
        host: String,
        /// How many.
        instances: u64,
    },
    /// The host is in this server's configuration.
    HostConfigured {
        /// Which.
        host: String,
    },
    /// Somebody else has changed it meanwhile.
    Changed,
    /// The idempotency key was used for another request.
    IdempotencyMismatch,
    /// There is no such plan.
    PlanUnknown {
        /// What was asked for.
        plan: String,
        /// The names, joined.
        known: String,
    },
    /// The plan is above the entitlement.
    PlanNotEntitled {
        /// What was asked for.
        plan: String,
        /// The names, joined.
        allowed: String,
    },
    /// No host can ever take the plan.
    PlanDoesNotFit {
        /// Which.
        plan: String,
        /// Why not, host by host. Hosts are not named to tenants.
        shortages: Vec<Shortage>,
    },
    /// The image needs more than the plan gives.
    PlanBelowImageFloor {
        /// Which.
        plan: String,
        /// Of memory and swap together.
        needed: Bytes,
        /// Of memory and swap together.
        available: Bytes,
    },
    /// Too often.
    TooManyRequests {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The identity provider does not help now.
    ProviderUnavailable,
    /// The identity provider refuses us, whoever signs in: an operator has to change a setting.
    ProviderMisconfigured,
    /// The database does not answer: a write may have happened.
    StoreUnavailable,
    /// It took too long: a write may have happened.
    TimedOut,
    /// A fault of ours.
    Internal,
}

/// What is wrong with a request's head. A listener that finds it puts it among the extensions of a request that
/// stands for the refused one, so that it is answered like any other problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    /// It can be read as more than one message, or as none.
    Malformed {
        /// Why, in a few stable words.
        what: &'static str,
    },
    /// It has more bytes or headers than are read.
    TooLarge,
    /// It did not arrive in time.
    Late,
}

/// Cookies to end with the answer to a head that was too large, each a whole `Set-Cookie`. A listener puts it beside
/// the [`HeadFault`].
#[derive(Debug, Clone)]
pub struct EndCookies(pub Vec<HeaderValue>);

/// What there is none of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A page or path.
    Path,
    /// An instance of the caller's.
    OwnInstance,
    /// An instance of this id or host name that the caller may know of.
    Instance,
    /// A host.
    Host,
    /// A provider.
    Provider,
}

impl Kind {
    /// The stable name.
    #[must_use]
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::InvalidHead(HeadFault::Malformed { .. }) => "malformed-request",
            Self::InvalidHead(HeadFault::TooLarge) => "head-too-large",
            Self::InvalidHead(HeadFault::Late) => "head-timeout",
            Self::InvalidBody(_) => "invalid-body",
            Self::UnsupportedMediaType { .. } => "unsupported-media-type",
            Self::BodyTooLarge { .. } => "body-too-large",
            Self::InvalidFields(_) => "invalid-fields",
            Self::InvalidParameter { .. } => "invalid-parameter",
            Self::Unauthenticated => "unauthenticated",
            Self::BearerRefused { .. } => "bearer-refused",
            Self::PasswordRefused { .. } => "password-refused",
            Self::SignInRefused { .. } => "sign-in-refused",
            Self::ClaimRefused => "claim-refused",
            Self::AdministratorsOnly => "administrators-only",
            Self::CrossSite(_) => "cross-site-request",
            Self::ForeignHost { .. } => "foreign-host",
            Self::NotFound(_) => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::AlreadyHasInstance { .. } => "already-has-instance",
            Self::NameTaken { .. } => "name-taken",
            Self::SeatsTaken { .. } => "plan-seats-taken",
            Self::Deleting => "being-deleted",
            Self::HostInUse { .. } => "host-in-use",
            Self::HostConfigured { .. } => "host-configured",
            Self::Changed => "changed-meanwhile",
            Self::IdempotencyMismatch => "idempotency-mismatch",
            Self::PlanUnknown { .. } => "plan-unknown",
            Self::PlanNotEntitled { .. } => "plan-not-entitled",
            Self::PlanDoesNotFit { .. } => "plan-does-not-fit",
            Self::PlanBelowImageFloor { .. } => "plan-below-image-floor",
            Self::TooManyRequests { .. } => "too-many-requests",
            Self::ProviderUnavailable => "provider-unavailable",
            Self::ProviderMisconfigured => "provider-misconfigured",
            Self::StoreUnavailable => "store-unavailable",
            Self::TimedOut => "timed-out",
            Self::Internal => "internal",
        }
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::InvalidHead(HeadFault::Malformed { .. })
            | Self::InvalidBody(_)
            | Self::InvalidParameter { .. }
            | Self::SignInRefused { .. }
            | Self::ClaimRefused => StatusCode::BAD_REQUEST,
            Self::InvalidHead(HeadFault::TooLarge) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::InvalidHead(HeadFault::Late) => StatusCode::REQUEST_TIMEOUT,
            Self::Unauthenticated | Self::BearerRefused { .. } | Self::PasswordRefused { .. } => {
                StatusCode::UNAUTHORIZED
            }
            Self::AdministratorsOnly | Self::CrossSite(_) | Self::PlanNotEntitled { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::ForeignHost { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::AlreadyHasInstance { .. }
            | Self::NameTaken { .. }
            | Self::SeatsTaken { .. }
            | Self::Deleting
            | Self::HostInUse { .. }
            | Self::HostConfigured { .. }
            | Self::Changed => StatusCode::CONFLICT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidFields(_)
            | Self::IdempotencyMismatch
            | Self::PlanUnknown { .. }
            | Self::PlanDoesNotFit { .. }
            | Self::PlanBelowImageFloor { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            // No Retry-After: waiting does not help.
            Self::ProviderMisconfigured => StatusCode::BAD_GATEWAY,
            Self::ProviderUnavailable | Self::StoreUnavailable | Self::TimedOut => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) const fn retry_after(&self) -> Option<Duration> {
        if let Self::TooManyRequests { retry_after } = self {
            return Some(*retry_after);
        }
        match self.status() {
            StatusCode::SERVICE_UNAVAILABLE => Some(UNAVAILABLE_RETRY),
            _ => None,
        }
    }

    /// Which field, parameter or header, and its value as it may be shown.
    pub(super) fn place(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::InvalidFields(faults) => match faults.first() {
                Some(first) => (Some(&first.field), first.value.as_deref()),
                None => (None, None),
            },
            Self::InvalidParameter { name, value, .. } => (Some(name), value.as_deref()),
            Self::InvalidBody(BodyFault::DuplicateKey { key }) => (Some(key), None),
            Self::InvalidBody(BodyFault::Syntax(at)) => {
                (Some(at.after.as_deref().unwrap_or(BODY)), None)
            }
            Self::InvalidBody(_) | Self::BodyTooLarge { .. } => (Some(BODY), None),
            Self::SignInRefused { reason } => (Some(sign_in::place(reason)), None),
            Self::UnsupportedMediaType { found } => (Some("Content-Type"), found.as_deref()),
            Self::BearerRefused { .. } => (Some("Authorization"), None),
            Self::ForeignHost { .. } => (Some("Host"), None),
            Self::PasswordRefused { .. } => (Some("password"), None),
            Self::ClaimRefused => (Some("code"), None),
            Self::CrossSite(fault) => match fault {
                CrossSite::NoOrigin | CrossSite::ForeignOrigin => (Some("Origin"), None),
                CrossSite::FetchSite => (Some("Sec-Fetch-Site"), None),
                CrossSite::Token => (Some("X-CSRF-Token"), None),
            },
            Self::AlreadyHasInstance { existing } => (None, Some(existing)),
            Self::NameTaken { name } => (Some("name"), Some(name)),
            Self::IdempotencyMismatch => (Some("Idempotency-Key"), None),
            Self::PlanUnknown { plan, .. }
            | Self::PlanNotEntitled { plan, .. }
            | Self::PlanDoesNotFit { plan, .. }
            | Self::PlanBelowImageFloor { plan, .. } => (Some("plan"), Some(plan)),
            Self::SeatsTaken { .. } => (Some("plan"), None),
            Self::HostInUse { host, .. } | Self::HostConfigured { host } => {
                (Some("id"), Some(host))
            }
            Self::InvalidHead(_)
            | Self::Unauthenticated
            | Self::AdministratorsOnly
            | Self::NotFound(_)
            | Self::MethodNotAllowed
            | Self::Deleting
            | Self::Changed
            | Self::TooManyRequests { .. }
            | Self::ProviderUnavailable
            | Self::ProviderMisconfigured
            | Self::StoreUnavailable
            | Self::TimedOut
            | Self::Internal => (None, None),
        }
    }

    /// Every fault, where there are several: a single one stands in the problem itself.
    pub(super) fn faults(&self) -> &[FieldFault] {
        if let Self::InvalidFields(faults) = self
            && faults.len() > 1
        {
            return faults;
        }
        &[]
    }
}
