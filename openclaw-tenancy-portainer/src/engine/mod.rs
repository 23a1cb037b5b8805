//! The one mapping from the core's nouns to the Docker Engine API.

mod act;
mod body;
mod create;
mod error;
mod files;
mod image;
mod labels;
mod logs;
mod observe;
mod oom;
mod raw;
mod swap;
mod transport;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use openclaw_tenancy::backend::BackendError;
use openclaw_tenancy::clock::Clock;
use openclaw_tenancy::container::EngineId;
use openclaw_tenancy::error::chain;
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::labels::LabelKeys;

use self::error::{Failure, Overdue, unreachable};
use self::image::Pulls;
pub(crate) use self::transport::Transport;
pub use self::transport::{TlsError, TlsRefusal};

/// One Docker Engine, in the core's nouns. Each public method is one of `ContainerBackend`'s.
#[derive(Debug)]
pub(crate) struct Engine {
    host: HostId,
    docker: Docker,
    transport: Arc<Transport>,
    keys: Arc<LabelKeys>,
    clock: Arc<dyn Clock>,
    /// Every method ends within this, all its calls together.
    limit: Duration,
    pulls: Pulls,
}

impl Engine {
    /// The engine of `host` behind `transport`. Nothing is dialled yet.
    pub(crate) fn new(
        host: HostId,
        transport: Transport,
        keys: Arc<LabelKeys>,
        clock: Arc<dyn Clock>,
        limit: Duration,
    ) -> Result<Self, bollard::errors::Error> {
        let transport = Arc::new(transport);
        Ok(Self {
            host,
            docker: transport::library(Arc::clone(&transport))?,
            transport,
            keys,
            clock,
            limit,
            pulls: Pulls::default(),
        })
    }

    /// Ends `work` by the deadline. What was sent by then may have happened.
    async fn within<T>(
        &self,
        what: &'static str,
        work: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let overdue = |_| {
            Err(unreachable(
                &self.host,
                what,
                Some(Box::new(Overdue(self.limit))),
            ))
        };
        let done = tokio::time::timeout(self.limit, work)
            .await
            .unwrap_or_else(overdue);
        if let Err(error) = &done {
            tracing::debug!(host = %self.host, what, error = %chain(error), "engine call failed");
        }
        done
    }

    /// One call of the client library.
    async fn call<T>(
        &self,
        answer: impl Future<Output = Result<T, bollard::errors::Error>> + Send,
    ) -> Result<T, Failure> {
        answer.await.map_err(|e| self.note(e.into()))
    }

    /// Takes note of an engine that was exchanged for one of another version; the next call agrees anew.
    fn note(&self, failure: Failure) -> Failure {
        if failure.is_version_refused() {
            self.transport.forget_version();
            return Failure::Lost(
                "the engine behind the address speaks another version now".into(),
            );
        }
        failure
    }
}

/// An engine's full id: 64 hexadecimal digits. Anything shorter, or a name, could mean another object.
fn is_full(id: &EngineId) -> bool {
    id.0.len() == 64
        && id
            .0
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The id to act by, or a refusal without asking the engine.
fn full<'a>(id: &'a EngineId, what: &'static str) -> Result<&'a str, BackendError> {
    if is_full(id) {
        Ok(&id.0)
    } else {
        Err(BackendError::Refused {
            what,
            status: 0,
            source: Some(format!("`{id}` is not a full id of 64 hexadecimal digits").into()),
        })
    }
}
