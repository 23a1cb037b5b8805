//! A28 with the whole product: secrets of the configuration and those that it gives out, looked for in what an engine
//! tells of its containers, in metrics, in the log, in every answer, and in all that is kept on a disk.

use std::path::Path;

use serde_json::json;
use test_support::services::given;

use crate::at_rest::{self, Kept};
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

/// What the instance is called: no secret, so it is found.
const SLUG: &str = "canary-lab";

/// What the file holds under which the server's own keys are sealed.
const KEY_FILE: &str = "canary-of-the-key-file-9Zk3vWq7Lx2bTn5R";

#[tokio::test]
async fn a28_secret_leak_canaries_in_containers_metrics_logs_and_files() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let subnets = "10.231.2.0/24";
    look_everywhere(&engine, &engine.environment(subnets), async |data| {
        let kept = at_rest::files(data);
        // While the server runs, what was written last stands in the log beside the database.
        for name in ["", "-wal", "-shm"] {
            let name = format!("/openclaw-tenancy.db{name}");
            assert!(kept.iter().any(|kept| kept.is(&name)), "{name} was read");
        }
        kept
    })
    .await;
}

#[tokio::test]
async fn a28_secret_leak_canaries_in_postgresql() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let Some(admin) = given("postgres", "TENANCY_TEST_POSTGRES_URL") else {
        return;
    };
    let name = format!("canaries_{}", std::process::id());
    services::sql(&admin, &format!("CREATE DATABASE {name}")).await;
    let mut url: url::Url = admin.parse().unwrap();
    url.set_path(&name);
    let mut environment = engine.environment("10.231.6.0/24").to_vec();
    environment.push(("DATABASE_URL", url.as_str()));
    look_everywhere(&engine, &environment, async |data| {
        let mut kept = at_rest::files(data);
        kept.push(at_rest::dump(url.as_str()).await);
        kept
    })
    .await;
    services::sql(&admin, &format!("DROP DATABASE {name}")).await;
}

/// Everything that people do, and a look for the canaries wherever something of it could be; `at_rest` reads what is kept.
async fn look_everywhere(
    engine: &Engine,
    environment: &[(&str, &str)],
    at_rest: impl AsyncFn(&Path) -> Vec<Kept>,
) {
    let [key, client_secret, token_secret] = CANARIES;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let key_file = dir.path().join("keys");
    std::fs::write(&key_file, KEY_FILE).unwrap();
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
    std::fs::write(data.join("config.toml"), config).unwrap();
    let mut environment = environment.to_vec();
    environment.push(("OPENCLAW_TENANCY__LOG__LEVEL", "trace"));
    environment.push((
        "OPENCLAW_TENANCY__STORE__KEY_FILE",
        key_file.to_str().unwrap(),
    ));
    let server = Server::start(&data, &environment).await;
    let (name, password) = server.first_administrator().expect("introduced");
    let token = services::token(&data, &environment).await;
    let (status, made) = server
        .post(
            "/api/tenants",
            &token,
            json!({ "plan": "free", "name": SLUG }),
        )
        .await;
    assert_eq!(status, 202, "{made}");
    let running = phase(&server, &token, "running").await;
    let visitor =
        Visitor::sign_in(&server, running["url"].as_str().unwrap(), &name, &password).await;
    assert_eq!(visitor.open("/").await.status(), 200);

    let mut told = Vec::new();
    let mut inspected = String::new();
    for kind in ["container", "volume", "network"] {
        for object in engine.of(kind, &data).await {
            inspected += &engine.docker(&[kind, "inspect", &object]).await;
        }
    }
    assert!(
        inspected.contains("\"Env\"") && inspected.contains("\"Labels\""),
        "{inspected}"
    );
    let container = engine.of("container", &data).await.remove(0);
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
        let output = run(&data, arguments, &environment).await;
        told.push(("a command", text(&output.stdout) + &text(&output.stderr)));
    }
    let mut kept = at_rest(&data).await;
    assert_eq!(server.delete("/api/tenants/me", &token).await.0, 202);
    let gone = async {
        while !engine.of("container", &data).await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(2 * crate::support::PATIENCE, gone)
        .await
        .expect("it is deleted");
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    engine.clear(&data).await;
    for logged in ["DEBUG", "tenant.create", "sign-in"] {
        assert!(log.contains(logged), "{logged} is logged: {log}");
    }
    told.push(("the log", log));

    // What is kept was read: it has what the tenant is called, and the server's own keys, sealed.
    for known in [SLUG, "sealed:"] {
        let held = kept.iter().any(|kept| kept.holds(known));
        assert!(held, "{known} is kept nowhere");
    }
    let clear = kept.iter().any(|kept| kept.holds("clear:"));
    assert!(!clear, "a key of the server's own stands in clear");
    kept.extend(at_rest::files(&data));
    let signature = token.rsplit('.').next().unwrap();
    let given_out = visitor.secrets.iter().map(String::as_str);
    let secrets = CANARIES
        .into_iter()
        .chain([KEY_FILE, &*password, &*token, signature])
        .chain(given_out);
    for secret in secrets {
        for (place, text) in &told {
            assert!(!text.contains(secret), "{secret} stands in {place}: {text}");
        }
        at_rest::is_not_kept(secret, &kept);
    }
}
