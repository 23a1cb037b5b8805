//! What became of a write whose commit was not answered (F16).
//!
//! A transaction that writes leaves a row under an id of ours, in the message that commits it. Whoever asks puts the
//! same id there as one of which nothing came. The primary key lets one of the two in, and the second waits for how the
//! first ends: so the answer is for good, also where the server still works on the commit or has it only before it, and
//! the row is as durable as what it stands for. (A transaction's own id is not: after a crash the server may give it to
//! another one.)
//!
//! SQLite needs none of this: its commit is a call within the process, and no network is there to lose the answer.

use std::time::Duration;

use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};

use super::PostgresStore;
use super::run::RECONNECT;
use crate::error::postgres::{is_conflict, is_lost};
use crate::lease::Lease;
use crate::rows::millis;

/// How long it is kept what became of a write: much longer than a transaction can stay open, whose statements and whose
/// idleness are limited (`open.rs`).
const KEPT: Duration = Duration::from_secs(60 * 60);

/// For how long after its beginning a write may be asked about: after [`KEPT`] its row may have gone though it was
/// done. Less than that by more than a question waits, since rows go meanwhile.
const ASKED: Duration = Duration::from_secs(30 * 60);

/// At most so many rows go at once.
const FORGOTTEN: i64 = 1_000;

/// One attempt at a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    id: Uuid,
    /// By the database's clock, in milliseconds since 1970.
    begun_at: i64,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Committed,
    /// Nothing, and nothing can come of it any more.
    Nothing,
    /// Nobody can say.
    Unknown,
}

impl Operation {
    /// Begins a transaction.
    pub(super) async fn begin(on: &mut PgConnection) -> Result<Self, sqlx::Error> {
        // Whatever default the operator set: the locks here are made for this level.
        let begun = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT gen_random_uuid(), tenancy_now()";
        let row = on.fetch_one(begun).await?;
        Ok(Self {
            id: row.try_get(0)?,
            begun_at: row.try_get(1)?,
        })
    }

    /// Commits it, and with it that it was committed: in one message, so that the locks are held no longer.
    ///
    /// One that has written nothing, such as a claim of nothing, leaves nothing: it may as well be made again.
    pub(super) async fn commit(&self, on: &mut PgConnection) -> Result<(), sqlx::Error> {
        let Self { id, .. } = self;
        let commit = format!(
            "INSERT INTO outcomes (id, committed, at) SELECT '{id}'::uuid, TRUE, tenancy_now() \
             WHERE pg_current_xact_id_if_assigned() IS NOT NULL; \
             COMMIT"
        );
        on.execute(AssertSqlSafe(commit)).await?;
        Ok(())
    }

    /// Settles what became of it, if it is not too late for that.
    async fn outcome(&self, on: &mut PgConnection) -> Result<Outcome, sqlx::Error> {
        let Self { id, begun_at } = self;
        let until = begun_at.saturating_add(millis(ASKED));
        let question = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; \
             INSERT INTO outcomes (id, committed, at) SELECT '{id}'::uuid, FALSE, tenancy_now() \
             WHERE tenancy_now() < {until} ON CONFLICT (id) DO NOTHING; \
             COMMIT; \
             SELECT committed FROM outcomes WHERE id = '{id}'::uuid"
        );
        let row = on.fetch_optional(AssertSqlSafe(question)).await?;
        Ok(match row.map(|row| row.try_get(0)).transpose()? {
            Some(true) => Outcome::Committed,
            Some(false) => Outcome::Nothing,
            None => Outcome::Unknown,
        })
    }
}

impl PostgresStore {
    /// What became of an attempt whose commit was not answered: asks until the database says, or the deadline ends the
    /// call.
    pub(super) async fn outcome(&self, operation: &Operation) -> Outcome {
        loop {
            match self.ask(operation).await {
                Ok(outcome) => return outcome,
                Err(error) if is_lost(&error) || is_conflict(&error) => {}
                Err(_) => return Outcome::Unknown,
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    async fn ask(&self, operation: &Operation) -> Result<Outcome, sqlx::Error> {
        let mut lease = Lease::new(self.pool.acquire().await?);
        let outcome = operation.outcome(&mut lease).await?;
        lease.give_back();
        Ok(outcome)
    }
}

/// Removes some of the rows whose time is over; at the pace of the reconciler that is more than are written.
pub(super) async fn forget(on: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH old AS MATERIALIZED (\
             SELECT id FROM outcomes WHERE at <= tenancy_now() - $1 \
             ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED\
         ) \
         DELETE FROM outcomes o USING old WHERE o.id = old.id",
    )
    .bind(millis(KEPT))
    .bind(FORGOTTEN)
    .execute(on)
    .await?;
    Ok(())
}
