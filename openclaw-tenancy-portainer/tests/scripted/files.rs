//! Files into volumes, and the log out.

use openclaw_tenancy::backend::BackendError;
use openclaw_tenancy::container::secret::Content;
use openclaw_tenancy::container::{CONFIG_PATH, DATA_PATH, VolumeFile, VolumeRole};
use openclaw_tenancy::quantity::Bytes;
use test_support::engine::{Fault, Rule};

use super::bench;
use crate::common::plan;

fn file(path: &str, owner: u32, mode: u32) -> VolumeFile {
    VolumeFile {
        path: path.to_owned(),
        content: Content(path.as_bytes().to_vec()),
        owner,
        mode,
    }
}

#[tokio::test]
async fn files_land_in_the_volumes_with_owner_and_mode() {
    let (engine, tenancy) = bench().await;
    let id = tenancy.created(plan("free")).await;
    let backend = &tenancy.backend;
    let seed = "/home/node/.openclaw/openclaw.json";
    assert!(!backend.path_exists(&tenancy.host, &id, seed).await.unwrap());
    backend
        .put_files(
            &tenancy.host,
            &id,
            DATA_PATH,
            vec![file("openclaw.json", 1000, 0o600)],
        )
        .await
        .unwrap();
    let config = vec![
        file("gateway.json", 0, 0o644),
        file("secrets/corp", 1000, 0o600),
    ];
    backend
        .put_files(&tenancy.host, &id, CONFIG_PATH, config.clone())
        .await
        .unwrap();
    backend
        .put_files(&tenancy.host, &id, CONFIG_PATH, config)
        .await
        .unwrap();
    assert!(backend.path_exists(&tenancy.host, &id, seed).await.unwrap());

    let world = engine.world();
    let data = tenancy.name(&tenancy.volume(VolumeRole::Data));
    let config = tenancy.name(&tenancy.volume(VolumeRole::Config));
    let shown = |volume: &str, path: &str| {
        world
            .file(volume, path)
            .map(|(_, owner, mode)| (owner, mode))
    };
    assert_eq!(
        shown(&data, ".openclaw"),
        Some((1000, 0o700)),
        "the instance owns its data"
    );
    assert_eq!(shown(&data, ".openclaw/openclaw.json"), Some((1000, 0o600)));
    assert_eq!(
        shown(&config, ""),
        Some((0, 0o755)),
        "the instance cannot write our configuration"
    );
    assert_eq!(shown(&config, "gateway.json"), Some((0, 0o644)));
    assert_eq!(shown(&config, "secrets"), Some((0, 0o755)));
    assert_eq!(shown(&config, "secrets/corp"), Some((1000, 0o600)));
}

#[tokio::test]
async fn nothing_is_written_outside_the_volumes() {
    let (engine, tenancy) = bench().await;
    let id = tenancy.created(plan("free")).await;
    let calls = engine.calls().len();
    for directory in [
        "/etc",
        "/tmp",
        "/",
        "/home",
        "/home/nodex",
        "relative",
        "/home/node/../../etc",
        "",
    ] {
        let refused = tenancy
            .backend
            .put_files(&tenancy.host, &id, directory, vec![file("x", 0, 0o644)])
            .await
            .unwrap_err();
        assert!(
            matches!(refused, BackendError::Refused { .. }),
            "{directory}: {refused:?}"
        );
    }
    let refused = tenancy
        .backend
        .put_files(&tenancy.host, &id, DATA_PATH, vec![file("../x", 0, 0o644)])
        .await
        .unwrap_err();
    assert!(
        matches!(refused, BackendError::Refused { .. }),
        "{refused:?}"
    );
    assert!(
        engine.calls()[calls..]
            .iter()
            .all(|call| call.method == "GET")
    );
}

#[tokio::test]
async fn a28_contents_show_in_no_error() {
    let (engine, tenancy) = bench().await;
    let id = tenancy.created(plan("free")).await;
    let secret = VolumeFile {
        content: Content(b"canary-7c1".to_vec()),
        ..file("key", 1000, 0o600)
    };
    for fault in [
        Fault::Refuse {
            status: 500,
            message: "no".into(),
        },
        Fault::LoseAnswer,
        Fault::SilenceAfter,
    ] {
        engine.on(Rule::call("PUT", "/containers/*/archive").fault(fault));
        let failed = tenancy
            .backend
            .put_files(&tenancy.host, &id, CONFIG_PATH, vec![secret.clone()])
            .await
            .unwrap_err();
        assert!(
            !format!("{failed:?} {failed}").contains("canary"),
            "{failed:?}"
        );
    }
}

#[tokio::test]
async fn the_end_of_the_log_is_given() {
    let (engine, tenancy) = bench().await;
    let id = tenancy.created(plan("free")).await;
    for line in 0..100 {
        engine
            .world()
            .print(&id.0, line % 2 == 1, &format!("line {line}\n"));
    }
    let log = tenancy
        .backend
        .logs(&tenancy.host, &id, Bytes(16))
        .await
        .unwrap();
    assert!(log.ends_with("line 99\n") && log.len() == 16, "{log:?}");
    let log = tenancy
        .backend
        .logs(&tenancy.host, &id, Bytes(1 << 16))
        .await
        .unwrap();
    assert!(log.starts_with("line 0\n"), "{log:?}");
}
