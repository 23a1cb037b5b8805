//! A host that left the configuration, on a real engine: what `doctor` says of it, and how it is forgotten.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::instances::{Engine, phase};
use crate::server::Server;
use crate::services::{token, until};
use crate::support::{PATIENCE, doctor};

/// Waits until the server shows these hosts, each with its state.
async fn shows(server: &Server, token: &str, wanted: &[(&str, &str)]) {
    let mut last = Value::Null;
    let look = async {
        loop {
            last = server.get("/api/hosts", token).await.1;
            let hosts = last["hosts"].as_array().expect("hosts").iter();
            let text = |host: &Value, key: &str| host[key].as_str().unwrap_or_default().to_owned();
            let shown: Vec<_> = hosts.map(|h| (text(h, "id"), text(h, "state"))).collect();
            let shown: Vec<_> = shown.iter().map(|(id, state)| (&**id, &**state)).collect();
            if shown == wanted {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let seen = timeout(PATIENCE, look).await;
    assert!(seen.is_ok(), "{wanted:?}: {last}");
}

#[tokio::test]
async fn a_host_of_another_name_now_is_forgotten_once_it_is_empty() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let before = engine.environment("10.234.11.0/24");
    let mut after = before;
    after[0].1 = "renamed";

    let server = Server::start(dir.path(), &before).await;
    let bearer = token(dir.path(), &before).await;
    let (status, made) = server
        .post("/api/tenants", &bearer, json!({ "plan": "free" }))
        .await;
    assert_eq!(status, 202, "{made}");
    phase(&server, &bearer, "running").await;
    let (status, refused) = server.delete("/api/hosts/local", &bearer).await;
    assert_eq!((status, &refused["value"]), (409, &json!("local")));
    server.stop().await;

    // Its instance is on it: it is not forgotten, and goes on under the name that it had.
    let server = Server::start(dir.path(), &after).await;
    let both = [("local", "unreachable"), ("renamed", "quarantined")];
    shows(&server, &bearer, &both).await;
    let (status, refused) = server.delete("/api/hosts/local", &bearer).await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused["type"].as_str().unwrap().contains("host-in-use"));
    let told = doctor(dir.path(), &after, "host local").await;
    assert_eq!(told[0]["outcome"], "fail", "{told:?}");
    assert!(told[0]["fix"].as_str().unwrap().contains("id = \"local\""));
    server.stop().await;

    let server = Server::start(dir.path(), &before).await;
    // A quarantine outlives that nobody asks the host.
    shows(
        &server,
        &bearer,
        &[("local", "ready"), ("renamed", "quarantined")],
    )
    .await;
    phase(&server, &bearer, "running").await;
    let (status, _) = server.delete("/api/tenants/me", &bearer).await;
    assert_eq!(status, 202);
    until(&server, &bearer, |status, _| status == 404).await;
    server.stop().await;

    // Empty now: the name goes, and the engine is known by the other one.
    let server = Server::start(dir.path(), &after).await;
    shows(&server, &bearer, &both).await;
    let told = doctor(dir.path(), &after, "host local").await;
    assert_eq!(told[0]["outcome"], "warn", "{told:?}");
    let fix = told[0]["fix"].as_str().unwrap();
    assert!(fix.contains("DELETE .../api/hosts/local"), "{fix}");
    let objects = engine.of("volume", dir.path()).await;
    assert_eq!(server.delete("/api/hosts/local", &bearer).await.0, 204);
    assert_eq!(server.delete("/api/hosts/local", &bearer).await.0, 404);
    let release = "/api/hosts/renamed/release";
    assert_eq!(server.post(release, &bearer, json!({})).await.0, 204);
    shows(&server, &bearer, &[("renamed", "ready")]).await;
    assert_eq!(engine.of("volume", dir.path()).await, objects);
    assert!(doctor(dir.path(), &after, "host local").await.is_empty());
    let (status, made) = server
        .post("/api/tenants", &bearer, json!({ "plan": "free" }))
        .await;
    assert_eq!(status, 202, "{made}");
    phase(&server, &bearer, "running").await;
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    engine.clear(dir.path()).await;
}
