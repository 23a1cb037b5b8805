//! F29: the disk is full.
//!
//! The disk is a small `tmpfs` in a mount namespace of its own, so the test runs itself there once more.
//! Where that may not be made the test says that it is skipped; with `TENANCY_TEST_REQUIRE=all` (or a list
//! with `small-disk`) that is a failure.

use std::path::Path;
use std::process::Command;

use openclaw_tenancy::store::{StoreError, TenantStore};
use sqlx::{Connection as _, SqliteConnection};

use crate::given::{new_tenant, open};

/// Names the mount point to the process in the namespace.
const SMALL_DISK: &str = "TENANCY_TEST_SMALL_DISK";

/// A write that does not fit says why and leaves nothing half; with room again the next one succeeds.
#[tokio::test]
async fn f29_a_full_disk_is_a_clear_error_without_half_a_write_and_heals() {
    if let Some(disk) = std::env::var_os(SMALL_DISK) {
        return fill(Path::new(&disk)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-euc", script, "sh"]);
        command
            .arg(directory.path())
            .arg(std::env::current_exe().unwrap());
        command.env(SMALL_DISK, directory.path());
        command.output()
    };
    let mount = "mount -t tmpfs -o size=1500k tmpfs \"$1\"";
    if !in_namespace(mount).is_ok_and(|output| output.status.success()) {
        let required = std::env::var("TENANCY_TEST_REQUIRE").unwrap_or_default();
        let is_required = required
            .split(',')
            .any(|name| name == "all" || name == "small-disk");
        assert!(!is_required, "a small tmpfs must be mountable");
        eprintln!("skipped: a small tmpfs cannot be mounted here");
        return;
    }
    let test = "disk::f29_a_full_disk_is_a_clear_error_without_half_a_write_and_heals";
    let output = in_namespace(&format!("{mount}; \"$2\" --exact {test} --nocapture")).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    print!("{told}");
}

async fn fill(disk: &Path) {
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 500 << 10]).unwrap();
    let path = disk.join("tenancy.db");
    let store = open(&path).await;
    let mut made = Vec::new();
    let error = loop {
        match store.create(new_tenant()).await {
            Ok(created) => made.push(created.tenant().id),
            Err(error) => break error,
        }
    };
    made.sort();
    let StoreError::Unavailable { what, .. } = &error else {
        panic!("unavailable: {error:?}");
    };
    assert_eq!(
        *what,
        "the disk of the database file is full; free space on it, and this goes on by itself"
    );
    let tenants = store.list(None, 10_000).await.expect("reads go on").tenants;
    let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id).collect();
    assert_eq!(ids, made, "what was answered, and nothing else");
    let changes = store.changed_since(0, 10_000).await.expect("reads go on");
    assert_eq!(changes.tenants.len(), made.len(), "no half of a write");

    std::fs::remove_file(ballast).unwrap();
    store.create(new_tenant()).await.expect("it heals alone");
    let mut connection = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(sound, "ok");
    println!("full after {} tenants, healed", made.len());
}
