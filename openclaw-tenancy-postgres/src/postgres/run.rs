//! Running a call: attempts, deadline, and what becomes of its connection.

use std::time::Duration;

use openclaw_tenancy::store::StoreError;
use sqlx::{Connection, PgConnection};

use super::PostgresStore;
use crate::error::postgres::{is_conflict, is_lost};
use crate::error::{Failure, failed, too_late};
use crate::lease::Lease;
use crate::ops::{Kind, Run};

/// How often a transaction is tried again after a conflict (F17).
const CONFLICTS: u32 = 8;
/// The wait before an attempt on a new connection: a server that has just gone takes a moment to come back.
const RECONNECT: Duration = Duration::from_millis(50);

/// How an attempt ended that gave no answer.
enum Ended {
    /// With this answer: nothing was written.
    With(StoreError),
    /// Given up by the database for another transaction's sake: nothing was written.
    InConflict(Option<sqlx::Error>),
    /// The connection broke before a commit was sent: nothing was written.
    Lost(sqlx::Error),
    /// The answer to the commit was lost: nobody knows.
    InDoubt(sqlx::Error),
}

impl PostgresStore {
    /// Makes a call, within the deadline.
    pub(crate) async fn run<O: Run<PgConnection>>(&self, op: &O) -> Result<O::Answer, StoreError> {
        let mut last = None;
        let answer = tokio::time::timeout(self.deadline, self.attempts(op, &mut last)).await;
        answer.unwrap_or_else(|_| Err(too_late(O::WHAT, last)))
    }

    /// Attempts until there is an answer; `last` is why the last attempt was not the last.
    async fn attempts<O: Run<PgConnection>>(
        &self,
        op: &O,
        last: &mut Option<sqlx::Error>,
    ) -> Result<O::Answer, StoreError> {
        let mut conflicts = 0;
        loop {
            let connection = match self.pool.acquire().await {
                Ok(connection) => connection,
                Err(error) if is_lost(&error) => {
                    *last = Some(error);
                    tokio::time::sleep(RECONNECT).await;
                    continue;
                }
                Err(error) => return Err(failed(O::WHAT, error)),
            };
            let mut lease = Lease::new(connection);
            let ended = match attempt(&mut lease, op).await {
                Ok(answer) => {
                    lease.give_back();
                    return Ok(answer);
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::With(error) => {
                    lease.give_back();
                    return Err(error);
                }
                Ended::InConflict(error) => {
                    lease.give_back();
                    conflicts += 1;
                    if conflicts > CONFLICTS {
                        return Err(too_late(O::WHAT, error));
                    }
                    *last = error;
                    // The one it was given up for needs a moment to end.
                    tokio::time::sleep(Duration::from_millis(5) * conflicts).await;
                }
                // The deadline bounds how often.
                Ended::Lost(error) => {
                    *last = Some(error);
                    drop(lease);
                    tokio::time::sleep(RECONNECT).await;
                }
                Ended::InDoubt(error) => return Err(failed(O::WHAT, error)),
            }
        }
    }
}

async fn attempt<O: Run<PgConnection>>(
    connection: &mut PgConnection,
    op: &O,
) -> Result<O::Answer, Ended> {
    let sort = |failure| match failure {
        Failure::Refused(error) => Ended::With(error),
        Failure::Overtaken => Ended::InConflict(None),
        Failure::Database(error) if is_conflict(&error) => Ended::InConflict(Some(error)),
        Failure::Database(error) if is_lost(&error) => Ended::Lost(error),
        Failure::Database(error) => Ended::With(failed(O::WHAT, error)),
    };
    match O::KIND {
        Kind::Read => op.run(connection).await.map_err(sort),
        Kind::Write => {
            // Whatever default the operator set: the locks here are made for this level.
            let begun = connection
                .begin_with("BEGIN ISOLATION LEVEL READ COMMITTED")
                .await;
            let mut transaction = begun.map_err(|error| sort(error.into()))?;
            match op.run(&mut transaction).await {
                Ok(answer) => match transaction.commit().await {
                    Ok(()) => Ok(answer),
                    Err(error) if is_conflict(&error) => Err(Ended::InConflict(Some(error))),
                    Err(error) => Err(Ended::InDoubt(error)),
                },
                Err(failure) => {
                    // What ended the attempt is told; a rollback that fails adds nothing to it.
                    let _ = transaction.rollback().await;
                    Err(sort(failure))
                }
            }
        }
    }
}
