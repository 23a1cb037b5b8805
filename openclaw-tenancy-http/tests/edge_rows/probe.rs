//! Readiness is decided by what an instance says, never by its status alone.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use openclaw_tenancy::conformance::probe::{ProbeFixture, There};
use openclaw_tenancy::container::INSTANCE_PORT;
use openclaw_tenancy::probe::{InstanceProbe, Readiness};
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy_http::edge::HttpProbe;
use tokio::net::TcpStream;

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

/// One address, and what listens there.
struct OnTheWire {
    /// Has the address as its own.
    _world: World,
    address: Ipv4Addr,
    there: Mutex<Option<Instance>>,
}

impl OnTheWire {
    async fn new() -> Self {
        let world = World::new().await;
        let tenant = world.queued("alpha", 0).await;
        Self {
            address: tenant.ip(),
            _world: world,
            there: Mutex::default(),
        }
    }
}

impl fmt::Debug for OnTheWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what listens at {}", self.address)
    }
}

#[async_trait]
impl ProbeFixture for OnTheWire {
    fn probe(&self) -> Arc<dyn InstanceProbe> {
        Arc::new(HttpProbe)
    }

    async fn put(&self, there: There) -> Option<Upstream> {
        let before = self.there.lock().unwrap().take();
        if let Some(before) = before {
            before.kill().await;
        }
        let says = |status: &str, body: &str| {
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json");
            format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        let answer = match there {
            There::Started => Some(says("200 OK", r#"{"ok":true,"status":"started"}"#)),
            There::Starting => Some(says(
                "503 Service Unavailable",
                r#"{"ok":false,"status":"starting"}"#,
            )),
            There::NeedsRepair => Some(says(
                "503 Service Unavailable",
                r#"{"ok":false,"status":"needs_repair"}"#,
            )),
            There::AnswersAnything => Some(says("200 OK", r#"{"ok":true,"status":"live"}"#)),
            There::Silent | There::Nobody => None,
        };
        let now = match answer {
            Some(answer) => Some(Instance::raw(self.address, answer).await),
            None if there == There::Silent => {
                let silent = |stream| async move {
                    let _open: TcpStream = stream;
                    std::future::pending().await
                };
                Some(Instance::start(self.address, silent).await)
            }
            None => None,
        };
        *self.there.lock().unwrap() = now;
        let address = SocketAddr::from((self.address, INSTANCE_PORT));
        Some(Upstream::Direct(address))
    }

    async fn finish(&self) {}
}

openclaw_tenancy::conformance_probe!(async { Some(OnTheWire::new().await) });
