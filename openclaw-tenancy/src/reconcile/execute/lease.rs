//! Keeping the claim while engine calls run.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use super::{Pass, PassError};
use crate::backend::BackendError;
use crate::reconcile::Pace;
use crate::store::Claim;

impl Pass<'_> {
    /// Awaits a call at most `limit`, and keeps the claim meanwhile.
    ///
    /// No call begins whose end could outlive the lease: a worker that was paused between two steps finds out
    /// here that the claim has passed on, and not by what its late call does.
    pub(super) async fn call<T: Send>(
        &mut self,
        limit: Duration,
        call: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<Result<T, BackendError>, PassError> {
        let Pace { lease, .. } = self.context.pace;
        let clock = &self.context.clock;
        let deadline = clock.now().plus(limit);
        if clock.now().plus(limit.min(lease / 3)) >= self.kept_at.plus(lease) {
            self.renew().await?;
        }
        let mut call = pin!(call);
        loop {
            let left = deadline.since(clock.now());
            let nap = left.min(lease / 3);
            match select(call.as_mut(), clock.sleep(nap)).await {
                Either::Left((done, _)) => return Ok(done),
                Either::Right(((), _)) if nap == left => {
                    return Ok(Err(BackendError::Unreachable {
                        host: self.host()?,
                        what: "the call took longer than it may",
                        source: None,
                    }));
                }
                Either::Right(((), _)) => self.renew().await?,
            }
        }
    }

    pub(super) async fn renew(&mut self) -> Result<(), PassError> {
        let now = self.context.clock.now();
        let Claim { fence, worker, .. } = self.claim;
        let lease = self.context.pace.lease;
        self.context
            .store
            .renew(self.tenant.id, *fence, worker.clone(), lease)
            .await?;
        self.kept_at = now;
        Ok(())
    }
}
