//! A WebSocket to an instance through the edge, far enough to hear the instance speak.

use std::io::{BufReader, Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http::{Address, Request, Stream, read_head};

/// The sample nonce of RFC 6455 §1.3 and the answer that it must get.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// No message of a handshake is longer.
const MAX_MESSAGE: u64 = 4 * 1024 * 1024;

/// An open socket.
pub(super) struct WebSocket {
    reader: BufReader<Box<dyn Stream>>,
}

impl WebSocket {
    /// Asks for the upgrade and checks that it was the instance's side that agreed.
    pub(super) fn open(address: &Address, request: Request, limit: Duration) -> Result<Self> {
        let request = request
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", KEY);
        let mut stream = address.connect(limit)?;
        stream.write_all(&request.head(false))?;
        let mut reader = BufReader::new(stream);
        let (status, headers) = read_head(&mut reader)?;
        let accept = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Accept"));
        if status != 101 || accept.is_none_or(|(_, value)| value != ACCEPT) {
            bail!("the WebSocket was refused with status {status}");
        }
        Ok(Self { reader })
    }

    /// The next JSON message; control frames are passed over.
    pub(super) fn read(&mut self) -> Result<Value> {
        loop {
            let mut head = [0; 2];
            self.reader
                .read_exact(&mut head)
                .context("the WebSocket was cut")?;
            let [first, second] = head;
            let length = match second & 0x7f {
                126 => {
                    let mut bytes = [0; 2];
                    self.reader.read_exact(&mut bytes)?;
                    u64::from(u16::from_be_bytes(bytes))
                }
                127 => {
                    let mut bytes = [0; 8];
                    self.reader.read_exact(&mut bytes)?;
                    u64::from_be_bytes(bytes)
                }
                short => u64::from(short),
            };
            let mut payload = Vec::new();
            (&mut self.reader)
                .take(length.min(MAX_MESSAGE))
                .read_to_end(&mut payload)?;
            match first & 0x0f {
                1 => return serde_json::from_slice(&payload).context("a message that is no JSON"),
                8 => bail!(
                    "closed: {}",
                    String::from_utf8_lossy(payload.get(2..).unwrap_or_default())
                ),
                _ => {}
            }
        }
    }

    /// Sends a JSON message in one masked frame.
    pub(super) fn send(&mut self, message: &Value) -> Result<()> {
        let payload = message.to_string().into_bytes();
        let length = u16::try_from(payload.len()).context("the message is too long")?;
        // A client must mask (RFC 6455 §5.3); the mask of a test need not surprise anybody.
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload);
        self.reader.get_mut().write_all(&frame)?;
        Ok(())
    }

    /// Waits for OpenClaw's challenge, asks to be connected, and answers what it was told.
    pub(super) fn connect(&mut self) -> Result<Value> {
        let challenge = self.read()?;
        if challenge["event"] != "connect.challenge" {
            bail!("expected OpenClaw's challenge, got {challenge}");
        }
        self.send(&json!({
            "type": "req",
            "id": "check",
            "method": "connect",
            "params": {
                "minProtocol": 4,
                "maxProtocol": 4,
                "client": {
                    "id": "gateway-client",
                    "version": "check",
                    "platform": "linux",
                    "mode": "backend"
                },
                "role": "operator",
                "scopes": []
            }
        }))?;
        loop {
            let message = self.read()?;
            if message["type"] == "res" && message["id"] == "check" {
                return Ok(message);
            }
        }
    }
}
