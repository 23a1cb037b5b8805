//! Whether an instance is ready: the probe port.

use async_trait::async_trait;

use crate::routes::Upstream;

/// What an instance says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It serves.
    Started,
    /// Not yet, or it does not answer yet.
    Starting,
    /// It is up and says that it cannot serve until somebody repairs it.
    NeedsRepair,
}

/// Asks an instance, over the way the edge takes, whether it is ready.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait InstanceProbe: std::fmt::Debug + Send + Sync + 'static {
    /// Asks once.
    ///
    /// # Behavior
    /// Decides by the answer's body, never by the status alone: any path of an instance may answer 200.
    /// Ends within 5 seconds. What does not answer is [`Readiness::Starting`]: phases have deadlines, a
    /// probe has no opinion on them.
    ///
    /// # Idempotency
    /// Reads only.
    async fn probe(&self, upstream: &Upstream) -> Readiness;
}
