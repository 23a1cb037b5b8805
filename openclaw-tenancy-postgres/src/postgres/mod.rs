//! PostgreSQL.

mod access;
mod change;
mod create;
mod hosts;
mod log;
mod look;
mod open;
mod outcome;
mod run;
mod settle;
mod take_over;
mod work;

use std::fmt;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

pub use open::PoolOptions;

/// Both stores on one PostgreSQL database, version 14 or newer. Cheap to clone.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    connect: PgConnectOptions,
    deadline: Duration,
}

impl fmt::Debug for PostgresStore {
    /// Without the address: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("connections", &self.pool.size())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// The columns of a [`TenantRow`](crate::rows::TenantRow), of the table `t`.
macro_rules! tenant_columns {
    () => {
        "t.id, t.slug, t.owner, t.settings, t.desired, t.revision, t.observed, t.created_at, \
         t.fence, t.claimed_revision, t.released"
    };
}
use tenant_columns;

/// The columns of a [`HostRow`](crate::rows::HostRow), of the table `h`. Named, so that a later release may
/// add columns beside statements that this one has prepared.
macro_rules! host_columns {
    () => {
        "h.id, h.labels, h.cordoned, h.state, h.facts, h.marker, h.reserved_cpu, \
         h.reserved_memory, h.reserved_swap, h.reserved_instances, h.fence"
    };
}
use host_columns;
