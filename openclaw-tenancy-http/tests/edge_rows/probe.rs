//! Readiness is decided by what an instance says, never by its status alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use openclaw_tenancy::container::INSTANCE_PORT;
use openclaw_tenancy::probe::{InstanceProbe as _, Readiness};
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy_http::edge::HttpProbe;

use crate::support::{Instance, World};

#[tokio::test]
async fn a_probe_decides_by_the_body() {
    let world = World::new().await;
    let tenant = world.queued("alpha", 0).await;
    let upstream = Upstream::Direct(SocketAddr::from((tenant.ip(), INSTANCE_PORT)));
    assert_eq!(
        HttpProbe.probe(&upstream).await,
        Readiness::Starting,
        "nobody there"
    );
    let large = "x".repeat(10_000);
    let json = "content-type: application/json\r\n";
    for (status, headers, body, readiness) in [
        (
            "200 OK",
            json,
            r#"{"ok":true,"status":"started"}"#,
            Readiness::Started,
        ),
        (
            "200 OK",
            json,
            r#"{"ok":true,"status":"started","more":{"a":[1]}}"#,
            Readiness::Started,
        ),
        (
            "200 OK",
            json,
            r#"{"ok":true,"status":"live"}"#,
            Readiness::Starting,
        ),
        (
            "200 OK",
            json,
            r#"{"ok":false,"status":"started"}"#,
            Readiness::Starting,
        ),
        (
            "503 Unavailable",
            json,
            r#"{"ok":false,"status":"starting"}"#,
            Readiness::Starting,
        ),
        (
            "503 Unavailable",
            json,
            r#"{"ok":false,"status":"draining"}"#,
            Readiness::Starting,
        ),
        (
            "200 OK",
            "content-type: text/html\r\n",
            "<!doctype html>started",
            Readiness::Starting,
        ),
        (
            "403 Forbidden",
            json,
            r#"{"error":{"type":"proxy_attribution_required"}}"#,
            Readiness::Starting,
        ),
        ("200 OK", json, &large, Readiness::Starting),
        ("200 OK", json, "", Readiness::Starting),
        (
            "503 Unavailable",
            json,
            r#"{"ok":false,"status":"needs_repair"}"#,
            Readiness::NeedsRepair,
        ),
    ] {
        let script = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let instance = Instance::raw(tenant.ip(), script).await;
        assert_eq!(HttpProbe.probe(&upstream).await, readiness, "{body:.60}");
        instance.kill().await;
    }
}

#[tokio::test]
async fn a_probe_ends_within_five_seconds() {
    let world = World::new().await;
    let tenant = world.queued("alpha", 0).await;
    // Accepts and never answers.
    let _silent = tokio::net::TcpListener::bind((tenant.ip(), INSTANCE_PORT))
        .await
        .unwrap();
    let upstream = Upstream::Direct(SocketAddr::from((tenant.ip(), INSTANCE_PORT)));
    let began = Instant::now();
    assert_eq!(HttpProbe.probe(&upstream).await, Readiness::Starting);
    let took = began.elapsed();
    println!("a probe that is not answered took {took:.2?} of its 5 s");
    // Five times its limit, on a busy machine.
    assert!(took < Duration::from_secs(25), "{took:?}");
}
