//! Between ours and the engine, once: writes down what is asked and how long each answer takes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

/// One request and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    /// As it was sent, head and body.
    pub(crate) request: Vec<u8>,
    pub(crate) began: Instant,
    /// When the last of the answer came.
    pub(crate) ended: Instant,
    /// The answer's first bytes, from which its status is read.
    answer: Vec<u8>,
}

impl Exchange {
    /// Method and path, without the API version and the query.
    pub(crate) fn call(&self) -> Option<(&str, &str)> {
        let line = self.request.split(|byte| *byte == b'\r').next()?;
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let path = target.split('?').next()?;
        let versioned = path
            .strip_prefix("/v")
            .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            .and_then(|rest| rest.find('/').map(|slash| &rest[slash..]));
        Some((method, versioned.unwrap_or(path)))
    }

    /// Whether it was answered with success.
    pub(crate) fn succeeded(&self) -> bool {
        self.answer.starts_with(b"HTTP/1.1 2")
    }
}

/// A socket that leads to the engine. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Relay {
    path: PathBuf,
    seen: Seen,
    accepting: AbortHandle,
}

/// Every exchange is there from its first byte on, and its connection goes on writing to it.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Vec<Entry>>>);

type Entry = Arc<Mutex<Exchange>>;

impl Relay {
    pub(crate) fn start(engine: &Path, path: &Path) -> anyhow::Result<Self> {
        let (listener, engine) = (UnixListener::bind(path)?, engine.to_owned());
        let seen = Seen::default();
        let log = seen.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, engine.clone(), log.clone()));
            }
        });
        Ok(Self {
            path: path.to_owned(),
            seen,
            accepting: accepting.abort_handle(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was seen since this was last asked.
    pub(crate) fn take(&self) -> Vec<Exchange> {
        let taken = std::mem::take(&mut *locked(&self.seen.0));
        let mut taken: Vec<Exchange> = taken.iter().map(|entry| locked(entry).clone()).collect();
        taken.sort_by_key(|exchange| exchange.began);
        taken
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Seen {
    fn begin(&self) -> Entry {
        let now = Instant::now();
        let entry = Arc::new(Mutex::new(Exchange {
            request: Vec::new(),
            began: now,
            ended: now,
            answer: Vec::new(),
        }));
        locked(&self.0).push(Arc::clone(&entry));
        entry
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries one connection. HTTP/1.1 without pipelining: what a client sends after an answer is the next request.
async fn carry(mut client: UnixStream, engine: PathBuf, seen: Seen) -> std::io::Result<()> {
    let mut engine = UnixStream::connect(engine).await?;
    let (mut out, mut back) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut current: Option<Entry> = None;
    loop {
        tokio::select! {
            read = client.read(&mut out) => {
                let bytes = &out[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let entry = match current.take() {
                    Some(entry) if locked(&entry).answer.is_empty() => entry,
                    Some(_) | None => seen.begin(),
                };
                locked(&entry).request.extend_from_slice(bytes);
                current = Some(entry);
                engine.write_all(bytes).await?;
            }
            read = engine.read(&mut back) => {
                let bytes = &back[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                client.write_all(bytes).await?;
                if let Some(entry) = &current {
                    let mut exchange = locked(entry);
                    exchange.ended = Instant::now();
                    if exchange.answer.is_empty() {
                        exchange.answer.extend_from_slice(bytes);
                    }
                }
            }
        }
    }
}
