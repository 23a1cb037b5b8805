//! A client that sends exactly the bytes it is told to.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|header| header.0 == name)
            .map(|header| header.1.as_str())
            .collect()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a cookie that was set.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.all("set-cookie").into_iter().find_map(|cookie| {
            cookie
                .strip_prefix(&format!("{name}="))?
                .split(';')
                .next()
                .map(str::to_owned)
        })
    }

    /// The answer without what differs from one request to the next.
    pub(crate) fn normalised(mut self) -> Self {
        let id = self.header("x-request-id").unwrap_or_default().to_owned();
        self.headers
            .retain(|header| !matches!(header.0.as_str(), "x-request-id" | "date"));
        self.body = self.body.replace(&id, "ID");
        self
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The other side may have closed: then its answer tells.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// More bytes; `false` at the end.
    async fn fill(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        matches!(read.expect("an answer in time"), Ok(1..))
    }

    /// The next answer; `None` when the connection ends before it.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let end = loop {
            match self
                .buffer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                Some(at) => break at + 4,
                None if !self.fill().await => return None,
                None => {}
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status: u16 = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        if (100..200).contains(&status) {
            return Some(answer);
        }
        answer.body = if answer.header("transfer-encoding").is_some() {
            self.chunked().await
        } else {
            let length = answer
                .header("content-length")
                .map_or(0, |length| length.parse().unwrap());
            self.take(length).await
        };
        Some(answer)
    }

    async fn take(&mut self, length: usize) -> String {
        while self.buffer.len() < length {
            if !self.fill().await {
                break;
            }
        }
        let length = length.min(self.buffer.len());
        String::from_utf8_lossy(&self.buffer.drain(..length).collect::<Vec<_>>()).into_owned()
    }

    async fn chunked(&mut self) -> String {
        let mut body = String::new();
        loop {
            let Some(line) = self.line().await else {
                return body;
            };
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            body.push_str(&self.take(length).await);
            let _end = self.line().await;
            if length == 0 {
                return body;
            }
        }
    }

    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.buffer.drain(..at + 2).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Whether the other side ends the connection within `within`.
    pub(crate) async fn ends_within(&mut self, within: Duration) -> bool {
        let mut rest = Vec::new();
        matches!(
            tokio::time::timeout(within, self.stream.read_to_end(&mut rest)).await,
            Ok(Ok(_) | Err(_))
        )
    }

    /// Exactly this many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> String {
        self.take(length).await
    }
}

/// One `GET` on a connection of its own. `headers` are whole lines without their ends.
pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let mut connection = Connection::open(address).await;
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    connection
        .send(format!("GET {path} HTTP/1.1\r\n{lines}\r\n"))
        .await;
    connection.answer().await.expect("an answer")
}
