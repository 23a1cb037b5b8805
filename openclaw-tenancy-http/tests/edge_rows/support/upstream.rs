//! Instances of our own: one that says what it was asked, and one that says what it is told to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use openclaw_tenancy::container::INSTANCE_PORT;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// An instance that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Instance {
    /// Answers each request with JSON of what it was; a WebSocket request with 101 and an echo of bytes.
    pub(crate) async fn echo(address: Ipv4Addr, name: &'static str) -> Self {
        Self::start(address, move |stream| async move {
            let service = service_fn(move |request| answer(request, name));
            let _ = hyper::server::conn::http1::Builder::new()
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        })
        .await
    }

    /// Answers each request with the same bytes, then closes.
    pub(crate) async fn raw(address: Ipv4Addr, script: impl Into<Vec<u8>>) -> Self {
        let script: Arc<Vec<u8>> = Arc::new(script.into());
        Self::start(address, move |mut stream| {
            let script = Arc::clone(&script);
            async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                    if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
                        return;
                    }
                }
                let _ = stream.write_all(&script).await;
                let _ = stream.shutdown().await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            }
        })
        .await
    }

    /// An event stream that never ends: a line now and then nothing.
    pub(crate) async fn stream(address: Ipv4Addr) -> Self {
        Self::start(address, move |mut stream| async move {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let events = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n7\r\ndata: 1\r\n";
            let _ = stream.write_all(events.as_bytes()).await;
            std::future::pending::<()>().await;
        })
        .await
    }

    /// Serves each connection as it is told to.
    pub(crate) async fn start<F>(
        address: Ipv4Addr,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(SocketAddr::from((address, INSTANCE_PORT)))
            .await
            .unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            // Dropped with the task, as a killed process closes its connections.
            let mut open = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                counter.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream));
            }
        });
        Self { connections, task }
    }

    /// Ends it, as a kill would, and waits until its port is free.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

async fn answer(
    mut request: Request<Incoming>,
    name: &'static str,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.headers().contains_key("upgrade") {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let (mut read, mut write) = split(TokioIo::new(upgraded));
            let _ = write.write_all(name.as_bytes()).await;
            let _ = copy(&mut read, &mut write).await;
        });
        let switched = Response::builder()
            .status(101)
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        return Ok(switched.body(Full::default()).unwrap());
    }
    let (parts, body) = request.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().map(headers_json);
    let echo = json!({
        "instance": name,
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "version": format!("{:?}", parts.version),
        "headers": headers_json(&parts.headers),
        "trailers": trailers,
        "length": collected.to_bytes().len(),
    });
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(Full::from(echo.to_string()))
        .unwrap())
}

fn headers_json(headers: &http::HeaderMap) -> serde_json::Value {
    headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect()
}
