//! F8 with the whole product: the server dies when an instance is ready, before that is written.

use std::time::Duration;

use serde_json::json;
use test_support::proxy::Mode;
use tokio::time::{sleep, timeout};

use crate::behind::Behind;
use crate::instances::{Visitor, phase};
use crate::services;
use crate::support::{PATIENCE, text};

/// What the statement says that writes an instance's readiness, which is its route; an instance that is not ready has
/// a `null` there.
const READY: &str = "\"ready_at\":\"2";

#[tokio::test(flavor = "multi_thread")]
async fn f08_killed_between_ready_and_the_route_it_is_published_after_the_restart() {
    let Some(behind) = Behind::given("10.231.5.0/24").await else {
        return;
    };
    let Behind {
        engine,
        postgres,
        proxy,
        dir,
        ..
    } = &behind;
    let server = behind.start().await;
    let (name, password) = server.first_administrator().expect("introduced");
    let token = behind.token().await;

    proxy.set(Mode::HoldRequest(READY));
    let (status, made) = server
        .post("/api/tenants", &token, json!({ "plan": "free" }))
        .await;
    assert_eq!(status, 202, "{made}");
    let ready = async {
        while proxy.held() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(2 * PATIENCE, ready).await.expect("it is ready");
    // Nobody has been told yet.
    let (_, waits) = server.get("/api/tenants/me", &token).await;
    assert_ne!(waits["phase"], "running", "{waits}");
    server.signal("KILL").await;
    let (code, log) = server.ended().await;
    assert_eq!(code, None, "{log}");
    // What was held is gone with its connection.
    proxy.cut();
    proxy.set(Mode::Pass);
    let direct = postgres.url(postgres.address());
    let known = services::asks(&direct, "SELECT observed FROM tenants").await;
    let known = text(&known.stdout);
    assert!(known.contains(" {\"") && !known.contains(READY), "{known}");
    let containers = engine.instances(dir.path()).await;
    let [container] = containers.as_slice() else {
        panic!("{containers:?}")
    };
    let started = async || {
        let format = "{{.State.Running}} {{.State.StartedAt}}";
        engine
            .docker(&["inspect", "--format", format, container])
            .await
    };
    let since = started().await;
    assert!(since.starts_with("true "), "{since}");

    let server = behind.start().await;
    let running = phase(&server, &token, "running").await;
    // From the first moment it is shown.
    let instance = running["url"].as_str().unwrap();
    let visitor = Visitor::sign_in(&server, instance, &name, &password).await;
    for _ in 0..20 {
        assert_eq!(visitor.open("/").await.status(), 200);
    }
    assert_eq!(running["id"], made["id"]);
    // The very process that was ready, not another one.
    assert_eq!(engine.instances(dir.path()).await, containers);
    assert_eq!(started().await, since);

    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    engine.clear(dir.path()).await;
}
