//! A26: a server that may have few files open, and a client that opens connections without end.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::server::{Server, client, send};
use crate::support::{PATIENCE, command_with_few_files};

/// What the server may have open; its own share of them is 512.
const FILES: u32 = 600;

/// More than that, and not so many that this process comes to its own limit.
const CONNECTIONS: usize = 650;

#[tokio::test]
async fn a26_exhaustion_connections_leave_the_server_the_files_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_by(command_with_few_files(dir.path(), FILES), &[]).await;
    let (_, port) = server.edge.rsplit_once(':').unwrap();
    let port: u16 = port.trim_end_matches('/').parse().unwrap();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    // Those that have no place are closed; those that have one stay.
    let closed = async {
        while open.len() > FILES as usize / 2 {
            let mut kept = Vec::new();
            for mut stream in open.drain(..) {
                let read = timeout(Duration::from_millis(1), stream.read_u8()).await;
                if read.is_err() {
                    kept.push(stream);
                }
            }
            open = kept;
        }
    };
    timeout(PATIENCE, closed).await.expect("most have no place");
    assert!(!open.is_empty());

    // It still reaches its database, which it writes to for this, and its accounts.
    let health = server.healthy().await;
    assert_eq!(health["checks"]["writes"], "ok", "{health}");
    let (name, password) = server.first_administrator().unwrap();
    let signing_in = client()
        .post(format!("{}/api/auth/token", server.api))
        .json(&serde_json::json!({ "username": name, "password": password }));
    assert_eq!(send(signing_in).await.0, 200);

    // Whoever comes to the edge once they are gone is answered.
    drop(open);
    let answered = async {
        while client().get(&server.edge).send().await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, answered).await.expect("a place is free");
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    // Without a file left it would have been healthy again too, once those that say nothing were given up.
    assert!(!log.contains("cannot be accepted"), "{log}");
}
