//! A host that is not surely the machine it was, and the way out of it.

use serde_json::Value;

use crate::logs::Logs;
use crate::support::App;

/// What `docker volume prune` does to a host.
fn lose_marker(app: &App) {
    let names = app.backend.names(&app.host);
    let marker = names.iter().find(|name| name.starts_with("oct-d1-host-"));
    let marker = marker.unwrap();
    app.backend.remove_anything_like(&app.host, marker);
}

#[tokio::test]
async fn an_administrator_releases_a_quarantined_host_and_its_instances_go_on() {
    let app = App::new().await;
    let (ada, bob) = (app.account("ada").await, app.account("bob").await);
    let root = app.administrator("root").await;
    let (ada, bob) = (app.program(&ada).await, app.program(&bob).await);
    let program = app.program(&root).await;
    let id = ada.post("/api/tenants", "{}").await.json()["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    app.reconcile().await;
    let before = app.backend.names(&app.host).len();

    lose_marker(&app);
    app.reconcile().await;
    ada.post("/api/tenants/me/restart", "").await;
    bob.post("/api/tenants", "{}").await;
    app.reconcile().await;
    let release = "POST /api/hosts/h1/release";
    let names_it = |text: &Value| text.as_str().is_some_and(|text| text.contains(release));
    let host = program.get("/api/hosts").await.json()["hosts"][0].clone();
    assert_eq!(host["state"], "quarantined", "{host}");
    assert!(names_it(&host["reason"]), "{host}");
    let held = ada.get("/api/tenants/me").await.json();
    assert_eq!(held["status"]["reason"], "host_quarantined", "{held}");
    assert!(names_it(&held["status"]["message"]), "{held}");
    let queued = bob.get("/api/tenants/me").await.json();
    assert_eq!(queued["phase"], "queued", "{queued}");
    assert!(names_it(&queued["status"]["message"]), "{queued}");
    // Nothing comes of the tenant's own release while the host is what it is.
    let path = format!("/api/tenants/{id}/release");
    assert_eq!(program.post(&path, "").await.status, 202);
    app.reconcile().await;
    assert_eq!(ada.get("/api/tenants/me").await.json()["phase"], "held");

    let logs = Logs::capture();
    let path = "/api/hosts/h1/release";
    ada.post(path, "").await.problem(403, "administrators-only");
    for _ in 0..2 {
        assert_eq!(program.post(path, "").await.status, 204);
    }
    let lines = logs.lines();
    let audit = lines.iter().find(|line| line.contains("host.release"));
    let audit = audit.unwrap_or_else(|| panic!("{lines:?}"));
    assert!(audit.contains("object=h1"), "{audit}");
    app.reconcile().await;
    app.reconcile().await;
    for program in [&ada, &bob] {
        let now = program.get("/api/tenants/me").await.json();
        assert_eq!(now["phase"], "running", "{now}");
    }
    let host = program.get("/api/hosts").await.json()["hosts"][0].clone();
    assert_eq!(host["state"], "ready", "{host}");
    let after = app.backend.names(&app.host).len();
    assert_eq!(after, before + 4, "nothing of Ada's was made anew");
}

#[tokio::test]
async fn who_waits_for_a_host_that_takes_nothing_is_told_why() {
    let app = App::new().await;
    let (ada, root) = (app.account("ada").await, app.administrator("root").await);
    let (ada, root) = (app.program(&ada).await, app.program(&root).await);
    assert_eq!(root.post("/api/hosts/h1/cordon", "").await.status, 204);
    ada.post("/api/tenants", "{}").await;
    app.reconcile().await;
    let queued = ada.get("/api/tenants/me").await.json();
    assert_eq!(queued["phase"], "queued", "{queued}");
    let message = queued["status"]["message"].as_str().expect("it says why");
    assert!(message.contains("cordoned"), "{message}");
    assert_eq!(root.post("/api/hosts/h1/uncordon", "").await.status, 204);
    app.reconcile().await;
    assert_eq!(ada.get("/api/tenants/me").await.json()["phase"], "running");
}
