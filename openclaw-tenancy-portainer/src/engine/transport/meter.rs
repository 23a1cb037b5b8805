//! A connection that counts what it reads, so that an answer cannot grow without end.
//!
//! The Docker client wants hyper's own body type back, which cannot be wrapped in a limit; the bytes are
//! therefore counted where they come in. HTTP/1.1 carries one answer at a time on a connection, so the
//! allowance of a connection is the allowance of its answer.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::refusal::TlsRefusal;

/// What a status line and its headers may take, before the kind of answer is known.
const HEAD: u64 = 1 << 20;

/// How large an answer may be, by what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowance {
    /// One object, or the text of an error.
    Object,
    /// A listing of everything on a host, the progress of a pull, a log.
    Long,
}

impl Allowance {
    /// The kind of answer that `path` (without a version) brings.
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/containers/json" | "/volumes" | "/networks" | "/images/create" => Self::Long,
            _ if path.ends_with("/logs") => Self::Long,
            _ => Self::Object,
        }
    }

    const fn bytes(self) -> u64 {
        match self {
            Self::Object => 4 << 20,
            Self::Long => 64 << 20,
        }
    }
}

/// The allowance of one connection; found in the extensions of each answer that came over it.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicU64>);

impl Budget {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(HEAD)))
    }

    /// Sets what the answer may still take; the head of the connection's next answer is on top.
    pub(super) fn allow(&self, allowance: Allowance) {
        self.0.store(allowance.bytes() + HEAD, Ordering::Relaxed);
    }

    fn spend(&self, bytes: u64) -> io::Result<()> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .map(drop)
            .map_err(|_| io::Error::other("the answer is larger than any honest one"))
    }
}

/// Why the other side ended a connection; found in what an error tells of its connection. An engine that refuses our
/// certificate may have said so before there was a request to fail by it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ended(Arc<OnceLock<TlsRefusal>>);

impl Ended {
    pub(super) fn refusal(&self) -> Option<TlsRefusal> {
        self.0.get().copied()
    }
}

/// What the dialler may return: a socket, or a TLS session on one.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A dialled connection with its allowance.
pub(super) struct Metered {
    inner: Box<dyn Duplex>,
    budget: Budget,
    ended: Ended,
}

impl std::fmt::Debug for Metered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metered")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl Metered {
    pub(super) fn new(inner: impl Duplex + 'static) -> Self {
        Self {
            inner: Box::new(inner),
            budget: Budget::new(),
            ended: Ended::default(),
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = std::task::ready!(Pin::new(&mut *self.inner).poll_read(cx, buf));
        if let Some(refusal) = read.as_ref().err().and_then(|e| TlsRefusal::find(e)) {
            self.ended.0.get_or_init(|| refusal);
        }
        read?;
        let taken = buf.filled().len() - before;
        Poll::Ready(self.budget.spend(taken as u64))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner).poll_write_vectored(cx, bufs)
    }
}

impl Connection for Metered {
    fn connected(&self) -> Connected {
        Connected::new()
            .extra(self.budget.clone())
            .extra(self.ended.clone())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn long_answers_are_told_from_objects() {
        for (path, expected) in [
            ("/containers/json", Allowance::Long),
            ("/containers/create", Allowance::Object),
            ("/containers/0f/json", Allowance::Object),
            ("/containers/0f/logs", Allowance::Long),
            ("/images/create", Allowance::Long),
            ("/volumes", Allowance::Long),
            ("/volumes/create", Allowance::Object),
            ("/networks/0f", Allowance::Object),
        ] {
            assert_eq!(Allowance::of(path), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn reading_past_the_allowance_is_an_error() {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let writer = tokio::spawn(async move {
            let chunk = vec![0_u8; 1 << 16];
            // Ends when the reader hangs up.
            while tokio::io::AsyncWriteExt::write_all(&mut far, &chunk)
                .await
                .is_ok()
            {}
        });
        let mut metered = Metered::new(near);
        let mut sink = Vec::new();
        let refused = (&mut metered).take(HEAD * 2).read_to_end(&mut sink).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::Other);
        assert!(sink.len() as u64 <= HEAD);
        metered.budget.allow(Allowance::Object);
        assert!(metered.read(&mut [0_u8; 16]).await.is_ok());
        drop(metered);
        writer.await.unwrap();
    }
}
