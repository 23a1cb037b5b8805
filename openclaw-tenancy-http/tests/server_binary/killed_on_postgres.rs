//! F15, F27: a killed server on PostgreSQL starts again. What it had claimed itself waits for no lease; what another has
//! claimed does.

use std::time::Duration;

use serde_json::json;
use test_support::services::given;
use tokio::time::{sleep, timeout};

use crate::server::Server;
use crate::services::{asks, sql, token};
use crate::support::{PATIENCE, text};

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_killed_server_takes_over_from_itself_and_from_nobody_else() {
    let Some(admin) = given("postgres", "TENANCY_TEST_POSTGRES_URL") else {
        return;
    };
    let name = format!("killed_{}", std::process::id());
    sql(&admin, &format!("CREATE DATABASE {name}")).await;
    let mut url: url::Url = admin.parse().unwrap();
    url.set_path(&name);
    let dir = tempfile::tempdir().unwrap();
    let environment = [("DATABASE_URL", url.as_str())];
    let server = Server::start(dir.path(), &environment).await;
    let token = token(dir.path(), &environment).await;
    // Its host does not answer: it is queued, and looked at again and again.
    let made = server.post("/api/tenants", &token, json!({ "plan": "free" }));
    assert_eq!(made.await.0, 202);
    server.signal("KILL").await;
    server.ended().await;

    // As if it had been killed in the middle of a pass, and another in the middle of a look at the host.
    let said = std::fs::read_to_string(dir.path().join("worker")).unwrap();
    let killed = said.split_whitespace().last().unwrap();
    let hour = "lease_until = tenancy_now() + 3600000";
    sql(
        url.as_str(),
        &format!("UPDATE tenants SET worker = '{killed}', claimed_revision = revision, {hour}"),
    )
    .await;
    let other = format!("UPDATE hosts SET worker = 'w-other', {hour}");
    sql(url.as_str(), &other).await;

    let server = Server::start(dir.path(), &environment).await;
    let count = async |of: &str| {
        let statement = format!("SELECT 'there are ' || count(*) FROM {of}");
        text(&asks(url.as_str(), &statement).await.stdout)
    };
    let held = format!("tenants WHERE worker = '{killed}'");
    let taken_over = async {
        while !count(&held).await.contains("there are 0") {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, taken_over)
        .await
        .expect("nobody waits for the dead");
    let others = count("hosts WHERE worker = 'w-other'").await;
    assert!(others.contains("there are 1"), "{others}");
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    sql(&admin, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}
