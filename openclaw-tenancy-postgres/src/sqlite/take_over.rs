//! What a process that is gone has left claimed.

use std::time::Duration;

use openclaw_tenancy::store::StoreError;

use super::{On, SqliteStore};
use crate::error::Failure;
use crate::ops::{Kind, Op, Run};
use crate::rows::millis;

impl SqliteStore {
    /// Makes every claim end within `wait`, by this store's clock: whoever holds one is gone, so nothing is gained by
    /// waiting for its lease, which a clock that has been set right since may even have made hours long.
    ///
    /// `wait` is for what the process had asked of engines and what may land yet. Only for the one process that uses
    /// the file, before it claims anything: the reference server calls this once it has the file's lock. A claim that
    /// ends is one that ran out: its row is found as one whose holder never settled.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Again is success.
    pub async fn take_over(&self, wait: Duration) -> Result<(), StoreError> {
        self.run(&TakeOver { wait }).await
    }
}

#[derive(Debug)]
struct TakeOver {
    wait: Duration,
}

impl Op for TakeOver {
    type Answer = ();
    const WHAT: &'static str = "taking over claims";
    const KIND: Kind = Kind::Write;
}

impl Run<On<'_>> for TakeOver {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        let end = on.now.saturating_add(millis(self.wait));
        for shorten in [
            "UPDATE tenants SET lease_until = min(lease_until, ?1), due_at = min(due_at, ?1) \
             WHERE worker IS NOT NULL",
            "UPDATE hosts SET lease_until = min(lease_until, ?1), due_at = min(due_at, ?1) \
             WHERE worker IS NOT NULL",
        ] {
            sqlx::query(shorten).bind(end).execute(&mut *on.sql).await?;
        }
        Ok(())
    }
}
