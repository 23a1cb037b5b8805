//! As much HTTP as the raw side needs: bytes out, status and body back.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// A kept connection to the engine.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(engine: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(engine)
            .await
            .with_context(|| format!("no engine at {}", engine.display()))?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(64 * 1024),
        })
    }

    /// Sends a whole request; the answer's body must be JSON or nothing.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<Value> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let text = std::str::from_utf8(&self.buffer[..head])?.to_ascii_lowercase();
        let status = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let length: Option<usize> = text
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: "))
            .map(str::parse)
            .transpose()?;
        let chunked = text.contains("transfer-encoding: chunked");
        let body = match length {
            Some(length) => {
                while self.buffer.len() < head + length {
                    self.more().await?;
                }
                self.buffer[head..head + length].to_vec()
            }
            None if chunked => {
                while !self.buffer.ends_with(b"0\r\n\r\n") {
                    self.more().await?;
                }
                joined(&self.buffer[head..])?
            }
            None => Vec::new(),
        };
        if !status.starts_with('2') {
            let asked = request
                .split(|byte| *byte == b'\r')
                .next()
                .unwrap_or_default();
            bail!(
                "{}: {status}: {}",
                String::from_utf8_lossy(asked),
                String::from_utf8_lossy(&body)
            );
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).context("the engine answers no JSON")
    }

    /// Sends a request without a body.
    pub(crate) async fn ask(&mut self, method: &str, target: &str) -> anyhow::Result<Value> {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: engine\r\nContent-Length: 0\r\n\r\n");
        self.send(request.as_bytes()).await
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the engine closed the connection");
        }
        Ok(())
    }
}

/// The chunks' contents.
fn joined(mut chunks: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = chunks
            .windows(2)
            .position(|w| w == b"\r\n")
            .context("a chunk without its length")?;
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..line])?.trim(), 16)?;
        if size == 0 {
            return Ok(body);
        }
        let (from, to) = (line + 2, line + 2 + size);
        body.extend_from_slice(chunks.get(from..to).context("a chunk cut short")?);
        chunks = chunks.get(to + 2..).context("a chunk cut short")?;
    }
}
