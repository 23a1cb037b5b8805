//! The server's tasks: they run until somebody asks for the end, and then each ends in good order.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// An engine call ends within 25 s, and then its pass settles; a drain within 10 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// The exit code of a process that was ended by SIGINT, by the shell's convention.
const INTERRUPTED: i32 = 130;

/// What runs until the end.
#[derive(Debug)]
pub(crate) struct Tasks {
    running: JoinSet<&'static str>,
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Somebody asked, and everything came to its end.
    Asked,
    /// A task ended that should not have.
    Failed,
    /// Somebody asked, and something did not come to its end in time.
    Cut,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            running: JoinSet::new(),
            stop: CancellationToken::new(),
            clock,
        }
    }

    /// Cancelled when the end begins.
    #[must_use]
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs `task`, which has to end by itself soon after the end begins, and not before.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.running.spawn(async move {
            task.await;
            name
        });
    }

    /// Runs `task`, which is dropped when the end begins.
    pub(crate) fn run_until_stop(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop();
        self.run(name, async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Runs `task` aside: it may end at any time, and is dropped when the end begins.
    pub(crate) fn side(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop();
        self.run(name, async move {
            tokio::select! {
                () = task => stop.cancelled().await,
                () = stop.cancelled() => {}
            }
        });
    }

    /// Waits for `asked`, or for a task that ends early, and brings everything to its end.
    pub(crate) async fn end(mut self, asked: impl Future<Output = ()>) -> End {
        let early = tokio::select! {
            () = asked => None,
            early = self.running.join_next() => Some(early),
        };
        self.stop.cancel();
        if let Some(early) = &early {
            match early {
                Some(Ok(name)) => tracing::error!(task = name, "ended by itself"),
                Some(Err(error)) => tracing::error!(%error, "a task failed"),
                None => {}
            }
        }
        let clock = Arc::clone(&self.clock);
        let ended = async { while self.running.join_next().await.is_some() {} };
        let in_time = tokio::select! {
            () = ended => true,
            () = clock.sleep(PATIENCE) => false,
        };
        match (early, in_time) {
            (Some(_), _) => End::Failed,
            (None, true) => End::Asked,
            (None, false) => {
                tracing::error!(
                    "not everything came to its end in time; the next start goes on with it"
                );
                End::Cut
            }
        }
    }
}

/// Resolves at SIGTERM or SIGINT. A further one ends the process at once.
///
/// # Errors
/// When the system gives no signals.
pub(crate) fn asked_by_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(
            signal = name,
            "ending: nothing more is accepted, what is under way is finished"
        );
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("ended at once by a second signal");
            std::process::exit(INTERRUPTED);
        });
    })
}

/// Notes each SIGHUP in the log, for as long as it is polled, and goes on.
///
/// Its default is to end the process without a word, and it comes from an operator who expects the configuration to
/// be read again, or from a terminal that is closed: neither means that everybody's instances should lose their edge.
///
/// # Errors
/// When the system gives no signals.
pub(crate) fn noting_hangups() -> std::io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            tracing::warn!(
                signal = "SIGHUP",
                "goes on as it is: the configuration is read at the start only; restart the server to apply a \
                 change, end it by SIGTERM"
            );
        }
    })
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::SystemClock;

    use super::*;

    #[tokio::test]
    async fn whoever_asks_gets_an_end_of_every_task() {
        let mut tasks = Tasks::new(Arc::new(SystemClock));
        let (stop, done) = (tasks.stop(), CancellationToken::new());
        let told = done.clone();
        tasks.run("worker", async move {
            stop.cancelled().await;
            told.cancel();
        });
        tasks.run_until_stop("watcher", std::future::pending());
        assert_eq!(tasks.end(async {}).await, End::Asked);
        assert!(done.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_ends_early_ends_the_server() {
        let mut tasks = Tasks::new(Arc::new(SystemClock));
        tasks.run("worker", async {});
        tasks.run_until_stop("watcher", std::future::pending());
        assert_eq!(tasks.end(std::future::pending()).await, End::Failed);
    }
}
