//! Why a store call did not do what it should.

use crate::error::{Retry, Source};
use crate::host::Shortage;
use crate::id::{HostId, Revision, Slug, TenantId};

/// Why a store call did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database does not answer, or the answer was lost: the write may have happened.
    #[error("the database is unavailable: {what}")]
    Unavailable {
        /// What was tried.
        what: &'static str,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// There is no such row.
    #[error("there is no such {what}")]
    NotFound {
        /// The kind of row.
        what: &'static str,
    },
    /// The row exists with other content.
    #[error("this {what} exists already")]
    Conflict {
        /// The kind of row.
        what: &'static str,
    },
    /// The owner has a live tenant.
    #[error("the account has an instance already: {existing}")]
    AlreadyHasTenant {
        /// Which.
        existing: TenantId,
    },
    /// The slug is in use or kept back.
    #[error("the name `{slug}` is taken")]
    SlugTaken {
        /// The slug.
        slug: Slug,
    },
    /// The plan has no seat left.
    #[error("every seat of the plan is taken: {seats}")]
    NoSeat {
        /// How many there are.
        seats: u64,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    /// The change was decided on an older revision.
    #[error("the tenant has changed: revision {current} now")]
    StaleRevision {
        /// The revision now.
        current: Revision,
    },
    /// The tenant is to be deleted.
    #[error("the instance is being deleted")]
    Deleting,
    /// The claim has passed on to another worker: nothing was written.
    #[error("the claim has passed on")]
    Fenced,
    /// The host has no room.
    #[error("host {host} has no room: {shortage}")]
    NoRoom {
        /// The host.
        host: HostId,
        /// What lacks.
        shortage: Shortage,
    },
    /// Tenants have their place on the host.
    #[error("host {host} holds {tenants} instances")]
    HostInUse {
        /// The host.
        host: HostId,
        /// How many.
        tenants: u64,
    },
    /// The row cannot be read: another version wrote it, or it is damaged.
    #[error("a stored {what} cannot be read")]
    Corrupt {
        /// The kind of row.
        what: &'static str,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
}

impl StoreError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } | Self::NoRoom { .. } => Retry::Backoff,
            Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::AlreadyHasTenant { .. }
            | Self::SlugTaken { .. }
            | Self::NoSeat { .. }
            | Self::IdempotencyMismatch
            | Self::StaleRevision { .. }
            | Self::Deleting
            | Self::Fenced
            | Self::HostInUse { .. }
            | Self::Corrupt { .. } => Retry::Never,
        }
    }
}
