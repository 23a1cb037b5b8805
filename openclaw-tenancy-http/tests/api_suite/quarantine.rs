//! A host that is not surely the machine it was, and the way out of it.

use http::{Method, header};
use openclaw_tenancy::memory::Behavior;
use serde_json::Value;

use crate::logs::Logs;
use crate::support::{App, IMAGE, request};

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
    let host = program.get("/api/hosts").await.json()["hosts"][0].clone();
    assert_eq!(host["state"], "quarantined", "{host}");
    assert_eq!(host["ended_by"], release, "{host}");
    let held = ada.get("/api/tenants/me").await.json();
    assert_eq!(held["status"]["reason"], "host_quarantined", "{held}");
    // Whom she waits for, and no call that she may not make.
    let message = held["status"]["message"].as_str().unwrap();
    assert!(message.contains("administrator releases the host"));
    assert!(!held.to_string().contains("POST"), "{held}");
    let path = format!("/api/tenants/{id}");
    let held = program.get(&path).await.json();
    assert_eq!(held["status"]["ended_by"], release, "{held}");
    let queued = bob.get("/api/tenants/me").await.json();
    assert_eq!(queued["phase"], "queued", "{queued}");
    let message = queued["status"]["message"].as_str().unwrap();
    assert!(message.contains("quarantined"), "{queued}");
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
    assert_eq!(host["ended_by"], Value::Null, "{host}");
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

#[tokio::test]
async fn a_hold_names_the_call_that_ends_it_to_whoever_may_make_it() {
    let app = App::new().await;
    let (ada, root) = (app.account("ada").await, app.administrator("root").await);
    let browser = app.browser(&root).await;
    let (ada, root) = (app.program(&ada).await, app.program(&root).await);
    let mut ids = Vec::new();
    for program in [&ada, &root] {
        let made = program.post("/api/tenants", "{}").await.json();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    app.reconcile().await;
    // A new disk: the marker is gone with all data.
    let _ = app.backend.clone().with_host(app.host.clone(), IMAGE);
    app.reconcile().await;
    assert_eq!(root.post("/api/hosts/h1/release", "").await.status, 204);
    app.reconcile().await;
    app.reconcile().await;

    let release = |id: &str| format!("POST /api/tenants/{id}/release");
    let told = async |program: &crate::support::Program<'_>, path: &str| {
        let held = program.get(path).await.json();
        assert_eq!(held["status"]["reason"], "conflict", "{held}");
        held["status"]["ended_by"].clone()
    };
    assert_eq!(told(&ada, "/api/tenants/me").await, Value::Null);
    assert_eq!(told(&root, "/api/tenants/me").await, release(&ids[1]));
    let path = format!("/api/tenants/{}", ids[0]);
    assert_eq!(told(&root, &path).await, release(&ids[0]));
    for (language, label) in [
        ("en", "you end it by this call"),
        ("zh-CN", "可通过此调用解除"),
    ] {
        let request = request(Method::GET, "/instance")
            .header(header::COOKIE, &browser.cookie)
            .header(header::ACCEPT_LANGUAGE, language);
        let page = app.send(request.body(String::new().into()).unwrap()).await;
        let line = format!("{label}</h3><p lang=\"en\">{}</p>", release(&ids[1]));
        assert!(page.body.contains(&line), "{language}: {}", page.body);
    }

    // Its owner ends this one, and nobody for them.
    let broken = Behavior {
        exits: Some(78),
        ..Behavior::default()
    };
    let id = ids[0].parse().unwrap();
    app.backend.set_behavior(&app.host, id, broken);
    assert_eq!(root.post(&format!("{path}/release"), "").await.status, 202);
    app.reconcile().await;
    app.reconcile().await;
    let held = ada.get("/api/tenants/me").await.json();
    assert_eq!(held["status"]["reason"], "configuration", "{held}");
    let restart = "POST /api/tenants/me/restart";
    assert_eq!(held["status"]["ended_by"], restart, "{held}");
    let held = root.get(&path).await.json();
    assert_eq!(held["status"]["ended_by"], Value::Null, "{held}");
}
