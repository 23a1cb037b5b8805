//! This machine: the settings' file, the data directory, the ports.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::net::TcpListener;

use super::Check;
use crate::server::config::{Config, Loaded};
use crate::server::descriptors::{self, Shares};

pub(super) fn configuration(loaded: &Loaded) -> Check {
    let file = match &loaded.file {
        Some(file) => file.display().to_string(),
        None => "no file; defaults, environment and flags".to_owned(),
    };
    match loaded.seed_names.as_slice() {
        [] => Check::ok("configuration", file),
        names => {
            let new: Vec<_> = names
                .iter()
                .map(|name| format!("{} -> {}", name.variable, name.key))
                .collect();
            Check::warn(
                "configuration",
                format!("{file}; names of the predecessor are in use"),
                format!("rename them when it suits you: {}", new.join(", ")),
            )
        }
    }
}

pub(super) fn data_dir(dir: &Path) -> Check {
    let shown = dir.display();
    let fix = || format!("give it to this user, or choose another with --data (now {shown})");
    match std::fs::metadata(dir) {
        Ok(found) if !found.is_dir() => Check::fail("data directory", "is no directory", fix()),
        // Tried, because permissions do not say all of it: a full or read-only disk, a namespace.
        Ok(_) => match tempfile_in(dir) {
            Ok(()) => Check::ok("data directory", shown.to_string()),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Check::fail(
                "data directory",
                format!("its disk is full: {error}"),
                format!("free space on the disk of {shown}"),
            ),
            Err(error) => Check::fail(
                "data directory",
                format!("cannot be written: {error}"),
                fix(),
            ),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::ok(
            "data directory",
            format!("{shown} will be made by the first start"),
        ),
        Err(error) => Check::fail("data directory", format!("cannot be used: {error}"), fix()),
    }
}

fn tempfile_in(dir: &Path) -> io::Result<()> {
    use io::Write as _;

    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    // An empty file fits on a full disk.
    let written = file.write_all(&[0; 4096]).and_then(|()| file.sync_all());
    written.and(std::fs::remove_file(&path))
}

/// What a process that is started as this one may have open.
pub(super) fn open_files(most: Option<u64>) -> Check {
    let (subject, needed) = ("open files", descriptors::needed());
    match most {
        Some(most) if most < needed => {
            let edge = Shares::of(Some(most)).edge.in_all;
            Check::warn(
                subject,
                format!(
                    "{most} at most, {needed} are needed for all; the edge takes {edge} connections"
                ),
                format!(
                    "allow a server of many people more: LimitNOFILE={needed} (systemd), --ulimit nofile={needed} \
                     (Docker), or `ulimit -Hn`"
                ),
            )
        }
        Some(most) => Check::ok(subject, format!("{most} at most")),
        None => Check::ok(subject, "as many as it likes"),
    }
}

pub(super) async fn ports(config: &Config) -> Vec<Check> {
    let ours = answers_as_ours(config.server.listen).await;
    let mut wanted = vec![
        ("server.listen", config.server.listen),
        ("edge.listen", config.edge.listen),
    ];
    if config.metrics.enabled {
        wanted.push(("metrics.listen", config.metrics.listen));
    }
    let mut checks = Vec::new();
    for (key, address) in wanted {
        checks.push(match TcpListener::bind(address).await {
            Ok(_) => Check::ok(key, format!("{address} is free")),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && ours => Check::ok(
                key,
                format!("{address} is taken, and a server of this kind runs"),
            ),
            Err(error) => Check::fail(
                key,
                format!("{address}: {error}"),
                format!("end what uses it (`ss -ltnp`), or choose another with {key}"),
            ),
        });
    }
    checks
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "that it is there is what tells")]
struct Health {
    status: String,
    checks: serde_json::Value,
}

/// Whether what listens there answers as this server does.
async fn answers_as_ours(address: SocketAddr) -> bool {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(3))
        .build();
    let Ok(client) = client else { return false };
    match client
        .get(format!("http://{address}/api/health"))
        .send()
        .await
    {
        Ok(answer) => answer.json::<Health>().await.is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_setting() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::default();
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.edge.listen = taken.local_addr().unwrap();
        config.metrics.enabled = false;
        let checks = ports(&config).await;
        assert_eq!(checks[0].outcome, Outcome::Ok);
        assert_eq!(checks[1].outcome, Outcome::Fail);
        assert!(
            checks[1].fix.as_ref().unwrap().contains("edge.listen"),
            "{checks:?}"
        );
    }

    #[test]
    fn few_open_files_are_told_with_what_they_are_enough_for() {
        let few = open_files(Some(1_024));
        assert_eq!(few.outcome, Outcome::Warn);
        assert!(few.found.contains("takes 214 connections"), "{few:?}");
        assert!(few.fix.as_ref().unwrap().contains("LimitNOFILE="));
        for enough in [Some(1 << 20), None] {
            assert_eq!(open_files(enough).outcome, Outcome::Ok);
        }
    }

    #[test]
    fn a_data_directory_is_tried() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(data_dir(dir.path()).outcome, Outcome::Ok);
        assert_eq!(data_dir(&dir.path().join("new")).outcome, Outcome::Ok);
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(data_dir(&file).outcome, Outcome::Fail);
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left"
        );
    }
}
