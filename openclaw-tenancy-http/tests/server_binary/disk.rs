//! A disk that is full, and one that is mounted read-only: what the server says of each, and that it heals.
//!
//! The disks are small file systems in memory of the tests' own, which only root can mount. For others the tests are
//! skipped, unless `TENANCY_TEST_REQUIRE` names `small-disk` or `all`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::server::{NOWHERE, Server, client, send};
use crate::support::{PATIENCE, command, run, text};

/// A mounted file system of 3 MiB; it goes with this.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let disk = Self { dir };
        let args = ["-t", "tmpfs", "-o", "size=3m", "openclaw-tenancy-test"];
        let mounted = Command::new("mount").args(args).arg(disk.path()).output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        let required = std::env::var("TENANCY_TEST_REQUIRE").unwrap_or_default();
        let must = required
            .split(',')
            .any(|part| part == "small-disk" || part == "all");
        assert!(
            mounted || !must,
            "TENANCY_TEST_REQUIRE={required}, but nothing can be mounted here"
        );
        if !mounted {
            eprintln!("skipped: nothing can be mounted here");
        }
        mounted.then_some(disk)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves no byte free; the file that takes them.
    fn fill(&self) -> PathBuf {
        let file = self.path().join("fill");
        let full = std::fs::write(&file, vec![0; 4 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        file
    }

    fn read_only(&self) {
        let done = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(self.path())
            .status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

async fn health(server: &Server) -> (u16, Value) {
    send(client().get(format!("{}/api/health", server.api))).await
}

#[tokio::test]
async fn f29_a_full_disk_is_named_and_the_server_heals_when_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let server = Server::start(&disk.path().join("data"), &[]).await;
    let (name, password) = server.first_administrator().unwrap();
    let sign_in = async || {
        let request = client()
            .post(format!("{}/api/auth/token", server.api))
            .json(&json!({ "username": name, "password": password }));
        send(request).await.0
    };
    let until = async |wanted: &str, status: u16| {
        let asked = async {
            loop {
                let (code, health) = health(&server).await;
                if health["checks"]["writes"] == wanted {
                    assert_eq!(code, status, "{health}");
                    return health;
                }
                sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(PATIENCE, asked).await.expect("health tells")
    };
    until("ok", 200).await;
    let fill = disk.fill();
    let health = until("unavailable", 503).await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert_eq!(health["checks"]["database"], "ok", "it reads: {health}");
    assert_eq!(sign_in().await, 503);
    let report = run(&disk.path().join("data"), &["doctor", "--json"], &NOWHERE).await;
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    for subject in ["database", "data directory"] {
        let check = checks.iter().find(|check| check["subject"] == subject);
        let check = check.expect(subject);
        assert_eq!(check["outcome"], "fail", "{check}");
        assert!(
            check["fix"].as_str().unwrap().contains("free space"),
            "{check}"
        );
    }
    std::fs::remove_file(fill).unwrap();
    until("ok", 200).await;
    assert_eq!(sign_in().await, 200);

    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("the disk of the database file is full; free space on it"),
        "{log}"
    );
    assert!(log.contains("the database takes writes again"), "{log}");
}

#[tokio::test]
async fn a_start_on_a_full_disk_says_so() {
    let Some(disk) = Disk::mount() else { return };
    let data = disk.path().join("data");
    std::fs::create_dir(&data).unwrap();
    disk.fill();
    let output = command(&data).arg("serve").envs(NOWHERE).output();
    let output = timeout(PATIENCE, output).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("is full; free space on it"), "{stderr}");
}

#[tokio::test]
async fn a_read_only_disk_is_blamed_on_the_directory_and_not_on_a_setting_nobody_made() {
    let Some(disk) = Disk::mount() else { return };
    let data = disk.path().join("data");
    let server = Server::start(&data, &[]).await;
    assert_eq!(server.stop().await.0, Some(0));
    disk.read_only();
    let output = command(&data).arg("serve").envs(NOWHERE).output();
    let output = timeout(PATIENCE, output).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    for told in [
        &*data.display().to_string(),
        "data directory",
        "mounted read-only",
    ] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    assert!(!stderr.contains("store.url"), "{stderr}");

    let report = run(&data, &["doctor", "--json"], &NOWHERE).await;
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["subject"] == "database");
    let fix = check.unwrap()["fix"].as_str().unwrap();
    assert!(fix.contains("data directory"), "{fix}");
}
