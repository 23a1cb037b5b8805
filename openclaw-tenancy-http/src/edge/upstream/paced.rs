//! A connection to an instance that takes no more of the edge's time than its turn.
//!
//! An instance is its tenant's code and may send as fast as a socket takes it. Who reads such a socket until it is
//! empty reads for ever, and nothing else runs on its thread: not even a deadline. Two bounds hold here:
//!
//! - After [`TURN`] the connection waits as if its socket were empty, and everything else has its turn, the system's
//!   sockets and timers among it.
//! - A head that is waited for comes within [`MAX_BEFORE_ANSWER`]. hyper takes any number of interim answers (1xx)
//!   before it, and each costs more to read than to send.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// In bytes: so much goes one way before everything else has its turn.
const TURN: usize = 64 * 1024;
/// In bytes. The longest head (64 KiB) and what hyper reads beyond it (twice that at most), and as much again as the
/// longest head for interim answers: 16 000 of the shortest, some milliseconds.
const MAX_BEFORE_ANSWER: usize = 256 * 1024;
/// No answer is waited for.
const NONE: usize = usize::MAX;

/// What has been done since everything else had its turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    taken: usize,
    rest: Option<Arc<Rest>>,
}

/// While everything else has its turn. hyper asks again within one poll: only the runtime can say that it is over.
#[derive(Debug, Default)]
struct Rest {
    over: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Rest {
    fn wake(self: Arc<Self>) {
        self.over.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Turn {
    /// Pending once the turn is over; whoever polls is woken for the next one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.taken < TURN {
            return Poll::Ready(());
        }
        let rest = self.rest.get_or_insert_with(|| {
            let rest = Arc::<Rest>::default();
            let waker = Waker::from(Arc::clone(&rest));
            // More than waking ourselves: the runtime looks at its sockets and timers first.
            let _pending = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(&waker));
            rest
        });
        // Each time: a connection goes from task to task.
        rest.task.register(cx.waker());
        if !rest.over.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        *self = Self::default();
        Poll::Ready(())
    }

    /// So many bytes have gone through.
    pub(super) const fn took(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes);
    }

    /// There was nothing to do: everything else has its turn.
    pub(super) const fn rested(&mut self) {
        self.taken = 0;
    }

    fn count(&mut self, done: &Poll<io::Result<usize>>) {
        match done {
            Poll::Ready(Ok(bytes)) => self.took(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.rested(),
        }
    }
}

/// Whether an answer's head is waited for on a connection, and how much has come since. Whoever drives the connection
/// and whoever sends on it are one task: the orderings need not be stronger than relaxed.
#[derive(Debug, Clone)]
pub(in crate::edge) struct Awaited(Arc<AtomicUsize>);

impl Awaited {
    /// A request goes out.
    pub(in crate::edge) fn begin(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Its answer's head is here.
    pub(in crate::edge) fn end(&self) {
        self.0.store(NONE, Ordering::Relaxed);
    }

    fn is_exceeded(&self) -> bool {
        (MAX_BEFORE_ANSWER..NONE).contains(&self.0.load(Ordering::Relaxed))
    }

    fn came(&self, bytes: usize) {
        let before = self.0.load(Ordering::Relaxed);
        if before != NONE {
            self.0
                .store(before.saturating_add(bytes), Ordering::Relaxed);
        }
    }
}

/// The connection.
#[derive(Debug)]
pub(in crate::edge) struct Paced<IO> {
    io: IO,
    awaited: Awaited,
    reading: Turn,
    writing: Turn,
}

impl<IO> Paced<IO> {
    pub(in crate::edge) fn new(io: IO) -> (Self, Awaited) {
        let awaited = Awaited(Arc::new(AtomicUsize::new(NONE)));
        let paced = Self {
            io,
            awaited: awaited.clone(),
            reading: Turn::default(),
            writing: Turn::default(),
        };
        (paced, awaited)
    }
}

/// Whether an instance sent more before its answer than it may.
pub(super) fn is_flood(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Flood>())
}

#[derive(Debug, thiserror::Error)]
#[error("the instance sent {MAX_BEFORE_ANSWER} bytes without the head of its answer")]
struct Flood;

impl<IO: AsyncRead + Unpin> AsyncRead for Paced<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.awaited.is_exceeded() {
            return Poll::Ready(Err(io::Error::other(Flood)));
        }
        ready!(self.reading.poll(cx));
        let before = out.filled().len();
        let done = Pin::new(&mut self.io).poll_read(cx, out);
        let done = done.map_ok(|()| out.filled().len() - before);
        self.reading.count(&done);
        done.map_ok(|bytes| self.awaited.came(bytes))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Paced<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.writing.poll(cx));
        let done = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.writing.count(&done);
        done
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.writing.poll(cx));
        let done = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.writing.count(&done);
        done
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
