//! What the instance can reach on the network.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::clock::Stopwatch;

/// Tries to connect; `outcome` is `open`, `refused`, `timeout` or `unreachable`.
pub(super) async fn dial(address: SocketAddr, within: Duration) -> Value {
    let watch = Stopwatch::start();
    let (outcome, error) = match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(_)) => ("open", None),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            ("refused", Some(error.to_string()))
        }
        Ok(Err(error)) => ("unreachable", Some(error.to_string())),
        Err(_) => ("timeout", None),
    };
    json!({
        "to": address.to_string(),
        "outcome": outcome,
        "error": error,
        "ms": watch.elapsed_ms(),
    })
}
