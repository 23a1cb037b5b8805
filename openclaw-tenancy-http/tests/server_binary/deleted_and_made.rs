//! F11 with the whole product: deleted while it is made, twice, and made again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::instances::{Engine, phase};
use crate::server::{Server, client, send};
use crate::services;
use crate::support::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn f11_deleted_while_it_is_made_twice_and_made_again_is_one_instance() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let environment = engine.environment("10.231.4.0/24");
    let server = Server::start(dir.path(), &environment).await;
    let token = services::token(dir.path(), &environment).await;
    let over = AtomicBool::new(false);
    let story = async {
        let last = made_and_deleted_twice(&engine, &server, &token, dir.path()).await;
        over.store(true, Ordering::SeqCst);
        last
    };
    // Looked at all the while, in the engine: of one person's instances there is never a second one.
    let most = async {
        let mut most = 0;
        while !over.load(Ordering::SeqCst) {
            most = most.max(engine.instances(dir.path()).await.len());
        }
        most
    };
    let (last, most) = tokio::join!(story, most);
    assert_eq!(most, 1, "containers at once");

    let containers = engine.instances(dir.path()).await;
    let [container] = containers.as_slice() else {
        panic!("one container: {containers:?}")
    };
    let format = "{{json .Config.Labels}}";
    let labels = engine
        .docker(&["inspect", "--format", format, container])
        .await;
    let labels: Value = serde_json::from_str(&labels).unwrap();
    assert_eq!(labels["io.openclaw-tenancy.tenant"], last["id"], "{labels}");
    assert_eq!(engine.of("network", dir.path()).await.len(), 1);
    // Of volumes its own and the host's marker.
    let volumes = engine.of("volume", dir.path()).await;
    for volume in &volumes {
        let format = "{{json .Labels}}";
        let labels = engine
            .docker(&["volume", "inspect", "--format", format, volume])
            .await;
        let labels: Value = serde_json::from_str(&labels).unwrap();
        let tenant = &labels["io.openclaw-tenancy.tenant"];
        assert!(tenant.is_null() || *tenant == last["id"], "{labels}");
    }
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    engine.clear(dir.path()).await;
}

/// Two that are deleted while they are made, each by two requests at once, and a third that stays; it is running.
async fn made_and_deleted_twice(
    engine: &Engine,
    server: &Server,
    token: &str,
    data: &std::path::Path,
) -> Value {
    let create = async |key: &str| {
        let request = client()
            .post(format!("{}/api/tenants", server.api))
            .bearer_auth(token)
            .header("Idempotency-Key", key)
            .json(&json!({ "plan": "free" }));
        send(request).await
    };
    let remove = || server.delete("/api/tenants/me", token);
    let gone = async || {
        let asked = async {
            while server.get("/api/tenants/me", token).await.0 != 404 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(2 * PATIENCE, asked).await.expect("it is deleted");
    };
    let mut ids = BTreeSet::new();
    for (round, key) in ["first", "second"].into_iter().enumerate() {
        let (status, made) = create(key).await;
        assert_eq!(status, 202, "{made}");
        assert!(ids.insert(made["id"].to_string()), "another one: {made}");
        if round == 1 {
            // Once before the engine has heard of it, and once when it is half made.
            let begun = async {
                while engine.of("network", data).await.is_empty() {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, begun).await.expect("it is being made");
        }
        let deleted = tokio::join!(remove(), remove());
        let mut taken = 0;
        for (status, answer) in [deleted.0, deleted.1] {
            // The later one may find nothing any more.
            if status != 404 {
                assert_eq!((status, &answer["id"]), (202, &made["id"]), "{answer}");
                taken += 1;
            }
        }
        assert!(taken > 0, "one of the two deletes it");
        // One is there until all of it is gone: a new key makes nothing beside it.
        let (status, early) = create(&format!("early-{round}")).await;
        if status == 202 {
            assert!(ids.insert(early["id"].to_string()), "{early}");
            assert_eq!(remove().await.0, 202);
        } else {
            assert_eq!(status, 409, "{early}");
        }
        gone().await;
        // Nor does the old key bring it back.
        let (status, replayed) = create(key).await;
        assert_eq!(
            (status, &replayed["id"], &replayed["phase"]),
            (202, &made["id"], &json!("deleting")),
            "{replayed}"
        );
        assert_eq!(server.get("/api/tenants/me", token).await.0, 404);
        assert_eq!(engine.instances(data).await, [""; 0]);
    }
    let (status, last) = create("third").await;
    assert_eq!(status, 202, "{last}");
    assert!(!ids.contains(&last["id"].to_string()), "{last}");
    phase(server, token, "running").await
}
