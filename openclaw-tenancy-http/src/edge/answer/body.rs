//! The body of any answer, and what ends with it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::edge::connection::Exchange;
use crate::edge::upstream::RelayedBody;

/// The body of an answer: the edge's own, or an instance's on its way through.
#[derive(Debug)]
pub(in crate::edge) struct AnswerBody {
    kind: Kind,
    /// The request is under way until its answer's body is gone.
    _exchange: Option<Exchange>,
}

#[derive(Debug)]
enum Kind {
    Own(Option<Bytes>),
    Relayed(RelayedBody),
    Plain(Incoming),
}

impl AnswerBody {
    pub(in crate::edge) const fn own(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Own(Some(bytes)),
            _exchange: None,
        }
    }

    pub(in crate::edge) const fn empty() -> Self {
        Self {
            kind: Kind::Own(None),
            _exchange: None,
        }
    }

    pub(in crate::edge) const fn relayed(body: RelayedBody) -> Self {
        Self {
            kind: Kind::Relayed(body),
            _exchange: None,
        }
    }

    /// A body whose connection somebody else drives.
    pub(in crate::edge) const fn plain(body: Incoming) -> Self {
        Self {
            kind: Kind::Plain(body),
            _exchange: None,
        }
    }

    /// Keeps `exchange` until the body is gone.
    pub(in crate::edge) fn during(self, exchange: Exchange) -> Self {
        Self {
            _exchange: Some(exchange),
            ..self
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.get_mut().kind {
            Kind::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Relayed(body) => Pin::new(body).poll_frame(cx),
            Kind::Plain(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(bytes) => bytes.is_none(),
            Kind::Relayed(body) => body.is_end_stream(),
            Kind::Plain(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Relayed(body) => body.size_hint(),
            Kind::Plain(body) => body.size_hint(),
        }
    }
}
