//! F15: the process is killed with SIGKILL while it writes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use openclaw_tenancy::id::TenantId;
use openclaw_tenancy::store::TenantStore;
use sqlx::{Connection as _, SqliteConnection};

use crate::given::{new_tenant, open};

/// Names the file to the process that is killed.
const FILE: &str = "TENANCY_TEST_SQLITE_FILE";
const KILLS: usize = 10;

/// What was answered is there, whenever the process is killed, and the file is sound.
#[tokio::test]
async fn f15_a_killed_process_loses_no_answered_write() {
    if let Some(path) = std::env::var_os(FILE) {
        return write_for_ever(Path::new(&path)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tenancy.db");
    let mut answered: Vec<TenantId> = Vec::new();
    for kill in 0..KILLS {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "kill::f15_a_killed_process_loses_no_answered_write",
                "--nocapture",
            ])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ids = lines
            .map_while(Result::ok)
            .filter_map(|line| line.parse().ok());
        let before = answered.len();
        for id in ids {
            answered.push(id);
            if answered.len() == before + 5 + kill * 3 {
                // Whatever it is doing now, in another line of its output or none.
                process.kill().unwrap();
            }
        }
        process.wait().unwrap();
        assert!(before < answered.len(), "the process wrote");
    }
    let store = open(&path).await;
    for id in &answered {
        let tenant = store.get(*id).await.unwrap();
        assert!(tenant.is_some(), "{id} was answered");
    }
    let mut connection = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(sound, "ok");
    println!(
        "{KILLS} kills, {} answered writes, all there",
        answered.len()
    );
}

/// Makes tenants, and says each one that was answered.
async fn write_for_ever(path: &Path) {
    let store = open(path).await;
    loop {
        let tenant = store.create(new_tenant()).await.unwrap().tenant();
        println!("{}", tenant.id);
    }
}
