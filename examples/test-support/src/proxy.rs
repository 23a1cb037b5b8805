//! A TCP proxy that misbehaves on purpose: the network between a client and a database or an engine.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What the proxy does with what passes through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// Nothing passes, and nobody is told: what arrives is held until the mode changes.
    Stall,
    /// Each reply comes late by this much.
    Delay(Duration),
    /// A request that contains this is passed on; when its reply comes, the connection is cut instead.
    LoseReplyTo(&'static str),
    /// A request that contains this is held, with everything after it, until the mode changes.
    HoldRequest(&'static str),
}

/// A proxy on a loopback port of its own. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

/// Where everything is passed to.
#[derive(Debug)]
enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, Clone)]
struct Control {
    mode: Mode,
    /// Connections of an earlier one are cut.
    generation: u64,
}

#[derive(Debug, Default)]
struct Counts {
    lost: AtomicU64,
    held: AtomicU64,
    released: AtomicU64,
    answered: AtomicU64,
    abandoned: AtomicU64,
}

impl Proxy {
    /// Listens, and passes everything to `upstream`.
    ///
    /// # Errors
    /// No loopback port can be had.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        Self::before(Upstream::Tcp(upstream)).await
    }

    /// Listens, and passes everything to the Unix socket at `upstream`.
    ///
    /// # Errors
    /// No loopback port can be had.
    pub async fn start_before_socket(upstream: &Path) -> io::Result<Self> {
        Self::before(Upstream::Unix(upstream.to_owned())).await
    }

    async fn before(upstream: Upstream) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (control, watched) = watch::channel(Control {
            mode: Mode::Pass,
            generation: 0,
        });
        let counts = Arc::new(Counts::default());
        let accepting = tokio::spawn(accept(listener, upstream, watched, Arc::clone(&counts)));
        Ok(Self {
            address,
            control,
            counts,
            accepting,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens from now on, also on the connections there are.
    pub fn set(&self, mode: Mode) {
        self.control.send_modify(|control| control.mode = mode);
    }

    /// Cuts every connection there is.
    pub fn cut(&self) {
        self.control.send_modify(|control| control.generation += 1);
    }

    /// How many replies were lost by [`Mode::LoseReplyTo`].
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::SeqCst)
    }

    /// How many requests were held by [`Mode::HoldRequest`].
    #[must_use]
    pub fn held(&self) -> u64 {
        self.counts.held.load(Ordering::SeqCst)
    }

    /// What became of the requests that were held, since the proxy was started.
    #[must_use]
    pub fn released(&self) -> Released {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        // The outcomes first: one that comes in between is then in flight, and not counted twice.
        let (answered, abandoned) = (read(&self.counts.answered), read(&self.counts.abandoned));
        Released {
            passed_on: read(&self.counts.released),
            answered,
            abandoned,
        }
    }
}

/// Requests that [`Mode::HoldRequest`] held and that were passed on later, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// Passed on.
    pub passed_on: u64,
    /// Of these, the ones whose answer has begun to come.
    pub answered: u64,
    /// Of these, the ones whose connection ended before any of an answer came.
    pub abandoned: u64,
}

impl Released {
    /// Passed on and still waiting for an answer.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.passed_on - self.answered - self.abandoned
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: Upstream,
    control: watch::Receiver<Control>,
    counts: Arc<Counts>,
) {
    let upstream = Arc::new(upstream);
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let connection = Connection {
            generation: control.borrow().generation,
            control: control.clone(),
            counts: Arc::clone(&counts),
            doomed: Arc::default(),
            awaited: Arc::default(),
        };
        let upstream = Arc::clone(&upstream);
        connections.spawn(async move {
            match &*upstream {
                Upstream::Tcp(address) => {
                    if let Ok(server) = TcpStream::connect(address).await {
                        connection.run(client, server.into_split()).await;
                    }
                }
                Upstream::Unix(path) => {
                    if let Ok(server) = UnixStream::connect(path).await {
                        connection.run(client, server.into_split()).await;
                    }
                }
            }
        });
    }
}

#[derive(Debug, Clone)]
struct Connection {
    generation: u64,
    control: watch::Receiver<Control>,
    counts: Arc<Counts>,
    /// The next reply is to be lost.
    doomed: Arc<AtomicBool>,
    /// A request that was held has been passed on, and no answer has come.
    awaited: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

impl Connection {
    async fn run(
        self,
        client: TcpStream,
        (from_server, to_server): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    ) {
        let (from_client, to_client) = client.into_split();
        let requests = self
            .clone()
            .pump(from_client, to_server, Direction::Request);
        let replies = self.clone().pump(from_server, to_client, Direction::Reply);
        // Either end closes both: a client or a server that has gone is gone for the other.
        tokio::select! {
            () = requests => {}
            () = replies => {}
        }
        if self.awaited.swap(false, Ordering::SeqCst) {
            self.counts.abandoned.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn pump(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        direction: Direction,
    ) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = tokio::select! {
                read = from.read(&mut buffer) => read,
                () = self.is_cut() => return,
            };
            let Ok(count @ 1..) = read else { return };
            if !self.may_pass(&buffer[..count], direction).await {
                return;
            }
            if to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }

    /// Resolves when this connection is to be cut.
    async fn is_cut(&self) {
        let mut control = self.control.clone();
        let generation = self.generation;
        let cut = control.wait_for(|control| control.generation != generation);
        if cut.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until these bytes may pass; false ends the connection.
    async fn may_pass(&mut self, bytes: &[u8], direction: Direction) -> bool {
        if direction == Direction::Reply && self.doomed.load(Ordering::SeqCst) {
            self.counts.lost.fetch_add(1, Ordering::SeqCst);
            return false;
        }
        if direction == Direction::Reply && self.awaited.swap(false, Ordering::SeqCst) {
            self.counts.answered.fetch_add(1, Ordering::SeqCst);
        }
        let mut is_counted = false;
        loop {
            let control = self.control.borrow_and_update().clone();
            if control.generation != self.generation {
                return false;
            }
            match (control.mode, direction) {
                (Mode::LoseReplyTo(needle), Direction::Request) if contains(bytes, needle) => {
                    self.doomed.store(true, Ordering::SeqCst);
                    return true;
                }
                (Mode::Delay(by), Direction::Reply) => {
                    tokio::time::sleep(by).await;
                    return true;
                }
                (Mode::Stall, _) => {}
                (Mode::HoldRequest(needle), Direction::Request) if contains(bytes, needle) => {
                    if !is_counted {
                        is_counted = true;
                        self.counts.held.fetch_add(1, Ordering::SeqCst);
                    }
                }
                (Mode::Pass | Mode::Delay(_) | Mode::LoseReplyTo(_) | Mode::HoldRequest(_), _) => {
                    if is_counted {
                        self.counts.released.fetch_add(1, Ordering::SeqCst);
                        self.awaited.store(true, Ordering::SeqCst);
                    }
                    return true;
                }
            }
            if self.control.changed().await.is_err() {
                return false;
            }
        }
    }
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An upstream that echoes, and a client of it through the proxy.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let upstream = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        let proxy = Proxy::start(upstream).await.unwrap();
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        (proxy, client)
    }

    async fn say(client: &mut TcpStream, text: &str) -> Option<String> {
        client.write_all(text.as_bytes()).await.unwrap();
        let mut answer = vec![0; text.len()];
        let read = client.read_exact(&mut answer);
        let read = tokio::time::timeout(Duration::from_millis(200), read).await;
        matches!(read, Ok(Ok(_))).then(|| String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn what_is_stalled_comes_when_it_passes_again() {
        let (proxy, mut client) = echo().await;
        assert_eq!(say(&mut client, "one").await.as_deref(), Some("one"));
        for mode in [Mode::Stall, Mode::HoldRequest("two")] {
            proxy.set(mode);
            assert_eq!(say(&mut client, "two").await, None);
            proxy.set(Mode::Pass);
            assert_eq!(say(&mut client, "").await.as_deref(), Some(""));
            let mut late = [0; 3];
            client.read_exact(&mut late).await.unwrap();
            assert_eq!(&late, b"two");
        }
        assert_eq!(proxy.held(), 1);
    }

    #[tokio::test]
    async fn a_lost_reply_ends_the_connection_after_the_request_arrived() {
        let (proxy, mut client) = echo().await;
        proxy.set(Mode::LoseReplyTo("COMMIT"));
        assert_eq!(say(&mut client, "other").await.as_deref(), Some("other"));
        assert_eq!(say(&mut client, "COMMIT").await, None);
        assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0, "it is closed");
        assert_eq!(proxy.lost(), 1);
    }

    #[tokio::test]
    async fn what_was_held_is_in_flight_until_its_answer_comes_or_its_connection_ends() {
        // It answers when it is told to, and closes when it is told nothing more.
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
        proxy.set(Mode::HoldRequest("start"));
        let mut clients = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..2 {
            let mut client = TcpStream::connect(proxy.address()).await.unwrap();
            client.write_all(b"start").await.unwrap();
            clients.push(client);
            ends.push(listener.accept().await.unwrap().0);
        }
        until(|| proxy.held() == 2).await;
        assert_eq!(proxy.released().in_flight(), 0, "the upstream has none");
        proxy.set(Mode::Pass);
        for end in &mut ends {
            let mut arrived = [0; 5];
            end.read_exact(&mut arrived).await.unwrap();
        }
        until(|| proxy.released().in_flight() == 2).await;
        ends[0].write_all(b"done").await.unwrap();
        until(|| proxy.released().in_flight() == 1).await;
        drop(ends);
        until(|| proxy.released().in_flight() == 0).await;
        let expected = Released {
            passed_on: 2,
            answered: 1,
            abandoned: 1,
        };
        assert_eq!(proxy.released(), expected);
    }

    /// Waits for what comes surely.
    async fn until(wanted: impl Fn() -> bool + Send + Sync) {
        let look = async {
            while !wanted() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), look)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_cut_ends_what_is_there_and_nothing_later() {
        let (proxy, mut client) = echo().await;
        assert_eq!(say(&mut client, "one").await.as_deref(), Some("one"));
        proxy.cut();
        assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0, "it is closed");
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut client, "two").await.as_deref(), Some("two"));
    }
}
