//! One connection to a listener of ours: hyper on the edge's strict stream.
//!
//! Requests are read by the edge's rules of framing (safety row A18): what it refuses, this refuses. A refused head
//! goes to the router as a request with a [`HeadFault`] among its extensions, to be answered like any other, and in the
//! form and language that it asked for as far as it was read.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::Uri;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use openclaw_tenancy::clock::Clock;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::access::accept::may_end;
use crate::access::tossed;
use crate::api::problem::{EndCookies, HeadFault};
use crate::edge::Patience;
use crate::edge::wire::{FAULT_METHOD, Fault, Link, Strict};

/// How long a client may leave a body or an answer where it is.
const STALL: Duration = Duration::from_secs(30);
/// What hyper may keep of what it reads: a whole head of the longest that passes (safety row A26).
const BUFFER: usize = 32 * 1024;

/// Serves one connection until it ends, or until `stop`: then what is under way is finished first.
pub(super) async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head: Duration,
    (stop, clock): (CancellationToken, Arc<dyn Clock>),
) {
    // Small answers must not wait for an acknowledgement (Nagle); a socket that refuses this still works.
    let _ = stream.set_nodelay(true);
    let link = Arc::<Link>::default();
    let patience = Patience {
        head,
        idle: head,
        stall: STALL,
    };
    let stream = Strict::new(stream, Arc::clone(&link), patience);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let busy = Busy::begin(&link);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        if request.method().as_str() == FAULT_METHOD {
            // No path of anybody's.
            *request.uri_mut() = Uri::from_static("*");
            let fault = head_fault(&link);
            request.extensions_mut().insert(fault);
            if let Some((_, head)) = link.fault() {
                request.headers_mut().extend(tossed::manners(head));
                if fault == HeadFault::TooLarge {
                    request
                        .extensions_mut()
                        .insert(EndCookies(tossed::end(head)));
                }
            }
        }
        let answer = router.clone().oneshot(request);
        async move {
            let answer = answer.await.unwrap_or_else(|never| match never {});
            Ok::<_, Infallible>(answer.map(|body| Answering { body, _busy: busy }))
        }
    });
    // The stream measures the time for a head and counts headers.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = may_end(&stop, &*clock) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients that go away or are too slow: nothing that an operator could do anything about.
        tracing::debug!(error = %openclaw_tenancy::error::chain(&error), "a connection ended early");
    }
}

fn head_fault(link: &Link) -> HeadFault {
    match link.fault() {
        Some((Fault::Malformed(what), _)) => HeadFault::Malformed { what },
        Some((Fault::HeadTooLong | Fault::TooManyHeaders, _)) => HeadFault::TooLarge,
        Some((Fault::HeadTimeout, _)) => HeadFault::Late,
        None => HeadFault::Malformed {
            what: "the method is not an upper-case word",
        },
    }
}

/// A request under way, until its answer has gone: meanwhile the client need not say anything.
#[derive(Debug)]
struct Busy(Arc<Link>);

impl Busy {
    fn begin(link: &Arc<Link>) -> Self {
        link.set_busy(true);
        Self(Arc::clone(link))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set_busy(false);
        self.0.wake_reader();
    }
}

/// An answer's body on its way.
#[derive(Debug)]
struct Answering {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
