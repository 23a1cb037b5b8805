//! Whether an instance is ready, asked over the way that the edge takes.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, select};
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openclaw_tenancy::probe::{InstanceProbe, Readiness};
use openclaw_tenancy::routes::Upstream;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client;
use super::upstream::{MAX_HEAD, Paced};

/// While it starts, an instance's event loop stalls for seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// The answer has 30 bytes.
const MAX_BODY: usize = 4096;
/// `OpenClaw`: 200 and `{"ok":true,"status":"started"}` once it serves; any other path may answer 200 much sooner.
const PATH: &str = "/startupz";

/// Asks `/startupz`.
///
/// # Examples
/// ```
/// use openclaw_tenancy::probe::{InstanceProbe, Readiness};
/// use openclaw_tenancy::routes::Upstream;
/// use openclaw_tenancy_http::edge::HttpProbe;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let nobody = Upstream::Direct("127.0.0.1:9".parse()?);
/// assert_eq!(HttpProbe.probe(&nobody).await, Readiness::Starting);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpProbe;

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    status: String,
}

#[async_trait]
impl InstanceProbe for HttpProbe {
    async fn probe(&self, upstream: &Upstream) -> Readiness {
        match timeout(PATIENCE, ask(upstream)).await {
            Ok(Some(answer)) => readiness(&answer),
            Ok(None) | Err(_) => Readiness::Starting,
        }
    }
}

fn readiness(answer: &Answer) -> Readiness {
    match (answer.ok, answer.status.as_str()) {
        (true, "started") => Readiness::Started,
        (false, "needs_repair" | "needs-repair") => Readiness::NeedsRepair,
        _ => Readiness::Starting,
    }
}

async fn ask(upstream: &Upstream) -> Option<Answer> {
    let Upstream::Direct(address) = *upstream;
    let stream = TcpStream::connect(address).await.ok()?;
    let (stream, awaited) = Paced::new(stream);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let request = Request::get(PATH)
        .header(header::HOST, address.to_string())
        // From a trusted proxy, which we are, every request must say for whom it is: here, for this machine.
        .header(
            HeaderName::from_static("x-forwarded-for"),
            client::header(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        )
        .header(
            HeaderName::from_static("x-forwarded-proto"),
            HeaderValue::from_static("http"),
        )
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::<Bytes>::new())
        .ok()?;
    let asked = async {
        awaited.begin();
        let response = sender.send_request(request).await.ok()?;
        awaited.end();
        let body = Limited::new(response.into_body(), MAX_BODY)
            .collect()
            .await
            .ok()?;
        serde_json::from_slice(&body.to_bytes()).ok()
    };
    match select(pin!(asked), connection).await {
        Either::Left((answer, _)) => answer,
        // The connection has ended: what it brought is still to be read.
        Either::Right((_, asked)) => asked.await,
    }
}
