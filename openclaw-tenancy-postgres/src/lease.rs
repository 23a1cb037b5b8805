//! Connections on loan from a pool.

use std::ops::{Deref, DerefMut};

use sqlx::Database;
use sqlx::pool::PoolConnection;

/// A connection that is closed, not given back, unless the call on it ended.
///
/// A call that is dropped, by its deadline or by its caller, leaves its connection in the middle of something,
/// and perhaps behind a network that swallows everything; the pool would wait for it. A call that failed may
/// leave one that no longer knows whether it is in a transaction (SQLite ends one by itself when the disk is
/// full). Closing it makes the database give up the transaction, and costs the next call a new connection.
pub(crate) struct Lease<DB: Database>(Option<PoolConnection<DB>>);

impl<DB: Database> Lease<DB> {
    pub(crate) const fn new(connection: PoolConnection<DB>) -> Self {
        Self(Some(connection))
    }

    /// The call has ended: the next one may have the connection.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl<DB: Database> Drop for Lease<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

impl<DB: Database> Deref for Lease<DB> {
    type Target = DB::Connection;

    #[expect(clippy::expect_used, reason = "only what ends the lease takes it")]
    fn deref(&self) -> &DB::Connection {
        self.0.as_ref().expect("the lease lasts")
    }
}

impl<DB: Database> DerefMut for Lease<DB> {
    #[expect(clippy::expect_used, reason = "only what ends the lease takes it")]
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.0.as_mut().expect("the lease lasts")
    }
}
