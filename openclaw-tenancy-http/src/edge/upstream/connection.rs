//! One HTTP/1.1 connection to an instance, driven by whoever uses it.

use std::error::Error as _;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::paced::{Awaited, Paced, is_flood};
use super::{Backend, DialError, Place, RelayedBody, RequestBody};

/// An answer's head may be this large.
pub(in crate::edge) const MAX_HEAD: usize = 64 * 1024;

/// A connection and what moves it.
pub(super) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    /// `None` once it has ended.
    driver: Option<http1::Connection<TokioIo<Paced<TcpStream>>, RequestBody>>,
    awaited: Awaited,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("open", &self.driver.is_some())
            .finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) async fn open(stream: TcpStream) -> Result<Self, DialError> {
        let (stream, awaited) = Paced::new(stream);
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| DialError::Refused)?;
        Ok(Self {
            sender,
            driver: Some(driver),
            awaited,
        })
    }

    /// Lets the connection do what it can.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// Whether the other side has not closed it, nor sent what nobody asked for.
    pub(super) fn still_usable(mut self: Box<Self>) -> Option<Box<Self>> {
        self.drive(&mut Context::from_waker(Waker::noop()));
        (self.driver.is_some() && self.sender.is_ready()).then_some(self)
    }
}

/// Whether the connection ended before an answer's head was complete. An answer that is no HTTP is another error, and
/// so is one that does not come for all that is sent.
pub(in crate::edge) fn ended_early(error: &hyper::Error) -> bool {
    error.is_canceled()
        || error.is_incomplete_message()
        || error
            .source()
            .and_then(|source| source.downcast_ref::<io::Error>())
            .is_some_and(|error| !is_flood(error))
}

/// A connection while one request is under way on it.
#[derive(Debug)]
pub(in crate::edge) struct Lease {
    connection: Box<Connection>,
    place: Place,
    reused: bool,
}

impl Lease {
    pub(super) fn new(connection: Box<Connection>, place: Place, reused: bool) -> Self {
        Self {
            connection,
            place,
            reused,
        }
    }

    /// Whether the connection had served before: then it may be closed under the request.
    pub(in crate::edge) const fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends the request; the answer's body keeps the connection.
    pub(in crate::edge) async fn send(
        mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<RelayedBody>, hyper::Error> {
        self.connection.awaited.begin();
        let mut answer = pin!(self.connection.sender.send_request(request));
        let answer = poll_fn(|cx| {
            self.connection.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await;
        self.connection.awaited.end();
        answer.map(|response| response.map(|body| RelayedBody::new(body, self)))
    }

    /// The body, moved on by the connection first.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, hyper::Error>>> {
        self.connection.drive(cx);
        hyper::body::Body::poll_frame(Pin::new(body), cx)
    }

    /// The answer has been read to its end: the connection may serve again.
    pub(super) fn finish(self) {
        let backend: &Arc<Backend> = &self.place.0;
        if let Some(connection) = self.connection.still_usable() {
            backend.keep(connection);
        }
    }
}
