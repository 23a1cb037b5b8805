//! A host whose marker was pruned, on a real engine: what `doctor` says of it, and the release.

use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::instances::{Engine, phase};
use crate::server::Server;
use crate::services::token;
use crate::support::{PATIENCE, doctor};

#[tokio::test]
async fn a_pruned_marker_is_named_and_its_host_is_released() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let environment = engine.environment("10.234.7.0/24");
    let server = Server::start(dir.path(), &environment).await;
    let token = token(dir.path(), &environment).await;
    let ask = json!({ "plan": "free" });
    let (status, made) = server.post("/api/tenants", &token, ask).await;
    assert_eq!(status, 202, "{made}");
    let running = phase(&server, &token, "running").await;
    assert_eq!(doctor(dir.path(), &environment, "host local").await, [0; 0]);
    let containers = engine.of("container", dir.path()).await;

    let volumes = engine.of("volume", dir.path()).await;
    let marker = volumes.iter().find(|name| name.contains("-host-"));
    engine
        .docker(&["volume", "rm", marker.expect("a marker")])
        .await;
    let state = async |wanted: &str| {
        let asked = async {
            while server.get("/api/hosts", &token).await.1["hosts"][0]["state"] != wanted {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(PATIENCE, asked).await.expect(wanted);
    };
    state("quarantined").await;
    let told = doctor(dir.path(), &environment, "host local").await;
    assert_eq!(told[0]["outcome"], "fail", "{told:?}");
    let fix = told[0]["fix"].as_str().unwrap();
    assert!(fix.contains("/api/hosts/local/release"), "{fix}");
    let (status, _) = server
        .post("/api/tenants/me/restart", &token, json!({}))
        .await;
    assert_eq!(status, 202);
    let held = phase(&server, &token, "held").await;
    assert_eq!(held["status"]["reason"], "host_quarantined", "{held}");

    let (status, _) = server
        .post("/api/hosts/local/release", &token, json!({}))
        .await;
    assert_eq!(status, 204);
    state("ready").await;
    let again = phase(&server, &token, "running").await;
    assert!(again["started_at"].as_str() > running["started_at"].as_str());
    assert_eq!(engine.of("container", dir.path()).await, containers);
    for volume in volumes.iter().filter(|name| Some(*name) != marker) {
        let now = engine.of("volume", dir.path()).await;
        assert!(now.contains(volume), "{volume}: {now:?}");
    }
    assert_eq!(doctor(dir.path(), &environment, "host local").await, [0; 0]);

    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let told = log.matches("host is quarantined").count();
    assert_eq!(told, 1, "{log}");
    engine.clear(dir.path()).await;
}

#[tokio::test]
async fn doctor_tells_of_a_pool_that_a_network_of_the_engine_has() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let bridge = "{{(index .IPAM.Config 0).Subnet}}";
    let bridge = engine
        .docker(&["network", "inspect", "bridge", "--format", bridge])
        .await;
    let bridge = bridge.trim();
    let environment = engine.environment(bridge);
    let checks = doctor(dir.path(), &environment, "engine local").await;
    let told = checks.iter().find(|check| {
        let found = check["found"].as_str().unwrap_or_default();
        found.contains("overlaps")
    });
    let told = told.unwrap_or_else(|| panic!("{bridge}: {checks:?}"));
    assert_eq!(told["outcome"], "fail", "{told}");
    assert!(
        told["fix"]
            .as_str()
            .unwrap()
            .contains("reconcile.subnet_pool")
    );
}
