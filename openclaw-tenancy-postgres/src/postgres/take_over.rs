//! What a worker that is gone has left claimed.

use std::time::Duration;

use openclaw_tenancy::id::WorkerId;
use openclaw_tenancy::store::StoreError;
use sqlx::PgConnection;

use super::PostgresStore;
use crate::error::Failure;
use crate::ops::{Kind, Op, Run};
use crate::rows::millis;

impl PostgresStore {
    /// Makes every claim of `worker` end within `wait`, by the database's clock: nothing is gained by waiting for the
    /// lease of one that is gone.
    ///
    /// Only for a worker that is known to be gone, its process and not its connection alone: one that lives may have
    /// calls of engines under way until its lease ends. `wait` is for what it had asked of engines and what may land
    /// yet. The reference server calls this for the server before it on the same machine. A claim that ends is one that
    /// ran out: its row is found as one whose holder never settled.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Again is success.
    pub async fn take_over(&self, worker: WorkerId, wait: Duration) -> Result<(), StoreError> {
        self.run(&TakeOver { worker, wait }).await
    }
}

#[derive(Debug)]
struct TakeOver {
    worker: WorkerId,
    wait: Duration,
}

impl Op for TakeOver {
    type Answer = ();
    const WHAT: &'static str = "taking over claims";
    const KIND: Kind = Kind::Write;
}

impl Run<PgConnection> for TakeOver {
    async fn run(&self, on: &mut PgConnection) -> Result<(), Failure> {
        for shorten in [
            "UPDATE tenants SET lease_until = least(lease_until, tenancy_now() + $2), \
                 due_at = least(due_at, tenancy_now() + $2) WHERE worker = $1",
            "UPDATE hosts SET lease_until = least(lease_until, tenancy_now() + $2), \
                 due_at = least(due_at, tenancy_now() + $2) WHERE worker = $1",
        ] {
            sqlx::query(shorten)
                .bind(self.worker.as_str())
                .bind(millis(self.wait))
                .execute(&mut *on)
                .await?;
        }
        Ok(())
    }
}
