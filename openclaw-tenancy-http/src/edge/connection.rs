//! One client's connection: hyper on a strict stream, and an eye on whoever it serves.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use openclaw_tenancy::error::chain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::gate::Session;
use super::upstream::Backend;
use super::wire::{Link, Strict};
use crate::access::accept::may_end;

/// How often it is asked whether whoever is served may still be: with the age that an answer may have
/// ([`gate`](super::gate)) and the time to ask, a sign-out ends what is open within 5 seconds.
pub(super) const WATCH: Duration = Duration::from_secs(2);

/// What requests of one connection have in common.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: SocketAddr,
    /// The peer as an instance hears of it, where no proxy is trusted.
    pub(super) peer_header: HeaderValue,
    /// The port that the connection came in by.
    pub(super) listener: Option<u16>,
    pub(super) link: Arc<Link>,
    pub(super) pass: Mutex<Option<Pass>>,
}

/// On what a request passes.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) session: Arc<Session>,
    pub(super) backend: Arc<Backend>,
}

/// A request under way; ends when dropped.
#[derive(Debug)]
pub(super) struct Exchange(Arc<Client>);

impl Exchange {
    pub(super) fn begin(client: &Arc<Client>) -> Self {
        client.link.set_busy(true);
        Self(Arc::clone(client))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.link.set_busy(false);
        self.0.set_pass(None);
    }
}

impl Client {
    pub(super) fn set_pass(&self, pass: Option<Pass>) {
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = pass;
    }

    fn pass(&self) -> Option<Pass> {
        self.pass
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Pass {
    /// Whether what is open may stay so.
    pub(super) async fn holds(&self, edge: &Inner) -> bool {
        !self.backend.retired().is_cancelled() && edge.gate.still_good(&self.session).await
    }
}

/// Serves one connection until it ends, or until `stop`: then what is under way is finished first.
pub(super) async fn serve<IO>(edge: Arc<Inner>, io: IO, client: Client, stop: CancellationToken)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = Arc::new(client);
    let stream = Strict::new(io, Arc::clone(&client.link), edge.config.limits.patience);
    let service = service_fn(|request| {
        let (edge, client) = (Arc::clone(&edge), Arc::clone(&client));
        async move { Ok::<_, Infallible>(edge.answer(request, client).await) }
    });
    // The stream measures the time for a head; a timer of hyper's would also end connections that only rest. It also
    // counts headers: hyper's own bound is the same hundred, and costs more when it is said.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = %chain(&error), "connection ended");
                }
                return;
            }
            () = may_end(&stop, &*edge.clock), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            // Dropping the connection cuts a download or an event stream in its middle: it must not go on.
            () = until_cut(&edge, &client) => return,
        }
    }
}

/// Resolves when the request under way may not go on: its session or its instance is gone, or nothing moves in it.
async fn until_cut(edge: &Inner, client: &Client) {
    let (mut moved, mut quiet) = (0, Duration::ZERO);
    loop {
        edge.clock.sleep(WATCH).await;
        let Some(pass) = client.pass() else {
            quiet = Duration::ZERO;
            continue;
        };
        let before = std::mem::replace(&mut moved, client.link.bytes_moved());
        quiet = if moved == before {
            quiet + WATCH
        } else {
            Duration::ZERO
        };
        if quiet >= edge.config.limits.answer_idle || !pass.holds(edge).await {
            return;
        }
    }
}
