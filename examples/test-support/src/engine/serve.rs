//! The socket: accepting, reading a request, doing what the script says with it, answering.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::answer::{Answer, Body};
use super::route;
use super::script::{Call, Fault};

/// A request body larger than this is refused.
const LARGEST_BODY: usize = 256 << 20;

/// Where a scripted engine listens.
#[derive(Debug, Clone)]
pub enum Listen {
    /// A unix socket at a path that does not exist yet.
    Unix(PathBuf),
    /// Plain HTTP on loopback; port 0 lets the system choose.
    Tcp(u16),
    /// TLS on loopback.
    Tls(u16, Arc<rustls::ServerConfig>),
}

impl Listen {
    pub(super) fn address(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Tcp(port) | Self::Tls(port, _) => format!("tcp://127.0.0.1:{port}"),
        }
    }

    pub(super) fn socket(&self) -> Option<PathBuf> {
        match self {
            Self::Unix(path) => Some(path.clone()),
            Self::Tcp(_) | Self::Tls(..) => None,
        }
    }

    pub(super) const fn port(&self) -> Option<u16> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(port) | Self::Tls(port, _) => Some(*port),
        }
    }
}

/// A bound socket with its connections. Dropping it ends them all.
#[derive(Debug)]
pub(super) struct Listener {
    listen: Listen,
    tasks: JoinSet<()>,
}

impl Listener {
    pub(super) async fn open(listen: &Listen, shared: Arc<Shared>) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        let listen = match listen {
            Listen::Unix(path) => {
                // What a killed engine leaves behind.
                match std::fs::remove_file(path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    Ok(()) | Err(_) => {}
                }
                let socket = UnixListener::bind(path)?;
                tasks.spawn(async move {
                    let mut connections = JoinSet::new();
                    while let Ok((stream, _)) = socket.accept().await {
                        connections.spawn(connection(stream, Arc::clone(&shared)));
                    }
                });
                listen.clone()
            }
            Listen::Tcp(port) => {
                let socket = TcpListener::bind(("127.0.0.1", *port)).await?;
                let port = socket.local_addr()?.port();
                tasks.spawn(async move {
                    let mut connections = JoinSet::new();
                    while let Ok((stream, _)) = socket.accept().await {
                        connections.spawn(connection(stream, Arc::clone(&shared)));
                    }
                });
                Listen::Tcp(port)
            }
            Listen::Tls(port, config) => {
                let socket = TcpListener::bind(("127.0.0.1", *port)).await?;
                let port = socket.local_addr()?.port();
                let acceptor = TlsAcceptor::from(Arc::clone(config));
                tasks.spawn(async move {
                    let mut connections = JoinSet::new();
                    while let Ok((stream, _)) = socket.accept().await {
                        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                        connections.spawn(async move {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                connection(stream, shared).await;
                            }
                        });
                    }
                });
                Listen::Tls(port, Arc::clone(config))
            }
        };
        Ok(Self { listen, tasks })
    }

    pub(super) const fn listen(&self) -> &Listen {
        &self.listen
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

type HttpBody = UnsyncBoxBody<Bytes, io::Error>;

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
) {
    shared
        .connections
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { respond(request, &shared).await }
    });
    // A broken connection is what many a test is about; nobody waits for its result.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// An `Err` closes the connection without an answer.
async fn respond(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<HttpBody>, io::Error> {
    let (parts, body) = request.into_parts();
    let mut whole = parts.uri.path();
    if let Some(front) = shared.front() {
        let shown = parts
            .headers
            .get(&front.header)
            .map(http::HeaderValue::as_bytes);
        match whole.strip_prefix(&front.prefix) {
            Some(below) if shown == Some(front.value.as_bytes()) => whole = below,
            Some(_) => return Ok(http(Answer::error(401, "a credential is needed"), shared)),
            None => {
                return Ok(http(
                    Answer::bytes(404, "text/html", "<html></html>"),
                    shared,
                ));
            }
        }
    }
    let (version, path) = route::split_version(whole);
    let query = route::query(parts.uri.query().unwrap_or_default());
    let mut call = Call {
        method: parts.method.to_string(),
        path: path.to_owned(),
        version: version.map(str::to_owned),
        query,
        body: serde_json::Value::Null,
    };
    let body = http_body_util::Limited::new(body, LARGEST_BODY)
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    call.body = serde_json::from_slice(&body).unwrap_or_default();

    let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
    let fault = shared.script().take(call.clone());
    if let Some(Fault::LoseStart(left)) = fault {
        shared.world().lose_start(&call.path, left);
        return Err(gone());
    }
    match fault {
        Some(Fault::Refuse { status, message }) => {
            return Ok(http(Answer::error(status, message), shared));
        }
        Some(Fault::LoseRequest) => return Err(gone()),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::VolumeGone(ref name)) => {
            shared.world().remove_volume(name);
        }
        Some(
            Fault::LoseAnswer
            | Fault::Flood(_)
            | Fault::CutAnswer(_)
            | Fault::Html(_)
            | Fault::SilenceAfter
            | Fault::LoseStart(_),
        )
        | None => {}
    }
    let answer = route::answer(&call, &body, shared);
    match fault {
        Some(Fault::LoseAnswer) => Err(gone()),
        Some(Fault::SilenceAfter) => std::future::pending().await,
        Some(Fault::CutAnswer(length)) => Ok(cut(answer, length)),
        Some(Fault::Flood(length)) => Ok(flood(length)),
        Some(Fault::Html(status)) => Ok(http(
            Answer::bytes(status, "text/html", "<html><body>Bad Gateway</body></html>"),
            shared,
        )),
        Some(
            Fault::Refuse { .. }
            | Fault::LoseRequest
            | Fault::Silence
            | Fault::Delay(_)
            | Fault::VolumeGone(_)
            | Fault::LoseStart(_),
        )
        | None => Ok(http(answer, shared)),
    }
}

fn http(answer: Answer, shared: &Shared) -> Response<HttpBody> {
    let (kind, body): (_, HttpBody) = match answer.body {
        Body::Empty => ("application/json", full(Bytes::new())),
        Body::Json(value) => ("application/json", full(value.to_string().into())),
        Body::Bytes(kind, bytes) => (kind, full(bytes)),
        Body::Events => {
            let live = live_events(shared.events.subscribe());
            ("application/json", StreamBody::new(live).boxed_unsync())
        }
    };
    assemble(answer.status, kind, answer.headers, body)
}

/// Announces the whole body and breaks off in it.
fn cut(answer: Answer, length: usize) -> Response<HttpBody> {
    let whole = match answer.body {
        Body::Json(value) => Bytes::from(value.to_string()),
        Body::Bytes(_, bytes) => bytes,
        Body::Empty | Body::Events => Bytes::new(),
    };
    let part = whole.slice(..length.min(whole.len()));
    let frames = futures::stream::iter([
        Ok(Frame::data(part)),
        Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
    ]);
    let mut headers = answer.headers;
    headers.push(("content-length", whole.len().to_string()));
    assemble(
        answer.status,
        "application/json",
        headers,
        StreamBody::new(frames).boxed_unsync(),
    )
}

/// White space, which JSON allows before a value, as fast as it is read.
fn flood(length: u64) -> Response<HttpBody> {
    const PIECE: u64 = 1 << 16;
    let pieces =
        (0..length / PIECE).map(|_| Ok(Frame::data(Bytes::from_static(&[b' '; PIECE as usize]))));
    let body = StreamBody::new(futures::stream::iter(pieces)).boxed_unsync();
    assemble(200, "application/json", Vec::new(), body)
}

fn assemble(
    status: u16,
    kind: &str,
    headers: Vec<(&'static str, String)>,
    body: HttpBody,
) -> Response<HttpBody> {
    let mut builder = Response::builder()
        .status(status)
        .header("content-type", kind);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder
        .body(body)
        .unwrap_or_else(|_| Response::new(full(Bytes::new())))
}

fn full(bytes: Bytes) -> HttpBody {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// The events from now on; a reader that is too slow misses some, as with a real engine.
fn live_events(
    receiver: tokio::sync::broadcast::Receiver<String>,
) -> impl futures::Stream<Item = io::Result<Frame<Bytes>>> + Send {
    futures::stream::unfold(receiver, |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(line) => return Some((Ok(Frame::data(Bytes::from(line + "\n"))), receiver)),
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
    .boxed()
}
