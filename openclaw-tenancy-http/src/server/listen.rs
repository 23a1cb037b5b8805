//! Listeners: taken early, and served with limits that slow or greedy clients do not get past.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use openclaw_tenancy::clock::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// How long a client may take for a request's head, and stay silent between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// The most headers of a request (safety row A26).
const MAX_HEADERS: usize = 100;
/// The most bytes of a request's head (safety row A26).
const MAX_HEAD: usize = 16 * 1024;
/// Connections at once; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// At the end, what is under way has so long to finish.
const DRAIN: Duration = Duration::from_secs(10);
/// After an error of accepting, such as no file descriptor left: the next would come at once.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// A listener cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "{key} = {address} cannot be listened on; end what uses the port (`ss -ltnp`), or choose another \
     with {key}"
)]
pub struct ListenError {
    /// The setting.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Takes `address`, which the setting `key` names.
///
/// # Errors
/// [`ListenError`] names the setting and the fix.
pub async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError {
            key,
            address,
            source,
        })
}

/// Serves `router` until `stop`: then nothing is accepted any more, and what is under way has 10 seconds.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accepting = async {
        loop {
            // Nothing closes it.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    clock.sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            let (router, stop, cut) = (router.clone(), stop.clone(), cut.clone());
            connections.spawn(async move {
                let _place = place;
                tokio::select! {
                    () = connection(stream, peer, router, stop) => {}
                    () = cut.cancelled() => {}
                }
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    connections.close();
    tokio::select! {
        () = connections.wait() => {}
        () = clock.sleep(DRAIN) => {
            tracing::warn!(connections = connections.len(), "connections are cut: they did not end in time");
            cut.cancel();
            connections.wait().await;
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    // Small answers must not wait for an acknowledgement (Nagle); a socket that refuses this still works.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients that go away or are too slow: nothing that an operator could do anything about.
        tracing::debug!(error = %openclaw_tenancy::error::chain(&error), "a connection ended early");
    }
}
