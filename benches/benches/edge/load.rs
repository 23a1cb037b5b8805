//! Clients that ask as fast as they are answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What one turn came to.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// The proxy's CPU time for each request, in microseconds.
    pub(crate) cpu_micros: f64,
}

impl Turn {
    /// The one in the middle by requests a second.
    pub(crate) fn median(mut turns: Vec<Self>) -> Self {
        turns.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        turns.swap_remove(turns.len() / 2)
    }
}

/// Loads `address` with `clients` connections for `lasts`; each answer must be 200.
pub(crate) fn run(
    address: SocketAddr,
    request: &str,
    clients: usize,
    lasts: Duration,
) -> anyhow::Result<Turn> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut all = JoinSet::new();
        let until = Instant::now() + lasts;
        for _ in 0..clients {
            all.spawn(client(address, request.to_owned(), until));
        }
        let mut times = Vec::new();
        while let Some(client) = all.join_next().await {
            times.extend(client??);
        }
        times.sort_unstable();
        let at = |hundredth: usize| times[times.len() * hundredth / 100];
        Ok(Turn {
            requests: times.len(),
            per_second: times.len() as f64 / lasts.as_secs_f64(),
            p50: at(50),
            p99: at(99),
            cpu_micros: 0.0,
        })
    })
}

async fn client(
    address: SocketAddr,
    request: String,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut times = Vec::new();
    loop {
        let began = Instant::now();
        if began >= until {
            return Ok(times);
        }
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream, &mut buffer).await?;
        times.push(began.elapsed());
    }
}

/// Reads one answer: its head, then as much as its length says, or chunks to the last.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.clear();
    let head = loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the connection ended");
        }
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = std::str::from_utf8(&buffer[..head])?.to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        bail!("not 200: {text}");
    }
    let length: Option<usize> = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length: "))
        .map(str::parse)
        .transpose()
        .context("a length")?;
    loop {
        let done = match length {
            Some(length) => buffer.len() >= head + length,
            None => buffer.ends_with(b"0\r\n\r\n"),
        };
        if done {
            return Ok(());
        }
        if stream.read_buf(buffer).await? == 0 {
            bail!("the connection ended");
        }
    }
}
