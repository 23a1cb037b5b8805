//! What the listeners answer to bytes that are no request, and to hosts that are not ours.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::Server;
use crate::support::PATIENCE;

/// Sends `text` to the listener at `origin` and reads until it closes: the head and the body.
pub(crate) async fn exchange(origin: &str, text: &str) -> (String, String) {
    let address = origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is a close as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("it is closed");
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn a18_smuggling_the_api_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let many = "x: y\r\n".repeat(101);
    for (request, status, slug) in [
        (
            "GET /api/health HTTP/1.1\nhost: localhost\n\n",
            400,
            "malformed-request",
        ),
        (
            "POST /api/auth/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\
             transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "malformed-request",
        ),
        (
            "POST /api/auth/token HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\n\r\n",
            400,
            "malformed-request",
        ),
        (
            &format!("GET /api/health HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
            431,
            "head-too-large",
        ),
    ] {
        let (head, body) = exchange(&server.api, request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(
            head.contains("content-type: application/problem+json"),
            "{request}: {head}"
        );
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            problem["type"],
            format!("urn:openclaw-tenancy:problem:{slug}")
        );
        for field in ["title", "detail", "fix", "request_id"] {
            assert!(!problem[field].as_str().unwrap().is_empty(), "{problem}");
        }
    }
    assert_eq!(server.stop().await.0, Some(0));
}

#[tokio::test]
async fn a14_host_confusion_metrics_are_for_our_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let names = [("OPENCLAW_TENANCY__SERVER__HOST_NAMES", "tenancy.internal")];
    let server = Server::start(dir.path(), &names).await;
    for (host, status) in [
        ("localhost:9090", "200"),
        ("tenancy.internal", "200"),
        ("192.0.2.7:9090", "200"),
        ("evil.example", "421"),
    ] {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let (head, body) = exchange(&server.metrics, &request).await;
        assert_eq!(head.get(9..12), Some(status), "{host}: {head}");
        assert_eq!(
            body.contains("openclaw_tenancy_build_info"),
            status == "200",
            "{host}"
        );
    }
    assert_eq!(server.stop().await.0, Some(0));
}
