//! A database that is not there yet, is there late, or has not all tables: what the start and `doctor` make of it.
//!
//! The PostgreSQL servers are the tests' own. Where it is not installed the tests are skipped, unless
//! `TENANCY_TEST_REQUIRE` names `postgres` or `all`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use test_support::postgres::Server as Postgres;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::server::{NOWHERE, Server};
use crate::services::{asks, sql};
use crate::support::{PATIENCE, command, run, text};

const WAITING: &str = "waiting for the database of store.url";

fn url(postgres: &Postgres) -> String {
    postgres.url(postgres.address())
}

/// One that answers, past the moment in which it accepts connections and is still starting.
async fn answering() -> Option<Postgres> {
    let postgres = Postgres::start()?;
    let url = url(&postgres);
    let answers = async {
        while !asks(&url, "SELECT 1").await.status.success() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, answers).await.expect("it answers");
    Some(postgres)
}

/// `serve`, before it is ready.
fn start(data: &Path, url: &str, wait: &str) -> Child {
    let mut command = command(data);
    command
        .arg("serve")
        .envs(NOWHERE)
        .env("DATABASE_URL", url)
        .env("OPENCLAW_TENANCY__STORE__WAIT", wait)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// `serve` with a database that keeps it from starting; its exit code and what it said.
async fn fails(data: &Path, url: &str, wait: &str) -> (Option<i32>, String) {
    let ended = start(data, url, wait).wait_with_output();
    let ended = timeout(PATIENCE, ended).await.expect("it ends").unwrap();
    (ended.status.code(), text(&ended.stderr))
}

/// Reads on to a line that contains `wanted`.
async fn until<R: AsyncBufRead + Unpin>(lines: &mut Lines<R>, wanted: &str) -> String {
    let found = async {
        loop {
            let line = lines.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended without {wanted:?}"));
            if line.contains(wanted) {
                return line;
            }
        }
    };
    timeout(PATIENCE, found).await.expect(wanted)
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    let sent = Command::new("kill").args([name, &pid]).status();
    assert!(sent.await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_postgresql_that_starts_late() {
    let Some(mut postgres) = Postgres::prepare() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut server = start(dir.path(), &url(&postgres), "2m");
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    // Twice: it goes on waiting.
    for _ in 0..2 {
        let waiting = until(&mut log, WAITING).await;
        assert!(waiting.contains("refused"), "it says why: {waiting}");
    }
    postgres.run();
    let draining = tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    until(&mut said, "first administrator: ").await;
    until(&mut said, "ready: ").await;
    signal(&server, "-TERM").await;
    let status = timeout(PATIENCE, server.wait()).await.expect("it ends");
    assert_eq!(status.unwrap().code(), Some(0));
    draining.await.unwrap();
}

#[tokio::test]
async fn a_start_waits_only_so_long_and_then_says_what_to_do() {
    let Some(postgres) = Postgres::prepare() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (code, log) = fails(dir.path(), &url(&postgres), "1s").await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(WAITING), "{log}");
    let last = log.lines().last().unwrap();
    for told in [
        "error: the database did not answer within 1 s",
        "store.url",
        "store.wait",
        "refused",
    ] {
        assert!(last.contains(told), "{told}: {log}");
    }

    let (code, log) = fails(dir.path(), &url(&postgres), "0").await;
    assert_eq!(code, Some(1), "{log}");
    assert!(!log.contains(WAITING), "zero does not wait: {log}");
    assert!(
        log.contains("error: store.url: the database cannot be used"),
        "{log}"
    );
}

#[tokio::test]
async fn a_start_does_not_wait_for_what_will_not_come() {
    let Some(postgres) = answering().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let nothing = url(&postgres).replace("/postgres?", "/nothing?");
    let (code, log) = fails(dir.path(), &nothing, "2m").await;
    assert_eq!(code, Some(1), "{log}");
    assert!(!log.contains(WAITING), "{log}");
    assert!(log.contains("there is no such database"), "{log}");
}

#[tokio::test]
async fn whoever_asks_for_the_end_of_a_start_that_waits_gets_it() {
    let Some(postgres) = Postgres::prepare() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut server = start(dir.path(), &url(&postgres), "1h");
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    until(&mut log, WAITING).await;
    signal(&server, "-TERM").await;
    let status = timeout(PATIENCE, server.wait()).await.expect("it ends");
    assert_eq!(status.unwrap().code(), Some(0));
}

/// The check of `doctor` with this subject.
async fn check(data: &Path, environment: &[(&str, &str)], subject: &str) -> Value {
    let output = run(data, &["doctor", "--json"], environment).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["subject"] == subject);
    found.unwrap_or(&Value::Null).clone()
}

#[tokio::test]
async fn doctor_names_pending_migrations_and_how_to_make_them() {
    let Some(postgres) = answering().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let url = url(&postgres);
    let environment = [("DATABASE_URL", &*url)];
    let empty = check(dir.path(), &environment, "database").await;
    assert_eq!(empty["outcome"], "ok", "{empty}");
    let found = empty["found"].as_str().unwrap();
    assert!(
        found.contains(
            "the first start makes its tables (migrations 1 tenancy, 2 forgotten hosts, 3 outcomes)"
        ),
        "{found}"
    );

    let server = Server::start(dir.path(), &environment).await;
    assert_eq!(server.stop().await.0, Some(0));
    let made = check(dir.path(), &environment, "migrations").await;
    assert_eq!(made["outcome"], "ok", "{made}");

    // As a release with one more migration would find it.
    sql(
        &url,
        "DELETE FROM openclaw_tenancy_migrations WHERE version = 3",
    )
    .await;
    let pending = check(dir.path(), &environment, "migrations").await;
    assert_eq!(pending["outcome"], "warn", "{pending}");
    assert_eq!(pending["found"], "pending: 3 outcomes");
    let fix = pending["fix"].as_str().unwrap();
    assert!(fix.contains("`openclaw-tenancy serve`"), "{fix}");

    sql(&url, "DROP TABLE openclaw_tenancy_migrations").await;
    let foreign = check(dir.path(), &environment, "database").await;
    assert_eq!(foreign["outcome"], "fail", "{foreign}");
    assert!(
        foreign["found"].as_str().unwrap().contains("did not make"),
        "{foreign}"
    );
}
