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
enum Ended<A> {
    /// With this answer: nothing was written.
    With(StoreError),
    /// Given up by the database for another transaction's sake: nothing was written.
    InConflict(Option<sqlx::Error>),
    /// The connection broke before a commit was sent, or nothing came of it: nothing was written.
    Lost(sqlx::Error),
    /// The answer to the commit was lost: it is to be asked what became of it.
    InDoubt(InDoubt<A>),
}

/// A transaction whose commit was sent and not answered.
struct InDoubt<A> {
    /// Its id: the operation's, while the server remembers it.
    transaction: String,
    /// What the call answers if it was committed.
    answer: A,
    /// Why there was no answer.
    error: sqlx::Error,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Committed,
    Aborted,
    /// The server has not ended it yet, or does not remember it.
    Unknown,
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
                Ended::InDoubt(doubt) => {
                    drop(lease);
                    match self.outcome(&doubt.transaction, last).await {
                        Outcome::Committed => return Ok(doubt.answer),
                        Outcome::Aborted => *last = Some(doubt.error),
                        Outcome::Unknown => return Err(failed(O::WHAT, doubt.error)),
                    }
                }
            }
        }
    }

    /// What became of a transaction whose commit was not answered. Asks until the server says, or the deadline ends
    /// the call: after a crash every transaction has an outcome as soon as the server accepts again.
    ///
    /// A server that took over from one that lost writes may have given the id to another transaction: so it is with
    /// every answer of the lost one.
    async fn outcome(&self, transaction: &str, last: &mut Option<sqlx::Error>) -> Outcome {
        loop {
            let asked = match self.pool.acquire().await {
                Ok(connection) => {
                    let mut lease = Lease::new(connection);
                    let asked = status_of(&mut lease, transaction).await;
                    if asked.is_ok() {
                        lease.give_back();
                    }
                    asked
                }
                Err(error) => Err(error),
            };
            match asked {
                Ok(Some(status)) if status == "committed" => return Outcome::Committed,
                Ok(Some(status)) if status == "aborted" => return Outcome::Aborted,
                // Its connection is broken here and not yet there.
                Ok(Some(_)) => {}
                Ok(None) => return Outcome::Unknown,
                Err(error) if is_lost(&error) => *last = Some(error),
                // Not an id of this server's.
                Err(_) => return Outcome::Unknown,
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }
}

/// `committed`, `aborted`, `in progress`; nothing once it is too long ago.
async fn status_of(
    connection: &mut PgConnection,
    transaction: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_xact_status($1::text::xid8)")
        .bind(transaction)
        .fetch_one(connection)
        .await
}

async fn attempt<O: Run<PgConnection>>(
    connection: &mut PgConnection,
    op: &O,
) -> Result<O::Answer, Ended<O::Answer>> {
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
            let done = match op.run(&mut transaction).await {
                // None where it has written nothing: then nothing depends on its commit.
                Ok(answer) => sqlx::query_scalar("SELECT pg_current_xact_id_if_assigned()::text")
                    .fetch_one(&mut *transaction)
                    .await
                    .map(|id: Option<String>| (answer, id))
                    .map_err(Failure::from),
                Err(failure) => Err(failure),
            };
            match done {
                Ok((answer, id)) => match (transaction.commit().await, id) {
                    (Ok(()), _) => Ok(answer),
                    (Err(error), _) if is_conflict(&error) => Err(Ended::InConflict(Some(error))),
                    (Err(error), _) if !is_lost(&error) => Err(Ended::With(failed(O::WHAT, error))),
                    (Err(error), Some(transaction)) => Err(Ended::InDoubt(InDoubt {
                        transaction,
                        answer,
                        error,
                    })),
                    (Err(error), None) => Err(Ended::Lost(error)),
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
