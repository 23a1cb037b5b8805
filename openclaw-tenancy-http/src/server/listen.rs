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
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::access::address::TrustedProxies;
use crate::access::places::{Places, shared, turn_away};

/// How long a client may take for a request's head, and stay silent between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// The most headers of a request (safety row A26).
const MAX_HEADERS: usize = 100;
/// The most bytes of a request's head (safety row A26).
const MAX_HEAD: usize = 16 * 1024;
/// Connections at once; further ones are turned away (safety row A26).
const MAX_CONNECTIONS: usize = 4096;
/// Connections of one address at once, of one `/64` for IPv6: nobody alone takes the places of all (safety row A26).
const MAX_CONNECTIONS_PER_ADDRESS: usize = 256;
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
pub(crate) struct ListenError {
    /// The setting.
    pub(crate) key: &'static str,
    /// The address.
    pub(crate) address: SocketAddr,
    /// Why.
    #[source]
    pub(crate) source: io::Error,
}

/// Takes `address`, which the setting `key` names.
///
/// # Errors
/// [`ListenError`] names the setting and the fix.
pub(crate) async fn bind(
    key: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError {
            key,
            address,
            source,
        })
}

/// What is served, and to how many at once.
#[derive(Debug)]
pub(crate) struct Served {
    /// The listener's name in metrics.
    name: &'static str,
    router: Router,
    places: Places,
}

impl Served {
    /// `router`; behind `proxies` and on this machine are many, and their connections are not counted by address.
    pub(crate) fn new(name: &'static str, router: Router, proxies: &TrustedProxies) -> Self {
        let places = Places::new(
            MAX_CONNECTIONS,
            MAX_CONNECTIONS_PER_ADDRESS,
            shared(proxies),
        );
        Self {
            name,
            router,
            places,
        }
    }
}

/// Serves until `stop`: then nothing is accepted any more, and what is under way has 10 seconds.
pub(crate) async fn serve(
    listener: TcpListener,
    served: Served,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    serve_with(listener, served, clock, stop, HEAD).await;
}

async fn serve_with(
    listener: TcpListener,
    served: Served,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    head: Duration,
) {
    let Served {
        name,
        router,
        places,
    } = served;
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let accepting = async {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    clock.sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            let Some(place) = places.take(peer.ip()) else {
                metrics::counter!("openclaw_tenancy_connections_turned_away_total", "listener" => name)
                    .increment(1);
                turn_away(&stream);
                continue;
            };
            let (router, stop, cut) = (router.clone(), stop.clone(), cut.clone());
            connections.spawn(async move {
                let _place = place;
                tokio::select! {
                    () = connection(stream, peer, router, stop, head) => {}
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

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
    head: Duration,
) {
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
        .header_read_timeout(head)
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use openclaw_tenancy::clock::SystemClock;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinHandle;

    use super::*;

    async fn server(
        head: Duration,
        places: Option<Places>,
    ) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = bind("test", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new().route("/", get(async || "here"));
        let mut served = Served::new("test", router, &TrustedProxies::default());
        if let Some(places) = places {
            served.places = places;
        }
        let serving = serve_with(listener, served, Arc::new(SystemClock), stop.clone(), head);
        (address, stop, tokio::spawn(serving))
    }

    /// Sends `text` and reads until the server closes.
    async fn exchange(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        // A reset after the answer is a close as well.
        let _ = tokio::time::timeout(Duration::from_secs(30), read)
            .await
            .expect("it is closed");
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a26_exhaustion_heads_are_bounded_in_time_number_and_size() {
        let (address, stop, serving) = server(Duration::from_millis(300), None).await;
        let status = |answer: &str| answer.get(9..12).map(str::to_owned);
        let asked = exchange(
            address,
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        )
        .await;
        assert_eq!(status(&asked).as_deref(), Some("200"), "{asked}");
        for slow in ["", "GET / HTTP/1.1\r\nhost: a\r\nx-slow:"] {
            let answer = exchange(address, slow).await;
            assert!(
                matches!(status(&answer).as_deref(), None | Some("408")),
                "{answer}"
            );
        }
        // A second request on a connection that is kept open has no more time than the first.
        let idle = exchange(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(status(&idle).as_deref(), Some("200"), "{idle}");
        let many = "x: y\r\n".repeat(MAX_HEADERS + 1);
        let large = format!("x: {}\r\n", "y".repeat(MAX_HEAD));
        for fields in [many, large] {
            let answer = exchange(
                address,
                &format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"),
            )
            .await;
            assert_eq!(status(&answer).as_deref(), Some("431"), "{answer}");
        }
        stop.cancel();
        serving.await.unwrap();
        assert!(
            TcpStream::connect(address).await.is_err(),
            "nothing is accepted any more"
        );
    }

    /// One address has so many connections and another is served all the same; who goes makes room.
    #[tokio::test]
    async fn a26_exhaustion_connections_are_bounded_by_address() {
        // Nothing is shared here: loopback's addresses count like anybody's.
        let places = Places::new(4, 2, Vec::new());
        let (address, stop, serving) = server(HEAD, Some(places)).await;
        let from = async |source: &str| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket
                .bind(SocketAddr::new(source.parse().unwrap(), 0))
                .unwrap();
            socket.connect(address).await.unwrap()
        };
        let ask = async |stream: &mut TcpStream| {
            // Whoever is turned away may see the end before it has written.
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let mut answer = [0; 12];
            match stream.read_exact(&mut answer).await {
                Ok(_) => String::from_utf8(answer.into()).unwrap(),
                Err(error) => error.kind().to_string(),
            }
        };
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = from("127.0.0.1").await;
            assert_eq!(ask(&mut stream).await, "HTTP/1.1 200");
            held.push(stream);
        }
        let turned_away = ask(&mut from("127.0.0.1").await).await;
        assert_ne!(turned_away, "HTTP/1.1 200");
        let mut other = from("127.0.0.2").await;
        assert_eq!(ask(&mut other).await, "HTTP/1.1 200");
        held.pop();
        let room = async {
            while ask(&mut from("127.0.0.1").await).await != "HTTP/1.1 200" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), room)
            .await
            .expect("a place is given back");
        stop.cancel();
        serving.await.unwrap();
    }
}
