//! Running a call: attempts, deadline, and what becomes of its connection.

use std::time::Duration;

use openclaw_tenancy::store::StoreError;
use sqlx::{Executor as _, PgConnection};

use super::PostgresStore;
use super::outcome::{Operation, Outcome};
use crate::error::postgres::{is_conflict, is_lost, is_refused};
use crate::error::{Failure, failed, too_late};
use crate::lease::Lease;
use crate::ops::{Kind, Run};

/// How often a transaction is tried again after a conflict (F17).
const CONFLICTS: u32 = 8;
/// The wait before an attempt on a new connection: a server that has just gone takes a moment to come back.
pub(super) const RECONNECT: Duration = Duration::from_millis(50);

/// How an attempt ended that gave no answer.
enum Ended<A> {
    /// With this answer: nothing was written.
    With(StoreError),
    /// Given up by the database for another transaction's sake: nothing was written.
    InConflict(Option<sqlx::Error>),
    /// The connection broke before a commit was sent: nothing was written.
    Lost(sqlx::Error),
    /// The commit was sent and not answered: it is to be asked what became of it.
    InDoubt(InDoubt<A>),
}

/// An attempt whose commit was sent and not answered.
struct InDoubt<A> {
    operation: Operation,
    /// What the call answers if it was committed.
    answer: A,
    /// Why there was no answer.
    error: sqlx::Error,
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
                    *last = Some(doubt.error);
                    match self.outcome(&doubt.operation).await {
                        Outcome::Committed => return Ok(doubt.answer),
                        // As if the connection had broken before it was sent.
                        Outcome::Nothing => {}
                        Outcome::Unknown => return Err(too_late(O::WHAT, last.take())),
                    }
                }
            }
        }
    }
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
    if O::KIND == Kind::Read {
        return op.run(connection).await.map_err(sort);
    }
    let done = async {
        let operation = Operation::begin(connection).await?;
        let answer = op.run(connection).await?;
        Ok::<_, Failure>((operation, answer))
    };
    let failure = match done.await {
        Ok((operation, answer)) => match operation.commit(connection).await {
            Ok(()) => return Ok(answer),
            Err(error) if is_refused(&error) => error.into(),
            Err(error) => {
                return Err(Ended::InDoubt(InDoubt {
                    operation,
                    answer,
                    error,
                }));
            }
        },
        Err(failure) => failure,
    };
    // What ended the attempt is told; a rollback that fails adds nothing to it.
    let _ = connection.execute("ROLLBACK").await;
    Err(sort(failure))
}
