//! One pooled HTTP client per engine, under the Docker client library.
//!
//! The library's own transports open a connection per request, never send an API version and drop a path
//! prefix. Here all three are done in one place, for every kind of [`Endpoint`].

mod dial;
mod meter;
mod refusal;
mod rewrite;
mod tls;
mod version;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::Docker;
use bytes::Bytes;
use futures::Stream;
use http::uri::Authority;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::dial::Connector;
use self::meter::{Allowance, Budget, Ended};
pub use self::refusal::TlsRefusal;
use self::rewrite::{Rewrite, RewriteError};
pub use self::tls::TlsError;
pub(crate) use self::version::ApiVersion;
use crate::docker::{Endpoint, Proxy};

/// Idle connections are dropped before a proxy in between forgets them.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// More than this many idle connections to one engine are of no use.
const POOL_SIZE: usize = 8;

/// Nothing to say: the library's own limit must never be the one that ends a call, since it covers the head
/// of an answer only. Every call is under a deadline of ours.
const LIBRARY_TIMEOUT_SECS: u64 = 24 * 3600;

/// The body type of the Docker client library.
pub(crate) type EngineBody = Either<
    Full<Bytes>,
    StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send>>>,
>;

/// Why a call brought no answer. The variants differ in what is known about its effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// No connection, so nothing was sent.
    #[error("no connection to the engine")]
    Connect(#[source] BoxError),
    /// TLS refused one side; nothing was processed.
    #[error("TLS was refused: {refusal}; {}", .refusal.fix())]
    Trust {
        refusal: TlsRefusal,
        #[source]
        source: BoxError,
    },
    /// The connection ended after something was sent: the effect is unknown.
    #[error("the connection broke before the answer was whole")]
    Broken(#[source] BoxError),
    /// What answers is not a Docker Engine that can be spoken to; nothing but a ping was sent.
    #[error("the engine answers, but {0}")]
    Unfit(String),
    /// The request itself could not be made.
    #[error("the request has no valid address")]
    Address(#[from] RewriteError),
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The way to one engine: a connection pool, the rewriting of requests, and the agreed API version.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client<Connector, EngineBody>,
    rewrite: Rewrite,
    /// The agreed version, 0 while none is.
    agreed: AtomicU32,
}

impl Transport {
    /// A transport to the engine at `endpoint`, or, with a [`Proxy`], to the one that `endpoint` serves
    /// under a path. Nothing is dialled yet.
    pub(crate) fn new(endpoint: &Endpoint, proxy: Option<&Proxy>) -> Result<Self, TlsError> {
        let mut rewrite = Rewrite::direct(authority(endpoint));
        if let Some(proxy) = proxy {
            rewrite = rewrite.behind(proxy.prefix(), proxy.headers().clone());
        }
        Ok(Self::over(dial::connector(endpoint)?, rewrite))
    }

    fn over(connector: Connector, rewrite: Rewrite) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_SIZE)
            // Only a request that no byte of was written is sent again, so this never doubles an effect.
            .retry_canceled_requests(true)
            .build(connector);
        Self {
            client,
            rewrite,
            agreed: AtomicU32::new(0),
        }
    }

    /// Sends `request`, in the agreed version of the API.
    pub(crate) async fn send(
        &self,
        mut request: Request<EngineBody>,
    ) -> Result<Response<Incoming>, WireError> {
        let version = match self.agreed() {
            Some(version) => version,
            None => self.negotiate().await?.spoken,
        };
        let allowance = Allowance::of(Rewrite::bare_path(request.uri().path()));
        self.rewrite.apply(&mut request, Some(version))?;
        self.exchange(request, allowance).await
    }

    /// Pings the engine and agrees on a version anew. An engine may have been exchanged behind its address,
    /// so this is done on every look at the host, not once.
    pub(crate) async fn negotiate(&self) -> Result<Ping, WireError> {
        let mut request = Request::get("/_ping")
            .body(bollard::body_full(Bytes::new()))
            .map_err(|e| WireError::Unfit(e.to_string()))?;
        self.rewrite.apply(&mut request, None)?;
        let answer = self.exchange(request, Allowance::Object).await?;
        let (head, body) = answer.into_parts();
        let status = head.status;
        if status == StatusCode::BAD_REQUEST && speaks_of_https(body).await {
            return Err(WireError::Unfit(
                "it wants TLS and not plain HTTP; configure it as `tls`, with its CA and a client certificate".into(),
            ));
        }
        if !status.is_success() {
            return Err(WireError::Unfit(format!(
                "it refuses a ping with {status}: is this a Docker Engine? Correct its address, or start the engine there"
            )));
        }
        let offered = head
            .headers
            .get("api-version")
            .and_then(|v| v.to_str().ok()?.parse::<ApiVersion>().ok())
            .ok_or_else(|| {
                WireError::Unfit(
                    "names no API version: is this a Docker Engine? Correct its address, or start the engine there"
                        .into(),
                )
            })?;
        let spoken = offered.agree().ok_or_else(|| {
            WireError::Unfit(format!(
                "speaks API {offered} at most; {} (Engine 20.10) is the oldest supported: update the engine",
                ApiVersion::OLDEST
            ))
        })?;
        if self.agreed.swap(spoken.to_bits(), Ordering::Relaxed) != spoken.to_bits() {
            tracing::debug!(%offered, %spoken, "agreed on a version of the engine's API");
        }
        Ok(Ping { offered, spoken })
    }

    /// Makes the next call negotiate: the engine refused the version.
    pub(crate) fn forget_version(&self) {
        self.agreed.store(0, Ordering::Relaxed);
    }

    fn agreed(&self) -> Option<ApiVersion> {
        match self.agreed.load(Ordering::Relaxed) {
            0 => None,
            bits => Some(ApiVersion::from_bits(bits)),
        }
    }

    async fn exchange(
        &self,
        request: Request<EngineBody>,
        allowance: Allowance,
    ) -> Result<Response<Incoming>, WireError> {
        let answer = self.client.request(request).await.map_err(sort)?;
        if let Some(budget) = answer.extensions().get::<Budget>() {
            budget.allow(allowance);
        }
        Ok(answer)
    }
}

/// What an engine says about itself in a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ping {
    /// Its newest version of the API.
    pub(crate) offered: ApiVersion,
    /// The version that is spoken.
    pub(crate) spoken: ApiVersion,
}

/// The Docker client library over `transport`.
pub(crate) fn library(transport: Arc<Transport>) -> Result<Docker, bollard::errors::Error> {
    Docker::connect_with_custom_transport(
        move |request: bollard::BollardRequest| {
            let transport = Arc::clone(&transport);
            async move {
                transport
                    .send(request)
                    .await
                    .map_err(|e| std::io::Error::other(e).into())
            }
        },
        Some("http://engine"),
        LIBRARY_TIMEOUT_SECS,
        bollard::API_DEFAULT_VERSION,
    )
}

/// The authority stands in the `Host` header; a unix socket has none, and engines want one that parses.
fn authority(endpoint: &Endpoint) -> Authority {
    let named = match endpoint {
        Endpoint::Unix { .. } => None,
        Endpoint::Tcp { host, port, .. } | Endpoint::Tls { host, port, .. } => {
            Authority::try_from(format!("{}:{port}", crate::docker::bracketed(host))).ok()
        }
    };
    named.unwrap_or_else(|| Authority::from_static("engine"))
}

/// Web servers answer plain HTTP on a port for TLS, an engine among them, in plain HTTP and in a sentence of their own.
async fn speaks_of_https(body: Incoming) -> bool {
    const SENTENCE: usize = 4096;
    let read = Limited::new(body, SENTENCE).collect().await;
    read.is_ok_and(|said| String::from_utf8_lossy(&said.to_bytes()).contains("HTTPS"))
}

/// Sorts a client error by what it says about the effect.
fn sort(error: hyper_util::client::legacy::Error) -> WireError {
    let refusal = TlsRefusal::find(&error).or_else(|| {
        let mut known = http::Extensions::new();
        error.connect_info()?.get_extras(&mut known);
        known.get::<Ended>()?.refusal()
    });
    match (refusal, error.is_connect()) {
        (Some(refusal), _) => WireError::Trust {
            refusal,
            source: error.into(),
        },
        (None, true) => WireError::Connect(error.into()),
        (None, false) => WireError::Broken(error.into()),
    }
}

/// An error and what is beneath it. `std::io::Error` hides a wrapped error from `source`, so it is asked by itself.
pub(crate) fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |e| match e.downcast_ref::<std::io::Error>() {
        Some(io) => io
            .get_ref()
            .map(|inner| inner as &(dyn std::error::Error + 'static)),
        None => e.source(),
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::task::{Context, Poll};

    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;
    use crate::engine::transport::meter::Metered;

    const CALLS: u32 = 4000;

    /// A session whose other side refuses our certificate when it has been read from so often in vain.
    struct Refuses(u32);

    impl AsyncRead for Refuses {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Some(left) = self.0.checked_sub(1) else {
                let alert = rustls::AlertDescription::BadCertificate;
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    rustls::Error::AlertReceived(alert),
                )));
            };
            self.0 = left;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    impl AsyncWrite for Refuses {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// The word may come before the connection is ready, while the request is on its way to it, or after. The second
    /// needs threads that race: of so many calls some meet it, most of the time.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_refused_certificate_is_told_whenever_the_word_of_it_comes() {
        let mut lost = 0;
        for call in 0..CALLS {
            match refused(call % 4).await {
                Some(WireError::Trust { refusal, .. }) => assert_eq!(refusal, TlsRefusal::Client),
                Some(other) => panic!("{other:?}"),
                None => lost += 1,
            }
        }
        assert!(lost < 4, "{lost} lost");
    }

    /// What is told of a session that refuses after so many reads; `None` where the library lost the request, as it does
    /// with one of some 15,000 that meet the end of their connection: the deadline of a call is there for it.
    async fn refused(reads: u32) -> Option<WireError> {
        let dial = tower::service_fn(move |_: http::Uri| async move {
            Ok::<_, io::Error>(TokioIo::new(Metered::new(Refuses(reads))))
        });
        let rewrite = Rewrite::direct(Authority::from_static("engine"));
        let transport = Transport::over(Connector::new(dial), rewrite);
        let asked = tokio::time::timeout(Duration::from_secs(1), transport.negotiate()).await;
        asked.ok().map(|answer| answer.unwrap_err())
    }
}
