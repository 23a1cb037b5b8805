//! Bodies on their way through, never collected.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::Lease;
use super::paced::Turn;

/// A piece of a body costs as much as so many bytes, however small it is.
const PIECE: usize = 1024;

/// A request's body on its way to an instance.
#[derive(Debug)]
pub(in crate::edge) enum RequestBody {
    /// There is none.
    Empty,
    /// The client's, of which so many bytes may still come.
    Upload {
        /// The client's.
        body: Incoming,
        /// In bytes.
        left: u64,
    },
}

impl RequestBody {
    pub(in crate::edge) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

/// Why an upload ended before its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::edge) enum BodyFault {
    /// It is larger than it may be.
    #[error("the upload is too large")]
    TooLarge,
    /// The client broke off, or what it sent is not a body.
    #[error("the client's body broke off")]
    Client(#[source] hyper::Error),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Self::Upload { body, left } = self.get_mut() else {
            return Poll::Ready(None);
        };
        let Some(frame) = ready!(Pin::new(body).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(match frame.map(Frame::into_data) {
            Ok(Ok(data)) => match left.checked_sub(data.len() as u64) {
                Some(rest) => {
                    *left = rest;
                    Some(Ok(Frame::data(data)))
                }
                None => Some(Err(BodyFault::TooLarge)),
            },
            // Trailers could name what only we may name (a user, a forwarded address): they end here.
            Ok(Err(_trailers)) => None,
            Err(error) => Some(Err(BodyFault::Client(error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upload { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upload { body, .. } => body.size_hint(),
        }
    }
}

/// An answer's body on its way back. Gives its connection back at its end, and closes it when dropped before.
#[derive(Debug)]
pub(in crate::edge) struct RelayedBody {
    body: Incoming,
    lease: Option<Lease>,
    ended: bool,
    turn: Turn,
}

impl RelayedBody {
    pub(super) fn new(body: Incoming, lease: Lease) -> Self {
        Self {
            body,
            lease: Some(lease),
            ended: false,
            turn: Turn::default(),
        }
    }
}

impl Body for RelayedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        // Of one read there may be thousands of pieces: they are counted apart from what is read.
        ready!(this.turn.poll(cx));
        let frame = match &mut this.lease {
            Some(lease) => lease.poll_body(&mut this.body, cx),
            None => Pin::new(&mut this.body).poll_frame(cx),
        };
        let Poll::Ready(frame) = frame else {
            this.turn.rested();
            return Poll::Pending;
        };
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => 0,
        };
        this.turn.took(length.max(PIECE));
        let frame = frame.filter(|frame| !frame.as_ref().is_ok_and(Frame::is_trailers));
        this.ended = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RelayedBody {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take()
            && (self.ended || self.body.is_end_stream())
        {
            lease.finish();
        }
    }
}
