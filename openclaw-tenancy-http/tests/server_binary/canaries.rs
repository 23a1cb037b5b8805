//! A28 with the whole product: secrets of the configuration, looked for in what an engine tells of its containers,
//! in metrics, in the log and in every answer.

use serde_json::json;

use crate::instances::{Engine, Visitor, phase};
use crate::server::{Server, client};
use crate::services;
use crate::support::{run, text};

/// An overlay's key, a client's secret, the secret that signs tokens.
const CANARIES: [&str; 3] = [
    "sk-canary-of-the-overlay-4711",
    "canary-client-secret-0815",
    "canary-token-secret-qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5",
];

#[tokio::test]
async fn a28_secret_leak_canaries_in_containers_metrics_and_logs() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let [key, client_secret, token_secret] = CANARIES;
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        r#"
[tokens]
secret = "{token_secret}"
[identity]
local = true
[[identity.oidc]]
id = "company"
issuer = "https://127.0.0.1:1"
client_id = "tenancy"
client_secret = "{client_secret}"
[overlay]
default_model = "corp/m1"
[overlay.providers.corp]
base_url = "http://203.0.113.1:9/v1"
key = "{key}"
[[overlay.providers.corp.models]]
id = "m1"
name = "Model 1"
context_window = 128000
max_tokens = 4096
"#
    );
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    let mut environment = engine.environment("10.231.2.0/24").to_vec();
    environment.push(("OPENCLAW_TENANCY__LOG__LEVEL", "trace"));
    let server = Server::start(dir.path(), &environment).await;
    let (name, password) = server.first_administrator().expect("introduced");
    let token = services::token(dir.path(), &environment).await;
    let (status, made) = server
        .post("/api/tenants", &token, json!({ "plan": "free" }))
        .await;
    assert_eq!(status, 202, "{made}");
    let running = phase(&server, &token, "running").await;
    let visitor =
        Visitor::sign_in(&server, running["url"].as_str().unwrap(), &name, &password).await;
    assert_eq!(visitor.open("/").await.status(), 200);

    let mut told = Vec::new();
    let mut inspected = String::new();
    for kind in ["container", "volume", "network"] {
        for object in engine.of(kind, dir.path()).await {
            inspected += &engine.docker(&[kind, "inspect", &object]).await;
        }
    }
    assert!(
        inspected.contains("\"Env\"") && inspected.contains("\"Labels\""),
        "{inspected}"
    );
    let container = engine.of("container", dir.path()).await.remove(0);
    told.push(("inspect", inspected));
    told.push((
        "the instance's log",
        engine.docker(&["logs", &container]).await,
    ));
    let metrics = client().get(format!("{}/metrics", server.metrics));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("# TYPE"), "{metrics}");
    told.push(("metrics", metrics));
    for path in [
        "/api/health",
        "/api/tenants/me",
        "/api/tenants",
        "/api/hosts",
        "/api/plans",
        "/api/auth/me",
    ] {
        let (_, answer) = server.get(path, &token).await;
        told.push(("an answer", answer.to_string()));
    }
    for arguments in [&["doctor", "--json"][..], &["doctor"], &["config"]] {
        let output = run(dir.path(), arguments, &environment).await;
        told.push(("a command", text(&output.stdout) + &text(&output.stderr)));
    }
    assert_eq!(server.delete("/api/tenants/me", &token).await.0, 202);
    let gone = async {
        while !engine.of("container", dir.path()).await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(2 * crate::support::PATIENCE, gone)
        .await
        .expect("it is deleted");
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    engine.clear(dir.path()).await;
    for logged in ["DEBUG", "tenant.create", "sign-in"] {
        assert!(log.contains(logged), "{logged} is logged: {log}");
    }
    told.push(("the log", log));

    let signature = token.rsplit('.').next().unwrap();
    for secret in CANARIES.into_iter().chain([&*password, &*token, signature]) {
        for (place, text) in &told {
            assert!(!text.contains(secret), "{secret} stands in {place}: {text}");
        }
    }
}
