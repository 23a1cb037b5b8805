//! The life of the real server: first start, work, SIGTERM, and the start after.

use crate::instances::{cookie, location};
use crate::server::{Server, client, send};
use crate::support::{PATIENCE, run, text};
use serde_json::json;

#[tokio::test]
async fn the_first_start_introduces_an_administrator_and_the_next_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data, &[]).await;
    let (name, password) = server
        .first_administrator()
        .expect("the first start prints one");
    assert_eq!(name, "admin");

    let sign_in = client()
        .post(format!("{}/api/auth/token", server.api))
        .json(&json!({ "username": name, "password": password }));
    let (status, answer) = send(sign_in).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["token"].as_str().unwrap().to_owned();
    let (status, me) = server.get("/api/auth/me", &token).await;
    assert_eq!(status, 200, "{me}");
    assert_eq!(me["plan"], "pro", "{me}");

    let printed = run(&data, &["token"], &[]).await;
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    let printed = text(&printed.stdout);
    let (status, same) = server.get("/api/auth/me", printed.trim()).await;
    assert_eq!(
        (status, &same["account"]["id"]),
        (200, &me["account"]["id"]),
        "{same}"
    );
    let by_id = run(
        &data,
        &["token", me["account"]["id"].as_str().unwrap()],
        &[],
    )
    .await;
    let (status, _) = server.get("/api/hosts", text(&by_id.stdout).trim()).await;
    assert_eq!(status, 200, "an administrator sees the hosts");

    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(&password), "the password stands in the log");
    assert!(!log.contains(&token), "a token stands in the log");

    let server = Server::start(&data, &[]).await;
    assert_eq!(server.first_administrator(), None);
    let (status, again) = server.get("/api/auth/me", &token).await;
    assert_eq!(
        (status, &again["account"]["id"]),
        (200, &me["account"]["id"]),
        "tokens outlive a restart"
    );

    let new = run(&data, &["password"], &[]).await;
    let new = text(&new.stdout).trim().to_owned();
    for (password, expected) in [(&password, 401), (&new, 200)] {
        let sign_in = client()
            .post(format!("{}/api/auth/token", server.api))
            .json(&json!({ "username": name, "password": password }));
        assert_eq!(send(sign_in).await.0, expected);
    }
    assert_eq!(server.stop().await.0, Some(0));
}

#[tokio::test]
async fn sigterm_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let token = text(&run(dir.path(), &["token"], &[]).await.stdout)
        .trim()
        .to_owned();
    let create = json!({ "email": "user@example.com", "plan": "basic" });
    let (status, made) = server.post("/api/tenants", &token, create).await;
    assert_eq!(status, 202, "{made}");
    // A connection that is kept open must not hold up the end.
    let idle = tokio::net::TcpStream::connect(server.api.trim_start_matches("http://"))
        .await
        .unwrap();
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    drop(idle);

    let server = Server::start(dir.path(), &[]).await;
    let (status, found) = server.get("/api/tenants/me", &token).await;
    assert_eq!((status, &found["id"]), (200, &made["id"]), "{found}");
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn what_is_under_way_at_sigterm_is_answered() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let address = server.api.trim_start_matches("http://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let body = br#"{"username":"admin","password":"wrong-wrong-wrong"}"#;
    let head = format!(
        "POST /api/auth/token HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..10]).await.unwrap();
    server.signal("TERM").await;
    // Nothing is accepted any more: the end has begun.
    let begun = async {
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun)
        .await
        .expect("the end begins");
    stream.write_all(&body[10..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn the_predecessors_variables_are_read_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("OPENCLAW_TENANCY__LOG__FORMAT", "json"),
        ("DEFAULT_PLAN", "free"),
        ("METRICS_PORT", "0"),
        ("QUOTA_FREE", "0.5,512,5120,1"),
        ("PORTAINER_URL", "https://portainer:9443"),
        ("PORTAINER_API_KEY", "ptr_canary"),
    ];
    let server = Server::start(dir.path(), &environment).await;
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    for (variable, key) in [
        ("DEFAULT_PLAN", "policy.default"),
        ("METRICS_PORT", "metrics.listen"),
        ("QUOTA_FREE", "plans.free"),
    ] {
        assert!(
            lines
                .iter()
                .any(|line| line["variable"] == variable && line["key"] == key),
            "{variable}: {log}"
        );
    }
    assert!(!log.contains("canary"), "{log}");
}

#[tokio::test]
async fn without_local_accounts_a_link_introduces_the_first_administrator() {
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("OPENCLAW_TENANCY__IDENTITY__OIDC__0__ID", "company"),
        (
            "OPENCLAW_TENANCY__IDENTITY__OIDC__0__ISSUER",
            "https://127.0.0.1:1",
        ),
        ("OPENCLAW_TENANCY__IDENTITY__OIDC__0__CLIENT_ID", "tenancy"),
        (
            "OPENCLAW_TENANCY__IDENTITY__OIDC__0__CLIENT_SECRET",
            "a long and random one",
        ),
    ];
    // The provider does not answer, and the server starts all the same.
    let server = Server::start(dir.path(), &environment).await;
    let (word, link) = server.first_administrator().expect("a link is printed");
    assert_eq!(word, "open");
    let (origin, code) = link
        .split_once("/claim?code=")
        .expect("it leads to the claim");
    assert_eq!(origin.replace("//localhost:", "//127.0.0.1:"), server.api);
    let code = code.to_owned();
    // It is looked at without a provider; what it makes of whoever signs in is in `provider.rs`.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    let opened = client
        .build()
        .unwrap()
        .get(format!("{}/claim?code={code}", server.api));
    let opened = opened.send().await.unwrap();
    assert_eq!(opened.status(), 303, "{opened:?}");
    assert_eq!(location(&opened), "/login");
    cookie(&opened, "__Host-oct-claim");
    let (exit, log) = server.stop().await;
    assert_eq!(exit, Some(0), "{log}");
    assert!(!log.contains(&code), "the code stands in the log");
}

#[tokio::test]
async fn keys_under_a_key_file_need_it_at_every_start() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("keys"));
    std::fs::write(&file, [7; 40]).unwrap();
    let environment = [("OPENCLAW_TENANCY__STORE__KEY_FILE", file.to_str().unwrap())];
    let server = Server::start(&data, &environment).await;
    assert_eq!(server.stop().await.0, Some(0));
    let listen = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--edge-listen",
        "127.0.0.1:0",
        "--metrics-listen",
    ];
    let args = [&listen[..], &["127.0.0.1:0"]].concat();
    let output = run(&data, &args, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("store.key_file is not set"), "{stderr}");
    let server = Server::start(&data, &environment).await;
    assert_eq!(server.first_administrator(), None);
    assert_eq!(server.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_second_server_on_one_sqlite_file_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let args = [
        "serve",
        "--listen=127.0.0.1:0",
        "--edge-listen=127.0.0.1:0",
        "--metrics-listen=127.0.0.1:0",
    ];
    let output = run(dir.path(), &args, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("another server uses the database"),
        "{stderr}"
    );
    // After a kill -9 nothing is in the way of the next start.
    server.signal("KILL").await;
    assert_eq!(server.ended().await.0, None);
    let server = Server::start(dir.path(), &[]).await;
    assert_eq!(server.stop().await.0, Some(0));
}

#[tokio::test]
async fn two_servers_on_one_port_the_second_says_which_setting() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let address = server.api.trim_start_matches("http://").to_owned();
    let other = dir.path().join("other");
    let output = run(&other, &["serve", "--listen", &address], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains(&format!("server.listen = {address}")),
        "{stderr}"
    );
    assert!(!other.exists(), "it got no further");
    assert_eq!(server.stop().await.0, Some(0));
}

#[tokio::test]
async fn a30_metrics_and_health_have_their_own_listener_and_bounded_labels() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let token = text(&run(dir.path(), &["token"], &[]).await.stdout)
        .trim()
        .to_owned();
    let create = json!({ "email": "canary@example.com", "name": "canary-name" });
    let (status, made) = server.post("/api/tenants", &token, create).await;
    assert_eq!(status, 202, "{made}");
    for path in [
        "/api/tenants/canary-path",
        "/canary-path?canary",
        "/api/tenants/me",
    ] {
        server.get(path, &token).await;
    }
    let counted = |text: &str| {
        text.contains("openclaw_tenancy_tenants{phase=\"queued\"} 1")
            || text.contains("openclaw_tenancy_tenants{phase=\"provisioning\"} 1")
    };
    let read = async {
        loop {
            let answer = client()
                .get(format!("{}/metrics", server.metrics))
                .send()
                .await
                .unwrap();
            let text = answer.text().await.unwrap();
            if counted(&text) && text.contains("reconcile_passes_total{of=\"host\"") {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let exported = tokio::time::timeout(PATIENCE, read)
        .await
        .expect("it is counted");
    for series in [
        "openclaw_tenancy_http_requests_total{",
        "openclaw_tenancy_queue_length",
        "openclaw_tenancy_hosts{state=\"ready\"} 0",
        "openclaw_tenancy_build_info{version=",
    ] {
        assert!(exported.contains(series), "{series}: {exported}");
    }
    assert!(!exported.contains("canary"), "{exported}");
    assert!(
        !exported.contains(made["id"].as_str().unwrap()),
        "{exported}"
    );
    let (status, _) = server.get("/metrics", &token).await;
    assert_eq!(status, 404, "not on the API's port");
    let health = server.healthy().await;
    assert!(!health.to_string().contains("nowhere"), "{health}");
    assert_eq!(server.stop().await.0, Some(0));
}

#[tokio::test]
async fn doctor_names_what_is_wrong_and_how_to_mend_it() {
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("OPENCLAW_TENANCY__HOSTS__0__ID", "nowhere"),
        (
            "OPENCLAW_TENANCY__HOSTS__0__ADDRESS",
            "unix:///nowhere/docker.sock",
        ),
    ];
    let output = run(dir.path(), &["doctor", "--json"], &environment).await;
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let engine = checks
        .iter()
        .find(|check| check["subject"] == "engine nowhere")
        .unwrap();
    assert_eq!(engine["outcome"], "fail");
    assert!(
        engine["fix"].as_str().unwrap().contains("hosts.address"),
        "{engine}"
    );
    let table = text(&run(dir.path(), &["doctor"], &environment).await.stdout);
    assert!(
        table.contains("FAIL") && table.contains("engine nowhere"),
        "{table}"
    );
    assert!(
        !dir.path().join("openclaw-tenancy.db").exists(),
        "doctor changes nothing"
    );
}
