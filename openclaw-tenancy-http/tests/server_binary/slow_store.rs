//! F18 with the whole product: a real server whose PostgreSQL takes 5 s for each answer, or says nothing at all.

use std::time::Duration;

use openclaw_tenancy_postgres::PoolOptions;
use serde_json::{Value, json};
use test_support::proxy::Mode;
use tokio::time::{Instant, sleep, timeout};

use crate::behind::Behind;
use crate::instances::{Visitor, phase};
use crate::server::client;
use crate::support::PATIENCE;

/// How long `/api/health` waits for the database.
const HEALTH: Duration = Duration::from_millis(1500);
/// A busy machine may be late, but not by this factor.
const LATE: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn f18_slow_or_silent_postgresql_writes_are_503_in_time_and_everything_goes_on_after() {
    let Some(behind) = Behind::given("10.231.3.0/24").await else {
        return;
    };
    let Behind {
        engine, proxy, dir, ..
    } = &behind;
    let server = behind.start().await;
    let (name, password) = server.first_administrator().expect("introduced");
    let token = behind.token().await;
    let write = async |path: &str, body: Value| {
        let request = client()
            .post(format!("{}{path}", server.api))
            .bearer_auth(&token)
            // The same create each time, as a client repeats it.
            .header("Idempotency-Key", "once");
        request.json(&body).send().await.unwrap()
    };
    // A request ends with the first call to the store that fails, and each fails within this.
    let deadline = PoolOptions::default().deadline;
    let create = json!({ "plan": "free", "name": "ada-lab" });

    // The first request of all meets the silence; it has made nothing, and its repetition makes it.
    proxy.set(Mode::Stall);
    assert_eq!(write("/api/tenants", create.clone()).await.status(), 503);
    proxy.set(Mode::Pass);
    let made = write("/api/tenants", create.clone()).await;
    assert_eq!(made.status(), 202);
    assert!(!made.headers().contains_key("idempotency-replayed"));
    let made: Value = made.json().await.unwrap();
    let running = phase(&server, &token, "running").await;
    let instance = running["url"].as_str().unwrap();
    let visitor = Visitor::sign_in(&server, instance, &name, &password).await;
    assert_eq!(visitor.open("/").await.status(), 200);

    for trouble in [Mode::Stall, Mode::Delay(Duration::from_secs(5))] {
        let containers = engine.instances(dir.path()).await;
        proxy.set(trouble.clone());
        let refused = async |path: &'static str, body: Value| {
            let began = Instant::now();
            let answer = write(path, body).await;
            let took = began.elapsed();
            let (status, headers) = (answer.status(), answer.headers().clone());
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(status, 503, "{trouble:?}: {path}: {problem}");
            assert!(headers.contains_key("retry-after"), "{trouble:?}: {path}");
            assert_eq!(
                problem["type"],
                "urn:openclaw-tenancy:problem:store-unavailable"
            );
            assert!(took < LATE * deadline, "{trouble:?}: {path}: {took:?}");
            took
        };
        let health = async || {
            let began = Instant::now();
            let asked = client().get(format!("{}/api/health", server.api));
            let answer = asked.send().await.expect("health answers");
            let took = began.elapsed();
            assert_eq!(answer.status(), 503, "{trouble:?}");
            let health: Value = answer.json().await.unwrap();
            assert_eq!(
                health["checks"]["database"], "unavailable",
                "{trouble:?}: {health}"
            );
            assert!(took < LATE * HEALTH, "{trouble:?}: health: {took:?}");
            took
        };
        let mut slowest = [Duration::ZERO; 3];
        for _ in 0..2 {
            let page = async {
                let began = Instant::now();
                let page = visitor.open("/").await;
                assert_eq!(page.status(), 200, "{trouble:?}: the edge");
                began.elapsed()
            };
            // More at once than there are connections.
            let writes = futures::future::join_all((0..8).flat_map(|_| {
                [
                    refused("/api/tenants", create.clone()),
                    refused("/api/tenants/me/restart", json!({})),
                    refused("/api/tenants/me/suspend", json!({})),
                ]
            }));
            let (writes, health, page) = tokio::join!(writes, health(), page);
            let write = writes.into_iter().max().unwrap();
            for (slowest, took) in slowest.iter_mut().zip([write, health, page]) {
                *slowest = took.max(*slowest);
            }
        }
        let [writes, health_took, page] = slowest;
        println!(
            "{trouble:?}: 503 within {writes:.2?}, health within {health_took:.2?}, the edge within {page:.2?}"
        );

        proxy.set(Mode::Pass);
        let passes = Instant::now();
        let serves = async {
            while write("/api/tenants/me/restart", json!({})).await.status() != 202 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, serves)
            .await
            .expect("writes are taken again");
        println!(
            "{trouble:?}: a write was taken {:.2?} after the network passed again",
            passes.elapsed()
        );
        let well = async {
            while server.get("/api/health", "").await.1["checks"]["database"] != "ok" {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, well).await.expect("health says so");
        // What was refused did not happen later, what was acknowledged before is there.
        let again = phase(&server, &token, "running").await;
        for field in ["id", "url", "plan"] {
            assert_eq!(again[field], running[field], "{trouble:?}: {field}");
        }
        let replayed = write("/api/tenants", create.clone()).await;
        assert_eq!(replayed.status(), 202, "{trouble:?}");
        assert!(replayed.headers().contains_key("idempotency-replayed"));
        let replayed: Value = replayed.json().await.unwrap();
        assert_eq!(replayed["id"], made["id"], "{trouble:?}");
        assert_eq!(
            engine.instances(dir.path()).await.len(),
            containers.len(),
            "{trouble:?}"
        );
        let opens = async {
            while visitor.open("/").await.status() != 200 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, opens).await.expect("the session goes on");
    }

    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    engine.clear(dir.path()).await;
}
