//! The loop of a process, and those who wait for what it comes to.

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::watch;

use super::{Tenancy, TenancyError, TenantView};
use crate::id::AccountId;

impl Tenancy {
    /// The reconciler: makes what is wanted so until `shutdown` resolves, then lets every pass settle.
    ///
    /// # Behavior
    /// - Run it once in each process; any number of processes share the work through the store.
    /// - It [makes the hosts known](Self::register_hosts) once, at its start; an error of that is logged.
    /// - After `shutdown` it takes no further step. It ends when the engine and store calls under way have, each of
    ///   them within [`Pace::call`](crate::reconcile::Pace::call). Dropped instead, or killed, it loses nothing: what it
    ///   has claimed is taken up by another after [`Pace::lease`](crate::reconcile::Pace::lease).
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        if let Err(error) = self.register_hosts().await {
            tracing::error!(error = %crate::error::chain(&error), "the hosts are not made known");
        }
        let (context, signals) = (Arc::clone(&self.0.context), Arc::clone(&self.0.signals));
        crate::reconcile::run(context, signals, shutdown).await;
    }

    /// Moves on soon after this process has changed something: what is wanted, or what its reconciler has come to.
    ///
    /// A hint, and sometimes a wrong one; what other processes change is not told, so ask now and then as well.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.signals.changes()
    }

    /// Waits until the account's instance is as `so` says: at the next look after a change by this process, and within
    /// [`Pace::poll`](crate::reconcile::Pace::poll) after one by another.
    ///
    /// It waits for as long as it takes: some [`Phase`](crate::status::Phase)s last until a person does something. Bound it with a timeout.
    ///
    /// # Errors
    /// [`TenancyError::NoTenant`], also once it is gone; [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Reads only.
    pub async fn wait_until(
        &self,
        account: AccountId,
        mut so: impl FnMut(&TenantView) -> bool + Send,
    ) -> Result<TenantView, TenancyError> {
        let mut changes = self.changes();
        loop {
            let view = self.mine(account).await?;
            if so(&view) {
                return Ok(view);
            }
            let poll = self.clock().sleep(self.0.context.pace.poll).fuse();
            let changed = changes.changed().fuse();
            futures::pin_mut!(poll, changed);
            futures::select! {
                () = poll => {}
                // The sender lives as long as this.
                _ = changed => {}
            }
        }
    }

    /// What is wanted has changed.
    pub(super) fn stir(&self) {
        self.0.signals.stir();
    }
}
