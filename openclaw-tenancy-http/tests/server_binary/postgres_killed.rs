//! F16 with the whole product: PostgreSQL is killed under a real server with a real instance.

use std::time::Duration;

use serde_json::{Value, json};
use test_support::postgres::Server as Postgres;
use tokio::time::{Instant, sleep, timeout};

use crate::instances::{Engine, Visitor, phase};
use crate::server::{Server, client};
use crate::services;
use crate::support::PATIENCE;

/// Control plane and store down, sessions live (safety.md §5).
const DOWN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn f16_postgresql_killed_writes_are_503_and_the_edge_goes_on() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let url = postgres.url(postgres.address());
    let dir = tempfile::tempdir().unwrap();
    let mut environment = engine.environment("10.231.1.0/24").to_vec();
    environment.push(("DATABASE_URL", &url));
    let server = Server::start(dir.path(), &environment).await;
    let (name, password) = server.first_administrator().expect("introduced");
    let token = services::token(dir.path(), &environment).await;
    let (status, made) = server
        .post("/api/tenants", &token, json!({ "plan": "free" }))
        .await;
    assert_eq!(status, 202, "{made}");
    let running = phase(&server, &token, "running").await;
    let instance = running["url"].as_str().unwrap();
    let visitor = Visitor::sign_in(&server, instance, &name, &password).await;
    assert_eq!(visitor.open("/").await.status(), 200);
    let containers = engine.of("container", dir.path()).await;

    postgres.kill();
    let write = async |path: &str| {
        let request = client().post(format!("{}{path}", server.api));
        request
            .bearer_auth(&token)
            .json(&json!({}))
            .send()
            .await
            .unwrap()
    };
    let killed = Instant::now();
    let open = async {
        let mut asked = 0;
        while killed.elapsed() < DOWN {
            let page = visitor.open("/").await;
            assert_eq!(page.status(), 200, "after {:?}", killed.elapsed());
            asked += 1;
            // As often as a page that is open asks.
            sleep(Duration::from_millis(50)).await;
        }
        asked
    };
    let work = async {
        let mut refused = 0;
        while killed.elapsed() < DOWN {
            for path in [
                "/api/tenants",
                "/api/tenants/me/restart",
                "/api/tenants/me/suspend",
            ] {
                let answer = write(path).await;
                assert_eq!(answer.status(), 503, "{path}");
                assert!(answer.headers().contains_key("retry-after"), "{path}");
                let problem: Value = answer.json().await.unwrap();
                assert_eq!(
                    problem["type"],
                    "urn:openclaw-tenancy:problem:store-unavailable"
                );
                refused += 1;
            }
            let health = client().get(format!("{}/api/health", server.api));
            health.send().await.expect("health answers");
        }
        refused
    };
    let (asked, refused) = tokio::join!(open, work);
    println!(
        "{DOWN:?} without a database: {asked} requests through the edge, none failed; {refused} writes, all 503"
    );

    postgres.run();
    let returned = Instant::now();
    let serves = async {
        while write("/api/tenants/me/restart").await.status() != 202 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, serves)
        .await
        .expect("writes are taken again");
    println!(
        "a write was taken {:.2?} after the database accepted connections",
        returned.elapsed()
    );
    let again = phase(&server, &token, "running").await;
    assert_eq!(again["id"], made["id"], "nothing was made meanwhile");
    assert_eq!(
        engine.of("container", dir.path()).await.len(),
        containers.len()
    );
    let opens = async {
        while visitor.open("/").await.status() != 200 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, opens).await.expect("the session goes on");

    assert_eq!(server.delete("/api/tenants/me", &token).await.0, 202);
    let gone = async {
        while !engine.of("container", dir.path()).await.is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(2 * PATIENCE, gone).await.expect("it is deleted");
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    engine.clear(dir.path()).await;
}

/// SIGTERM while there is no database: what is under way cannot be settled, and nothing waits for its return.
#[tokio::test(flavor = "multi_thread")]
async fn f16_without_a_database_the_server_ends_all_the_same() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let url = postgres.url(postgres.address());
    let dir = tempfile::tempdir().unwrap();
    let mut environment = engine.environment("10.231.40.0/24").to_vec();
    environment.push(("DATABASE_URL", &url));
    let server = Server::start(dir.path(), &environment).await;
    let token = services::token(dir.path(), &environment).await;
    let made = server.post("/api/tenants", &token, json!({ "plan": "free" }));
    assert_eq!(made.await.0, 202);
    phase(&server, &token, "running").await;

    postgres.kill();
    // It has noticed, and waits for its return.
    let notices = async {
        let health = || client().get(format!("{}/api/health", server.api)).send();
        while health().await.unwrap().status() != 503 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, notices).await.expect("health tells");
    let asked = Instant::now();
    let (code, log) = server.stop().await;
    println!("without a database, ended after {:.1?}", asked.elapsed());
    assert_eq!(code, Some(0), "{log}");
    engine.clear(dir.path()).await;
}
