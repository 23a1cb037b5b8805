//! A27 and A28 as far as the edge logs and answers: nothing forged, nothing secret.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Connection, Instance, World, get};

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything is logged, and what outsiders wrote is not in it.
#[tokio::test]
async fn a27_a28_nothing_forged_and_nothing_secret_in_the_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_env_filter("openclaw_tenancy_http=trace")
        .finish();
    // For the whole process: what other tests log meanwhile must be as clean.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let (code, pre) = world.hand_over(&tenant, |_| {}).await;
    let session = world
        .redeem(&tenant, &code, &pre, "/")
        .await
        .cookie("__Host-oct-instance")
        .unwrap();
    let cookie = format!("Cookie: __Host-oct-instance={session}");
    let canary = "canary-4711";
    for lines in [
        format!("X-Request-Id: {canary}\r\n"),
        format!("User-Agent: {canary}\u{9b}31m\r\n"),
        format!("Origin: http://{canary}.example\r\n"),
        format!("X: {canary}\r\nX : y\r\n"),
        format!("Content-Length: {canary}\r\n"),
        format!("Accept-Language: {canary}\r\n"),
    ] {
        let mut connection = Connection::open(world.address).await;
        let path = format!("/{canary}?{canary}=%0a%1b[31m");
        connection
            .send(format!(
                "GET {path} HTTP/1.1\r\n{}\r\n{cookie}\r\n{lines}\r\n",
                tenant.host()
            ))
            .await;
        let answer = connection.answer().await.unwrap();
        assert_ne!(
            answer.header("x-request-id"),
            Some(canary),
            "an outsider's id is replaced"
        );
    }
    let foreign = get(
        world.address,
        "/",
        &[&format!("Host: {canary}.example"), &cookie],
    )
    .await;
    assert_eq!(foreign.status, 421);
    assert!(!foreign.body.contains(canary));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.lines().count() >= 3, "{text}");
    for secret in [&code, &pre, &session, canary] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for line in text.lines() {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "{line}"
        );
    }
}
