//! A backup of the database that is put back, on a real engine: what the README says becomes of the instances.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::instances::{Engine, phase};
use crate::server::Server;
use crate::services::token;
use crate::support::PATIENCE;

const DATABASE: &str = "openclaw-tenancy.db";

/// Puts back what was kept: without what was written since, the log included.
fn restore(data: &Path, kept: &Path) {
    for more in ["", "-wal", "-shm"] {
        let file = data.join(format!("{DATABASE}{more}"));
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    std::fs::copy(kept, data.join(DATABASE)).unwrap();
}

/// A server with an instance that runs, stopped, and its database kept; answers the bearer.
async fn backed_up(data: &Path, kept: &Path, environment: &[(&str, &str)]) -> String {
    let server = Server::start(data, environment).await;
    let bearer = token(data, environment).await;
    let ask = json!({ "plan": "basic" });
    assert_eq!(server.post("/api/tenants", &bearer, ask).await.0, 202);
    phase(&server, &bearer, "running").await;
    assert_eq!(server.stop().await.0, Some(0));
    std::fs::copy(data.join(DATABASE), kept).unwrap();
    bearer
}

#[tokio::test]
async fn after_a_restore_what_was_suspended_runs_and_what_is_too_new_is_held() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let data = dir.path().join("data");
    let environment = engine.environment("10.231.12.0/24");
    let bearer = backed_up(&data, &kept, &environment).await;
    let container = engine.instances(&data).await;
    let volumes = engine.of("volume", &data).await;

    // Suspended since: it is made what the backup says.
    let server = Server::start(&data, &environment).await;
    let suspended = server.post("/api/tenants/me/suspend", &bearer, json!({}));
    assert_eq!(suspended.await.0, 202);
    phase(&server, &bearer, "suspended").await;
    assert_eq!(server.stop().await.0, Some(0));
    restore(&data, &kept);
    let server = Server::start(&data, &environment).await;
    phase(&server, &bearer, "running").await;
    assert_eq!(engine.instances(&data).await, container);
    assert_eq!(server.stop().await.0, Some(0));
    std::fs::copy(data.join(DATABASE), &kept).unwrap();

    // Replaced since, as one is that was cut off from its network. The next container is the one that would be made now;
    // one after it can only be newer than the database.
    let mut newer = container;
    for (wanted, times) in [("running", 1), ("held", 2)] {
        let server = Server::start(&data, &environment).await;
        for _ in 0..times {
            let before = newer;
            let network = engine.of("network", &data).await.remove(0);
            let cut = ["network", "disconnect", "--force", &network, &before[0]];
            engine.docker(&cut).await;
            let gone = async {
                while engine.instances(&data).await.contains(&before[0]) {
                    sleep(Duration::from_millis(100)).await;
                }
            };
            timeout(PATIENCE, gone).await.expect("it is replaced");
            phase(&server, &bearer, "running").await;
            newer = engine.instances(&data).await;
        }
        assert_eq!(server.stop().await.0, Some(0));
        restore(&data, &kept);
        let server = Server::start(&data, &environment).await;
        let now = phase(&server, &bearer, wanted).await;
        let reason = (wanted == "held").then_some("conflict");
        assert_eq!(now["status"]["reason"].as_str(), reason, "{now}");
        // As it is: no second one, and nothing is ended.
        assert_eq!(engine.instances(&data).await, newer);
        assert_eq!(engine.of("volume", &data).await, volumes);
        assert_eq!(server.stop().await.0, Some(0));
        restore(&data, &kept);
    }
    engine.clear(&data).await;
}

#[tokio::test]
async fn after_a_restore_what_was_deleted_is_held_and_begun_anew_by_the_release_alone() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let data = dir.path().join("data");
    let environment = engine.environment("10.231.13.0/24");
    let bearer = backed_up(&data, &kept, &environment).await;

    let server = Server::start(&data, &environment).await;
    assert_eq!(server.delete("/api/tenants/me", &bearer).await.0, 202);
    let gone = async {
        while server.get("/api/tenants/me", &bearer).await.0 != 404 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("it is deleted");
    assert_eq!(server.stop().await.0, Some(0));
    let without = engine.of("volume", &data).await;
    assert_eq!(without.len(), 1, "the host's own is left: {without:?}");

    restore(&data, &kept);
    let server = Server::start(&data, &environment).await;
    let held = phase(&server, &bearer, "held").await;
    assert_eq!(held["status"]["reason"], "conflict", "{held}");
    // Empty data in place of what somebody had would look to them as if it were theirs.
    assert_eq!(engine.of("volume", &data).await, without);
    assert_eq!(engine.instances(&data).await, Vec::<String>::new());

    let id = held["id"].as_str().unwrap();
    let release = format!("/api/tenants/{id}/release");
    let (status, answer) = server.post(&release, &bearer, json!({})).await;
    assert_eq!(status, 202, "{answer}");
    phase(&server, &bearer, "running").await;
    assert_eq!(engine.instances(&data).await.len(), 1);
    assert_eq!(server.stop().await.0, Some(0));
    engine.clear(&data).await;
}
