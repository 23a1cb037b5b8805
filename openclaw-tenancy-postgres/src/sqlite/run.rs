//! Running a call: the writer's turn, the deadline.

use std::time::Duration;

use openclaw_tenancy::store::StoreError;

use super::{On, SqliteStore};
use crate::error::{Failure, failed, too_late};
use crate::ops::{Kind, Run};

/// Every call ends within this, waiting for the writer's turn included.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

impl SqliteStore {
    /// Makes a call, within the deadline.
    pub(crate) async fn run<O>(&self, op: &O) -> Result<O::Answer, StoreError>
    where
        O: for<'c> Run<On<'c>>,
    {
        let attempt = async {
            match O::KIND {
                Kind::Read => self.read(op).await,
                Kind::Write => self.write(op).await,
            }
        };
        let ended = tokio::time::timeout(DEADLINE, attempt).await;
        let ended = ended.map_err(|_| too_late(O::WHAT, None))?;
        ended.map_err(|failure| match failure {
            Failure::Refused(error) => error,
            Failure::Database(error) => failed(O::WHAT, error),
            // With one writer nothing goes in between.
            Failure::Overtaken => too_late(O::WHAT, None),
        })
    }

    async fn read<O>(&self, op: &O) -> Result<O::Answer, Failure>
    where
        O: for<'c> Run<On<'c>>,
    {
        let mut connection = self.readers.acquire().await?;
        let now = self.clock.now().as_millis();
        op.run(&mut On {
            sql: &mut connection,
            now,
        })
        .await
    }

    /// A transaction that is dropped, by the deadline or by its caller, is rolled back.
    async fn write<O>(&self, op: &O) -> Result<O::Answer, Failure>
    where
        O: for<'c> Run<On<'c>>,
    {
        // IMMEDIATE: the lock to write comes first, so a transaction that has read cannot fail to write.
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let now = self.clock.now().as_millis();
        let answer = op
            .run(&mut On {
                sql: &mut transaction,
                now,
            })
            .await?;
        transaction.commit().await?;
        Ok(answer)
    }
}
