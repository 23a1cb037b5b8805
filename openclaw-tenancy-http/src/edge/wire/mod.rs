//! A stream that hands hyper only well-framed HTTP/1.1, and takes its time away from those who drip.
//!
//! hyper reads some messages in more than one way's favour: it drops a length beside a coding and forgives bare
//! line feeds. Behind or before another server that reads them otherwise this is request smuggling. So each head
//! is held back until it is complete and has passed [`head::check`], and each body is followed to its end, which
//! also shows where the next head begins. What is wrong is answered through the ordinary path: hyper is handed a
//! request of ours in its place, with a method that no client can send.

mod chunked;
#[cfg(test)]
mod fuzz;
mod head;
mod link;
mod timer;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::chunked::Chunked;
use self::head::Framing;
pub(crate) use self::link::Link;
use self::timer::Timer;

/// A request head may have this many bytes.
const MAX_HEAD: usize = 16 * 1024;
/// A request may have this many headers.
const MAX_HEADERS: usize = 100;
/// The method of the request that stands for one that was refused. No client's head with it passes.
pub(crate) const FAULT_METHOD: &str = "!";
const FAULT_REQUEST: &[u8] = b"! / HTTP/1.1\r\nhost: fault\r\nconnection: close\r\n\r\n";
/// After an answer to a body that was not read, this much of it is still taken off the client, so that the answer
/// is not lost to a reset.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// What is wrong with a request before it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not HTTP/1.1 as [`head::check`] wants it.
    Malformed(&'static str),
    /// Its head is longer than [`MAX_HEAD`].
    HeadTooLong,
    /// It has more than [`MAX_HEADERS`].
    TooManyHeaders,
    /// Its head took too long.
    HeadTimeout,
}

/// How long a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the first byte of a head to its last; also from the connection to the first byte.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Between two pieces of a body, in either direction.
    pub stall: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Head,
    Length(u64),
    Chunked(Chunked),
    /// The stream is a tunnel now.
    Raw,
    /// A head was refused; hyper gets no more.
    Refused,
    /// A body was refused: hyper gets an error.
    Broken,
}

/// The stream.
#[derive(Debug)]
pub(crate) struct Strict<IO> {
    io: IO,
    link: Arc<Link>,
    patience: Patience,
    expect: Expect,
    /// Read and not yet handed on: `approved` bytes to be handed on, then the beginning of a head.
    held: BytesMut,
    approved: usize,
    /// So much of the beginning of a head has no end of it.
    scanned: usize,
    first: bool,
    reading: Timer,
    writing: Timer,
    lingered: usize,
}

impl<IO> Strict<IO> {
    pub(crate) fn new(io: IO, link: Arc<Link>, patience: Patience) -> Self {
        Self {
            io,
            link,
            patience,
            expect: Expect::Head,
            held: BytesMut::new(),
            approved: 0,
            scanned: 0,
            first: true,
            reading: Timer::default(),
            writing: Timer::default(),
            lingered: 0,
        }
    }

    /// How many of `bytes` may be handed on, and what is wrong with the first one that may not.
    fn judge(&mut self, bytes: &[u8]) -> (usize, Option<Fault>) {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match &mut self.expect {
                Expect::Raw => return (bytes.len(), None),
                Expect::Refused | Expect::Broken => return (at, None),
                Expect::Head => match self.judge_head(rest) {
                    Ok(Some((length, framing))) => {
                        at += length;
                        self.scanned = 0;
                        self.first = false;
                        self.expect = match framing {
                            Framing::Length(0) => Expect::Head,
                            Framing::Length(length) => Expect::Length(length),
                            Framing::Chunked => Expect::Chunked(Chunked::START),
                        };
                    }
                    Ok(None) => return (at, None),
                    Err(fault) => return (at, Some(fault)),
                },
                Expect::Length(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    at += take;
                    *left -= take as u64;
                    if *left > 0 {
                        return (at, None);
                    }
                    self.expect = Expect::Head;
                }
                Expect::Chunked(state) => match state.feed(rest) {
                    Ok(taken) => {
                        at += taken;
                        if *state != Chunked::End {
                            return (at, None);
                        }
                        self.expect = Expect::Head;
                    }
                    Err(fault) => return (at, Some(fault)),
                },
            }
        }
    }

    /// Length and framing of the head that `bytes` begin with, once it is complete.
    fn judge_head(&mut self, bytes: &[u8]) -> Result<Option<(usize, Framing)>, Fault> {
        let mut at = self.scanned.min(bytes.len());
        while let Some(found) = bytes[at..].iter().position(|&b| b == b'\n') {
            let line_end = at + found;
            if line_end >= MAX_HEAD {
                return Err(Fault::HeadTooLong);
            }
            let before = &bytes[..line_end];
            // Said at once: a parser that takes a bare LF for an end of line would see a whole head here.
            if !before.ends_with(b"\r") {
                return Err(Fault::Malformed("a line does not end with CR LF"));
            }
            at = line_end + 1;
            if before.ends_with(b"\r\n\r") || line_end == 1 {
                return head::check(&bytes[..at]).map(|framing| Some((at, framing)));
            }
        }
        if bytes.len() > MAX_HEAD {
            return Err(Fault::HeadTooLong);
        }
        self.scanned = bytes.len();
        Ok(None)
    }

    /// Puts our own request in the place of the one refused, after what has been approved; breaks a body.
    fn refuse(&mut self, fault: Fault) {
        let head = std::mem::take(&mut self.held);
        let approved = &head[..self.approved];
        self.link.set_fault(fault, &head[self.approved..]);
        if self.expect == Expect::Head {
            self.held.extend_from_slice(approved);
            self.held.extend_from_slice(FAULT_REQUEST);
            self.approved = self.held.len();
            self.expect = Expect::Refused;
        } else {
            self.held.extend_from_slice(approved);
            self.expect = Expect::Broken;
        }
    }

    fn hand_on(&mut self, out: &mut ReadBuf<'_>) {
        let count = self.approved.min(out.remaining());
        out.put_slice(&self.held[..count]);
        self.held.advance(count);
        self.approved -= count;
    }

    /// For how long the client may be silent now; `None` while it is we who are working.
    fn allowed(&self) -> Option<Duration> {
        match self.expect {
            Expect::Length(_) | Expect::Chunked(_) => Some(self.patience.stall),
            Expect::Head if self.link.is_busy() => None,
            Expect::Head if self.first || !self.held.is_empty() => Some(self.patience.head),
            Expect::Head => Some(self.patience.idle),
            Expect::Raw | Expect::Refused | Expect::Broken => None,
        }
    }

    /// What a read comes to when the client was silent for too long; `None`: there is something to hand on.
    fn on_silence(&mut self) -> Option<io::Result<()>> {
        match self.expect {
            Expect::Head if !self.held.is_empty() => {
                self.refuse(Fault::HeadTimeout);
                None
            }
            // Nothing is under way: the connection ends as if the client had ended it.
            Expect::Head => {
                self.expect = Expect::Refused;
                Some(Ok(()))
            }
            _ => Some(Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<IO: AsyncRead + Unpin> Strict<IO> {
    /// Reads and judges; afterwards `out` has what may be handed on at once, the rest is held.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Progress>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, out))?;
        let count = out.filled().len() - before;
        if count == 0 {
            return Poll::Ready(Ok(Progress::End));
        }
        self.link.moved(count);
        // Straight through where nothing is held, which is nearly always: no copy.
        let (approved, fault) = if self.held.is_empty() {
            // The time for a head begins with its first byte.
            self.reading.clear();
            let fresh = &out.filled()[before..];
            let (approved, fault) = self.judge(fresh);
            self.held
                .extend_from_slice(&out.filled()[before + approved..]);
            out.set_filled(before + approved);
            (approved, fault)
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(&out.filled()[before..]);
            out.set_filled(before);
            let (approved, fault) = self.judge(&held);
            self.held = held;
            self.approved = approved;
            (approved, fault)
        };
        if approved > 0 {
            self.reading.clear();
        }
        if let Some(fault) = fault {
            self.refuse(fault);
        }
        Poll::Ready(Ok(Progress::Bytes))
    }

    /// Takes what a client still sends after its answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0_u8; 4096];
        while self.lingered < LINGER_BYTES {
            let mut out = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut out) {
                Poll::Ready(Ok(())) if !out.filled().is_empty() => {
                    self.lingered += out.filled().len()
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.reading.poll_elapsed(cx, LINGER),
            }
        }
        Poll::Ready(())
    }
}

enum Progress {
    Bytes,
    End,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Strict<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = out.filled().len();
        loop {
            if this.approved == 0 && this.link.is_raw() && this.expect == Expect::Head {
                this.expect = Expect::Raw;
                this.approved = this.held.len();
            }
            if this.approved > 0 {
                this.hand_on(out);
                return Poll::Ready(Ok(()));
            }
            match this.expect {
                Expect::Refused => return Poll::Pending,
                Expect::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Expect::Raw | Expect::Head | Expect::Length(_) | Expect::Chunked(_) => {}
            }
            match this.poll_fill(cx, out) {
                Poll::Ready(Ok(Progress::Bytes)) if out.filled().len() == before => {}
                Poll::Ready(done) => return Poll::Ready(done.map(drop)),
                Poll::Pending => {
                    let Some(allowed) = this.allowed() else {
                        this.link.reader_waits(cx);
                        this.reading.clear();
                        return Poll::Pending;
                    };
                    ready!(this.reading.poll_elapsed(cx, allowed));
                    this.reading.clear();
                    if let Some(end) = this.on_silence() {
                        return Poll::Ready(end);
                    }
                }
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Strict<IO> {
    fn timed<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.writing.clear();
            return done;
        }
        ready!(self.writing.poll_elapsed(cx, self.patience.stall));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Strict<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = &done {
            self.link.moved(*count);
        }
        self.timed(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        if let Poll::Ready(Ok(count)) = &done {
            self.link.moved(*count);
        }
        self.timed(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.io).poll_flush(cx);
        self.timed(cx, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        let unread = !matches!(self.expect, Expect::Head | Expect::Raw);
        if unread {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
