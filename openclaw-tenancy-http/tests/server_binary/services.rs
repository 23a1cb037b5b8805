//! The real server with real services: PostgreSQL shared by two of them, and a Docker Engine.
//!
//! `TENANCY_TEST_POSTGRES_URL` is a superuser's URL, `TENANCY_TEST_DOCKER_HOST` an engine's address and
//! `TENANCY_TEST_STAND_IN_IMAGE` a stand-in for OpenClaw on it. Without them the tests are skipped, unless
//! `TENANCY_TEST_REQUIRE` names `postgres`, `docker` or `all`.

use std::process::Output;
use std::time::Duration;

use crate::docker::INSTANCE;
use crate::server::{Server, client};
use crate::support::{PATIENCE, run, text};
use serde_json::{Value, json};
use test_support::services::given;
use tokio::time::{sleep, timeout};

pub(crate) async fn token(data: &std::path::Path, environment: &[(&str, &str)]) -> String {
    let output = run(data, &["token"], environment).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

/// Asks for the caller's instance until `wanted` says so of the answer.
pub(crate) async fn until(
    server: &Server,
    token: &str,
    wanted: impl Fn(u16, &Value) -> bool + Send + Sync,
) -> Value {
    let asked = async {
        loop {
            let (status, answer) = server.get("/api/tenants/me", token).await;
            if wanted(status, &answer) {
                return answer;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(2 * PATIENCE, asked)
        .await
        .expect("it comes to that")
}

/// Has `psql` do `statement`, which has to succeed.
pub(crate) async fn sql(url: &str, statement: &str) {
    let done = asks(url, statement).await;
    assert!(done.status.success(), "{}", text(&done.stderr));
}

/// Has `psql` do `statement`.
pub(crate) async fn asks(url: &str, statement: &str) -> Output {
    tokio::process::Command::new("psql")
        .args([
            url,
            "--quiet",
            "--no-psqlrc",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ])
        .output()
        .await
        .expect("psql is installed")
}

#[tokio::test]
async fn two_servers_share_one_postgresql() {
    let Some(admin) = given("postgres", "TENANCY_TEST_POSTGRES_URL") else {
        return;
    };
    let name = format!("server_{}", std::process::id());
    sql(&admin, &format!("CREATE DATABASE {name}")).await;
    let mut url: url::Url = admin.parse().unwrap();
    url.set_path(&name);

    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("DATABASE_URL", url.as_str()),
        // Both answer for one edge, as replicas do.
        (
            "OPENCLAW_TENANCY__EDGE__URL_FORMAT",
            "http://{slug}.localhost:8080",
        ),
    ];
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    // Together, so that one of them makes the tables, the keys and the administrator.
    let (first, second) = tokio::join!(
        Server::start(&one, &environment),
        Server::start(&two, &environment)
    );
    let introduced = [first.first_administrator(), second.first_administrator()];
    assert_eq!(
        introduced.iter().flatten().count(),
        1,
        "one administrator, introduced once"
    );

    let token = token(&one, &environment).await;
    for server in [&first, &second] {
        assert_eq!(
            server.get("/api/auth/me", &token).await.0,
            200,
            "a session holds on every replica"
        );
    }
    let made = f26_one_key_on_both([&first, &second], &token).await;
    let (status, found) = second.get("/api/tenants/me", &token).await;
    assert_eq!((status, &found["id"]), (200, &made["id"]));
    for server in [first, second] {
        let (code, log) = server.stop().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(
            !log.contains(url.password().unwrap_or("no password")),
            "{log}"
        );
    }
    sql(&admin, &format!("DROP DATABASE {name}")).await;
}

/// F26: one key, 32 at once over both servers: one effect, 32 equal answers.
async fn f26_one_key_on_both(servers: [&Server; 2], token: &str) -> Value {
    let create = |server: &Server| {
        let request = client()
            .post(format!("{}/api/tenants", server.api))
            .bearer_auth(token)
            .header("Idempotency-Key", "one-for-both")
            .json(&json!({ "plan": "free", "name": "ada-lab" }));
        async move {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let replayed = answer.headers().contains_key("idempotency-replayed");
            (status, replayed, answer.text().await.unwrap())
        }
    };
    let race = (0..32).map(|number| create(servers[number % 2]));
    let answers = futures::future::join_all(race).await;
    // What has become of it since may have moved on between two answers; all else is the same.
    let made_of = |body: &str| {
        let mut tenant: Value = serde_json::from_str(body).unwrap();
        for now in ["phase", "status"] {
            assert!(
                tenant.as_object_mut().unwrap().remove(now).is_some(),
                "{body}"
            );
        }
        tenant
    };
    let (_, _, first) = &answers[0];
    for (status, _, body) in &answers {
        assert_eq!((*status, made_of(body)), (202, made_of(first)), "{body}");
    }
    let made = answers.iter().filter(|(_, replayed, _)| !replayed);
    assert_eq!(made.count(), 1, "one of them made it");
    for server in servers {
        let (status, all) = server.get("/api/tenants", token).await;
        assert_eq!(status, 200, "{all}");
        assert_eq!(all["tenants"].as_array().map(Vec::len), Some(1), "{all}");
    }
    serde_json::from_str(first).unwrap()
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_create_and_of_a_delete_loses_nothing() {
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
        // Other tests on this engine have pools of their own.
        ("OPENCLAW_TENANCY__RECONCILE__SUBNET_POOL", "10.231.0.0/24"),
    ];
    let server = Server::start(dir.path(), &environment).await;
    let token = token(dir.path(), &environment).await;
    let (status, made) = server
        .post("/api/tenants", &token, json!({ "plan": "free" }))
        .await;
    assert_eq!(status, 202, "{made}");
    until(&server, &token, |_, found| found["phase"] != "queued").await;
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");

    let server = Server::start(dir.path(), &environment).await;
    let running = until(&server, &token, |_, found| found["phase"] == "running").await;
    assert_eq!(running["id"], made["id"]);
    let deployment = std::fs::read_to_string(dir.path().join("deployment")).unwrap();
    let deployment = deployment.split_whitespace().next().unwrap().to_owned();
    assert_eq!(
        of(&engine, "ps", &deployment).await.len(),
        1,
        "one container"
    );

    // The edge knows the name, and lets nobody in without a session.
    let url = running["url"].as_str().unwrap();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let asked = client()
        .get(&server.edge)
        .header("host", host)
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), 401);

    assert_eq!(server.delete("/api/tenants/me", &token).await.0, 202);
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");

    let server = Server::start(dir.path(), &environment).await;
    until(&server, &token, |status, _| status == 404).await;
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(
        of(&engine, "ps", &deployment).await,
        [""; 0],
        "no container is left"
    );
    assert_eq!(
        of(&engine, "network", &deployment).await,
        [""; 0],
        "no network is left"
    );
    // The host's marker stays: it is the deployment's, not the tenant's.
    let volumes = of(&engine, "volume", &deployment).await;
    let [marker] = volumes.as_slice() else {
        panic!("{volumes:?}")
    };
    docker(&engine, &["volume", "rm", marker]).await;
}

/// What the engine holds of a deployment, by its own command line.
pub(crate) async fn of(engine: &str, kind: &str, deployment: &str) -> Vec<String> {
    let filter = format!("label=io.openclaw-tenancy.deployment={deployment}");
    let args: &[&str] = match kind {
        // Of people: a host's probe is none.
        "ps" => &["ps", "--all", "--filter", INSTANCE],
        kind => &[kind, "ls"],
    };
    let listed = docker(engine, &[args, &["--quiet", "--filter", &filter]].concat()).await;
    listed.lines().map(str::to_owned).collect()
}

pub(crate) async fn docker(engine: &str, args: &[&str]) -> String {
    let done = tokio::process::Command::new("docker")
        .args(["--host", engine])
        .args(args)
        .output();
    let done = done.await.expect("docker's command line is installed");
    assert!(done.status.success(), "{}", text(&done.stderr));
    text(&done.stdout)
}
