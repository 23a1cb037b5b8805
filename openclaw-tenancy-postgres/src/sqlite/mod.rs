//! SQLite.

mod access;
mod change;
mod create;
mod hosts;
mod log;
mod look;
mod open;
mod run;
mod settle;
mod take_over;
mod work;

use std::fmt;
use std::sync::Arc;

use openclaw_tenancy::clock::Clock;
use sqlx::{SqliteConnection, SqlitePool};

/// Both stores in one SQLite file. Cheap to clone.
///
/// One connection writes, several read (write-ahead log). A transaction is on the disk when it is answered
/// (`synchronous = FULL`). Leases run by the process's clock, so one process serves a file.
#[derive(Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("readers", &self.readers.size())
            .finish_non_exhaustive()
    }
}

/// A connection, with the time of its transaction.
#[derive(Debug)]
pub(crate) struct On<'c> {
    sql: &'c mut SqliteConnection,
    /// Milliseconds since 1970 by the store's clock.
    now: i64,
}

/// The columns of a [`TenantRow`](crate::rows::TenantRow), of the table `t`.
macro_rules! tenant_columns {
    () => {
        "t.id, t.slug, t.owner, t.settings, t.desired, t.revision, t.observed, t.created_at, \
         t.fence, t.claimed_revision, t.released"
    };
}
use tenant_columns;

/// The columns of a [`HostRow`](crate::rows::HostRow), of the table `h`.
macro_rules! host_columns {
    () => {
        "h.id, h.labels, h.cordoned, h.state, h.facts, h.marker, h.reserved_cpu, \
         h.reserved_memory, h.reserved_swap, h.reserved_instances, h.fence"
    };
}
use host_columns;
