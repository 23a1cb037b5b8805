//! What somebody on call sees: signals, health, and log lines that name the fix.

use serde_json::{Value, json};
use test_support::services::given;
use tokio::time::timeout;

use crate::server::{NOWHERE, Server};
use crate::services::{docker, of, token, until};
use crate::support::{PATIENCE, command, run, text};

#[tokio::test]
async fn sighup_is_noted_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for _ in 0..2 {
        server.signal("HUP").await;
        // It is the default of this signal to end a process at once.
        server.healthy().await;
    }
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let noted = log.lines().find(|line| line.contains("SIGHUP"));
    let noted = noted.expect(&log);
    assert!(
        noted.contains("WARN") && noted.contains("read at the start only"),
        "{noted}"
    );
}

#[tokio::test]
async fn health_tells_that_no_engine_answers_and_serves_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let health = server.healthy().await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert_eq!(
        health["checks"],
        json!({
            "database": "ok",
            "writes": "ok",
            "hosts": { "status": "degraded", "answering": 0, "known": 1 },
        })
    );
    assert_eq!(server.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_proxy_that_is_not_listed_is_warned_of_at_the_start_and_by_doctor() {
    let dir = tempfile::tempdir().unwrap();
    let https = [(
        "OPENCLAW_TENANCY__SERVER__PUBLIC_URL",
        "https://tenancy.example.org",
    )];
    let (code, log) = Server::start(dir.path(), &https).await.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let environment = [&NOWHERE[..], &https].concat();
    let report = run(dir.path(), &["doctor", "--json"], &environment).await;
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| {
        let fix = check["fix"].as_str().unwrap_or_default();
        check["outcome"] == "warn" && fix.starts_with("set server.trusted_proxies")
    });
    let found = found.expect("doctor warns")["found"].as_str().unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("server.trusted_proxies"));
    let line = line.expect(&log);
    assert!(line.contains("WARN") && line.contains(found), "{line}");
}

/// A server whose engine is at `address`, until its log has what `wanted` names; that line.
async fn logs(environment: &[(&str, &str)], wanted: &str) -> String {
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    let dir = tempfile::tempdir().unwrap();
    let mut server = command(dir.path())
        .arg("serve")
        .envs(NOWHERE)
        .envs(environment.iter().copied())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let found = async {
        loop {
            let line = lines.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended without {wanted:?}"));
            if line.contains(wanted) {
                return line;
            }
        }
    };
    let line = timeout(PATIENCE, found).await.expect(wanted);
    server.kill().await.unwrap();
    line
}

#[tokio::test]
async fn what_is_no_engine_is_asked_about_with_the_fix() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", other.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = other.accept().await.unwrap();
            let mut read = [0; 4096];
            let _ = stream.read(&mut read).await;
            let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let environment = [("OPENCLAW_TENANCY__HOSTS__0__ADDRESS", &*address)];
    let line = logs(&environment, "host does not answer").await;
    for told in ["is this a Docker Engine?", "Correct its address"] {
        assert!(line.contains(told), "{told}: {line}");
    }
    serving.abort();
}

#[tokio::test]
async fn an_image_that_no_host_has_is_named_with_the_ways_to_get_it() {
    let Some(engine) = given("docker", "TENANCY_TEST_DOCKER_HOST") else {
        return;
    };
    let image = "127.0.0.1:1/openclaw-not-there:1";
    let environment = [
        ("OPENCLAW_TENANCY__HOSTS__0__ADDRESS", &*engine),
        ("OPENCLAW_TENANCY__IMAGE__REFERENCE", image),
    ];
    let line = logs(&environment, "the image of instances is missing").await;
    for told in [
        image,
        "nowhere",
        "docker pull",
        "docker load",
        "image.reference",
    ] {
        assert!(line.contains(told), "{told}: {line}");
    }
}

#[tokio::test]
async fn a_key_file_that_is_not_there_is_named_with_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys");
    let file = file.to_str().unwrap();
    let output = command(&dir.path().join("data"))
        .arg("serve")
        .envs(NOWHERE)
        .env("OPENCLAW_TENANCY__STORE__KEY_FILE", file)
        .output();
    let output = timeout(PATIENCE, output).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    for told in [
        "store.key_file",
        file,
        "restore",
        "openssl rand -out FILE 32",
    ] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
}

#[tokio::test]
async fn doctor_looks_at_what_serve_would_be_started_with() {
    let dir = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let args = ["doctor", "--json", "--listen", &taken];
    let report = run(dir.path(), &args, &NOWHERE).await;
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let listen = checks
        .iter()
        .find(|check| check["subject"] == "server.listen");
    let found = listen.unwrap()["found"].as_str().unwrap();
    assert!(found.contains(&taken), "{found}");

    let Some(engine) = given("docker", "TENANCY_TEST_DOCKER_HOST") else {
        return;
    };
    let environment = [
        ("OPENCLAW_TENANCY__HOSTS__0__ID", "local"),
        ("OPENCLAW_TENANCY__HOSTS__0__ADDRESS", &*engine),
    ];
    let args = ["doctor", "--image", "127.0.0.1:1/other:1"];
    let report = text(&run(dir.path(), &args, &environment).await.stdout);
    assert!(
        report.contains("127.0.0.1:1/other:1 is not there"),
        "{report}"
    );
}

#[tokio::test]
async fn an_instance_that_crashes_is_logged_and_so_is_that_it_runs_again() {
    let Some(engine) = given("docker", "TENANCY_TEST_DOCKER_HOST") else {
        return;
    };
    let Some(image) = given("docker", "TENANCY_TEST_STAND_IN_IMAGE") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("OPENCLAW_TENANCY__HOSTS__0__ID", "local"),
        ("OPENCLAW_TENANCY__HOSTS__0__ADDRESS", &*engine),
        ("OPENCLAW_TENANCY__IMAGE__REFERENCE", &*image),
        ("OPENCLAW_TENANCY__IMAGE__FLOOR", "16 MiB"),
        ("OPENCLAW_TENANCY__RECONCILE__SUBNET_POOL", "10.231.6.0/24"),
    ];
    let server = Server::start(dir.path(), &environment).await;
    let token = token(dir.path(), &environment).await;
    let ask = json!({ "plan": "free", "email": "canary@example.com" });
    let (status, made) = server.post("/api/tenants", &token, ask).await;
    assert_eq!(status, 202, "{made}");
    until(&server, &token, |_, found| found["phase"] == "running").await;

    let deployment = std::fs::read_to_string(dir.path().join("deployment")).unwrap();
    let deployment = deployment.split_whitespace().next().unwrap().to_owned();
    let containers = of(&engine, "ps", &deployment).await;
    docker(&engine, &["kill", &containers[0]]).await;
    until(&server, &token, |_, found| found["phase"] == "failed").await;
    until(&server, &token, |_, found| found["phase"] == "running").await;

    assert_eq!(server.delete("/api/tenants/me", &token).await.0, 202);
    until(&server, &token, |status, _| status == 404).await;
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let id = made["id"].as_str().unwrap();
    let line = |wanted: &str| {
        let found = log.lines().find(|line| line.contains(wanted));
        found
            .unwrap_or_else(|| panic!("{wanted}: {log}"))
            .to_owned()
    };
    // Not one of an engine that was slow while it was made.
    let killed = |line: &&str| line.contains("exit code 137");
    let mut lines = log.lines().filter(killed);
    let failed = lines.find(|line| line.contains("failed; tried again"));
    let failed = failed.expect(&log);
    for told in [
        "WARN",
        id,
        "Crashed",
        "attempt=1",
        "retry_in_ms=",
        "exit code 137",
    ] {
        assert!(failed.contains(told), "{told}: {failed}");
    }
    let again = line("runs again");
    assert!(again.contains("INFO") && again.contains(id), "{again}");
    assert!(!log.contains("canary"), "{log}");
    for volume in of(&engine, "volume", &deployment).await {
        docker(&engine, &["volume", "rm", &volume]).await;
    }
}
