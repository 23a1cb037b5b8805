//! The threads of the edge.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A runtime of the edge's own. What goes through the edge is written by tenants and sent as fast as they like; on
/// these threads it may keep its own kind waiting, and never those of the API, the metrics and the reconciler.
#[derive(Debug)]
pub(super) struct EdgeThreads(Option<Runtime>);

impl EdgeThreads {
    /// As many threads as the server has.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("edge")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs `task` there. It ends with `self` at the latest.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.0 {
            Some(runtime) => runtime.spawn(task),
            // Taken by `drop` alone.
            None => tokio::spawn(task),
        }
    }
}

impl Drop for EdgeThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waits for nothing: a runtime that waits must not be dropped by a task of another, as this one is.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_run_on_threads_of_the_edge_and_end_with_them() {
        let threads = EdgeThreads::new().unwrap();
        let name = threads.spawn(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(name.await.unwrap().as_deref(), Some("edge"));
        let endless = threads.spawn(std::future::pending::<()>());
        drop(threads);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
