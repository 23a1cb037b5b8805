//! Listeners: taken early, and served with limits that slow or greedy clients do not get past.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use openclaw_tenancy::clock::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::connection;
use super::descriptors::Share;
use crate::access::accept::accept;
use crate::access::address::TrustedProxies;
use crate::access::places::{Places, shared, turn_away};

/// How long a client may take for a request's head, and stay silent between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// At the end, what is under way has so long to finish.
const DRAIN: Duration = Duration::from_secs(10);

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
    /// `router`, to `share`; behind `proxies` and on this machine are many, and their connections are not counted by
    /// address. Further ones are turned away (safety row A26).
    pub(crate) fn new(
        name: &'static str,
        router: Router,
        share: Share,
        proxies: &TrustedProxies,
    ) -> Self {
        let places = Places::new(share.in_all, share.per_address, shared(proxies));
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
    let admit = |stream: TcpStream, peer: SocketAddr| {
        let Some(place) = places.take(peer.ip()) else {
            metrics::counter!("openclaw_tenancy_connections_turned_away_total", "listener" => name)
                .increment(1);
            turn_away(&stream);
            return;
        };
        let (router, clock) = (router.clone(), Arc::clone(&clock));
        let (stop, cut) = (stop.clone(), cut.clone());
        connections.spawn(async move {
            let _place = place;
            tokio::select! {
                () = connection(stream, peer, router, head, (stop, clock)) => {}
                () = cut.cancelled() => {}
            }
        });
    };
    accept(listener, &*clock, stop.cancelled(), admit).await;
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

#[cfg(test)]
mod tests {
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use openclaw_tenancy::clock::SystemClock;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinHandle;

    use super::super::plain::own_host;
    use super::*;
    use crate::access::host::OwnHosts;

    async fn server(
        head: Duration,
        places: Option<Places>,
    ) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = bind("test", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new()
            .route("/", get(async || "here").post(async |body: String| body))
            .layer(from_fn_with_state(Arc::new(OwnHosts::default()), own_host));
        let mut served = Served::new(
            "test",
            router,
            Share {
                in_all: 4_096,
                per_address: 256,
            },
            &TrustedProxies::default(),
        );
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
            "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .await;
        assert_eq!(status(&asked).as_deref(), Some("200"), "{asked}");
        for slow in ["", "GET / HTTP/1.1\r\nhost: localhost\r\nx-slow:"] {
            let answer = exchange(address, slow).await;
            assert!(
                matches!(status(&answer).as_deref(), None | Some("408")),
                "{answer}"
            );
        }
        // A second request on a connection that is kept open has no more time than the first.
        let idle = exchange(address, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert_eq!(status(&idle).as_deref(), Some("200"), "{idle}");
        let many = "x: y\r\n".repeat(101);
        let large = format!("x: {}\r\n", "y".repeat(16 * 1024));
        for fields in [many, large] {
            let answer = exchange(
                address,
                &format!("GET / HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n"),
            )
            .await;
            assert_eq!(status(&answer).as_deref(), Some("431"), "{answer}");
            assert!(
                answer.contains("headers are larger than 16 KiB"),
                "{answer}"
            );
        }
        stop.cancel();
        serving.await.unwrap();
        assert!(
            TcpStream::connect(address).await.is_err(),
            "nothing is accepted any more"
        );
    }

    /// Who had asked before the end is answered, also where only the kernel knows of it yet; who says nothing holds
    /// nobody up.
    #[tokio::test]
    async fn what_was_asked_before_the_end_is_answered() {
        use std::io::Write as _;

        let (address, stop, serving) = server(HEAD, None).await;
        let get = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let mut kept = TcpStream::connect(address).await.unwrap();
        kept.write_all(get).await.unwrap();
        let mut first = [0; 12];
        kept.read_exact(&mut first).await.unwrap();
        // The server runs on this thread: until the end has begun it sees nothing of these.
        let mut asking: Vec<_> = (0..3)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        for stream in &mut asking {
            stream.write_all(get).unwrap();
        }
        let silent = std::net::TcpStream::connect(address).unwrap();
        let mut kept = kept.into_std().unwrap();
        kept.write_all(get).unwrap();
        stop.cancel();
        serving.await.unwrap();
        asking.push(kept);
        for stream in asking {
            stream.set_nonblocking(true).unwrap();
            let mut answer = String::new();
            let mut stream = TcpStream::from_std(stream).unwrap();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("here"), "{answer}");
        }
        drop(silent);
    }

    /// As the edge refuses them: a whole corpus is tried there, by the same code.
    #[tokio::test]
    async fn a18_smuggling_one_framing_or_400() {
        let (address, stop, serving) = server(HEAD, None).await;
        let get = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let post = |fields: &str, body: &str| {
            format!("POST / HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n{body}")
        };
        for (request, why) in [
            ("GET / HTTP/1.1\nhost: localhost\n\n".to_owned(), "CR LF"),
            (
                "GET / HTTP/1.1\r\nhost: localhost\r\nx: y\n\r\n".to_owned(),
                "CR LF",
            ),
            (
                post(
                    "content-length: 5\r\ntransfer-encoding: chunked\r\n",
                    "0\r\n\r\n",
                ),
                "beside Transfer-Encoding",
            ),
            (
                post(
                    "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
                    "0\r\n\r\n",
                ),
                "beside Transfer-Encoding",
            ),
            (
                post("content-length: 1\r\ncontent-length: 1\r\n", "x"),
                "more than once",
            ),
            (post("content-length: +1\r\n", "x"), "one plain number"),
            (
                post("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"),
                "`chunked` alone",
            ),
            (post("content-length : 1\r\n", "x"), "no name has"),
            (post("x: y\r\n z\r\n", ""), "no colon"),
        ] {
            let answer = exchange(address, &format!("{request}{get}")).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request}: {answer}");
            assert!(answer.contains(why), "{request}: {answer}");
            assert!(!answer.contains(" 200 OK"), "{request}: {answer}");
            assert_eq!(
                answer.matches("HTTP/1.1 400 ").count(),
                1,
                "{request}: {answer}"
            );
        }
        // What is well framed is read as ever, one after the other.
        let body = post("transfer-encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
        let last = get.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        let answer = exchange(address, &format!("{get}{body}{last}")).await;
        assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 3, "{answer}");
        assert!(
            answer.contains("abc") && answer.ends_with("here"),
            "{answer}"
        );
        stop.cancel();
        serving.await.unwrap();
    }

    /// A page whose name was made to resolve to us reads nothing; a program may use our names and any address.
    #[tokio::test]
    async fn a14_host_confusion_a_rebound_name_reads_no_figures() {
        let (address, stop, serving) = server(HEAD, None).await;
        let of = async |host: &str| {
            let close = "connection: close";
            exchange(address, &format!("GET / HTTP/1.1\r\n{host}{close}\r\n\r\n")).await
        };
        for (host, status) in [
            ("host: localhost:9090\r\n", "200"),
            ("host: 127.0.0.1:9090\r\n", "200"),
            ("host: 192.0.2.7:9090\r\n", "200"),
            ("host: [2001:db8::7]\r\n", "200"),
            ("host: evil.example\r\n", "421"),
            ("host: localhost.evil.example:9090\r\n", "421"),
            ("host: a b\r\n", "400"),
            ("", "400"),
            ("host: localhost\r\nhost: localhost\r\n", "400"),
        ] {
            let answer = of(host).await;
            assert_eq!(answer.get(9..12), Some(status), "{host}: {answer}");
            assert_eq!(
                answer.ends_with("here"),
                status == "200",
                "{host}: {answer}"
            );
        }
        assert!(
            of("host: evil.example\r\n")
                .await
                .contains("server.host_names")
        );
        stop.cancel();
        serving.await.unwrap();
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
            let _ = stream
                .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .await;
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
