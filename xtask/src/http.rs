//! A small HTTP/1.1 client over any stream, one request per connection: enough for the engine's
//! socket and for asking our own server, and nothing to compile for a newcomer who waits.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// No answer of an engine or of our server that we ask for is larger.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A socket file.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String),
}

/// A stream to either kind of address.
pub(crate) trait Stream: Read + Write + Send {
    /// How long a read may take from now on.
    fn read_limit(&self, limit: Duration) -> std::io::Result<()>;
}

impl Stream for UnixStream {
    fn read_limit(&self, limit: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(limit))
    }
}

impl Stream for TcpStream {
    fn read_limit(&self, limit: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(limit))
    }
}

impl Address {
    /// The port of a TCP address.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(address) => address.rsplit_once(':')?.1.parse().ok(),
        }
    }

    /// Connects, with a limit on writes and on the first read.
    pub(crate) fn connect(&self, limit: Duration) -> std::io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                Ok(Box::new(stream))
            }
            Self::Tcp(address) => {
                let mut last = std::io::Error::other(format!("no address for {address}"));
                for socket in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&socket, limit) {
                        Ok(stream) => {
                            stream.set_read_timeout(Some(limit))?;
                            stream.set_write_timeout(Some(limit))?;
                            return Ok(Box::new(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

/// A request to be sent. `Host` and `Connection` are added where they are missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Method and path with query.
    pub(crate) line: String,
    /// Header fields in order.
    pub(crate) headers: Vec<(String, String)>,
    /// Body, empty for none.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            line: format!("{method} {path}"),
            ..Self::default()
        }
    }

    /// Adds a header field.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a JSON body.
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("Content-Type", "application/json")
    }

    /// Sends it and reads the answer whole.
    pub(crate) fn send(&self, address: &Address, limit: Duration) -> Result<Response> {
        let mut stream = address
            .connect(limit)
            .with_context(|| format!("cannot connect for {}", self.line))?;
        stream
            .write_all(&self.head(true))
            .and_then(|()| stream.write_all(&self.body))
            .with_context(|| format!("cannot send {}", self.line))?;
        Response::read(stream).with_context(|| format!("no usable answer to {}", self.line))
    }

    /// The bytes before the body.
    pub(crate) fn head(&self, with_length: bool) -> Vec<u8> {
        let has = |name: &str| {
            self.headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
        };
        let mut head = format!("{} HTTP/1.1\r\n", self.line);
        if !has("Host") {
            head.push_str("Host: localhost\r\n");
        }
        if !has("Connection") {
            head.push_str("Connection: close\r\n");
        }
        if with_length && (!self.body.is_empty() || !self.line.starts_with("GET ")) {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    /// Header fields in order.
    pub(crate) headers: Vec<(String, String)>,
    /// Body, decoded from chunks.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Reads an answer to its end.
    pub(crate) fn read(stream: Box<dyn Stream>) -> Result<Self> {
        let mut reader = BufReader::new(stream);
        let (status, headers) = read_head(&mut reader)?;
        let mut answer = Self {
            status,
            headers,
            body: Vec::new(),
        };
        let bodyless = status == 204 || status == 304;
        if bodyless {
            return Ok(answer);
        }
        if answer
            .header("Transfer-Encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            let mut chunks = Chunks::new(reader);
            std::io::copy(&mut (&mut chunks).take(MAX_BODY), &mut answer.body)?;
        } else if let Some(length) = answer.header("Content-Length") {
            let length: u64 = length.parse().context("Content-Length is not a number")?;
            reader
                .take(length.min(MAX_BODY))
                .read_to_end(&mut answer.body)?;
        } else {
            reader.take(MAX_BODY).read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// The first header field of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {} and no JSON: {}", self.status, self.text()))
    }

    /// Itself, when the status is below 400; else an error with what the server said.
    pub(crate) fn ok(self, what: &str) -> Result<Self> {
        if self.status < 400 {
            return Ok(self);
        }
        bail!("{what}: status {}: {}", self.status, self.text().trim())
    }
}

/// Reads the status line and the header fields.
pub(crate) fn read_head(reader: &mut impl BufRead) -> Result<(u16, Vec<(String, String)>)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.trim().parse().ok())
        .with_context(|| format!("not an HTTP answer: {line:?}"))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let field = line.trim_end();
        if field.is_empty() {
            return Ok((status, headers));
        }
        if let Some((name, value)) = field.split_once(':') {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
}

/// Decodes `Transfer-Encoding: chunked` as it arrives, so that progress can be shown.
#[derive(Debug)]
pub(crate) struct Chunks<R> {
    inner: R,
    left: u64,
    ended: bool,
}

impl<R: BufRead> Chunks<R> {
    /// Reads chunks from where a body begins.
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            left: 0,
            ended: false,
        }
    }

    fn next_chunk(&mut self) -> std::io::Result<()> {
        let mut line = String::new();
        self.inner.read_line(&mut line)?;
        if line.trim().is_empty() {
            line.clear();
            self.inner.read_line(&mut line)?;
        }
        let size = line.trim().split(';').next().unwrap_or_default();
        self.left = u64::from_str_radix(size, 16)
            .map_err(|_| std::io::Error::other(format!("not a chunk size: {size:?}")))?;
        self.ended = self.left == 0;
        Ok(())
    }
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.next_chunk()?;
        }
        if self.ended {
            return Ok(0);
        }
        let read = (&mut self.inner).take(self.left).read(buffer)?;
        self.left -= read as u64;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }
}

/// Percent-encodes a value for a query.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_end_at_the_empty_one() {
        let wire: &[u8] = b"4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\n\r\n";
        let mut text = String::new();
        Chunks::new(wire).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcdef");
    }

    #[test]
    fn a_cut_body_is_an_error_and_not_a_short_answer() {
        let wire: &[u8] = b"4\r\nab";
        assert!(Chunks::new(wire).read_to_end(&mut Vec::new()).is_err());
    }

    #[test]
    fn a_head_is_read_up_to_the_empty_line() {
        let mut wire: &[u8] = b"HTTP/1.1 204 No Content\r\nApi-Version: 1.41\r\n\r\nrest";
        let (status, headers) = read_head(&mut wire).unwrap();
        assert_eq!(status, 204);
        assert_eq!(headers, [("Api-Version".to_owned(), "1.41".to_owned())]);
        assert!(read_head(&mut "SSH-2.0\r\n".as_bytes()).is_err());
    }

    #[test]
    fn values_are_encoded_for_a_query() {
        assert_eq!(encode("ENV A=b c"), "ENV%20A%3Db%20c");
    }
}
