//! Running a call: the writer's turn, the deadline.

use std::time::Duration;

use openclaw_tenancy::store::StoreError;
use sqlx::Connection as _;

use super::{On, SqliteStore};
use crate::error::{Failure, failed, too_late};
use crate::lease::Lease;
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
        let mut lease = Lease::new(self.readers.acquire().await?);
        let now = self.clock.now().as_millis();
        let mut on = On {
            sql: &mut lease,
            now,
        };
        let answer = op.run(&mut on).await?;
        lease.give_back();
        Ok(answer)
    }

    async fn write<O>(&self, op: &O) -> Result<O::Answer, Failure>
    where
        O: for<'c> Run<On<'c>>,
    {
        let mut lease = Lease::new(self.writer.acquire().await?);
        // IMMEDIATE: the lock to write comes first, so a transaction that has read cannot fail to write.
        let mut transaction = lease.begin_with("BEGIN IMMEDIATE").await?;
        let now = self.clock.now().as_millis();
        let mut on = On {
            sql: &mut transaction,
            now,
        };
        match op.run(&mut on).await {
            Ok(answer) => {
                transaction.commit().await?;
                lease.give_back();
                Ok(answer)
            }
            Err(Failure::Refused(error)) => {
                transaction.rollback().await?;
                lease.give_back();
                Err(Failure::Refused(error))
            }
            Err(failure) => Err(failure),
        }
    }
}
