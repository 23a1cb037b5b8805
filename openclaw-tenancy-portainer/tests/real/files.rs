//! Files into the volumes of a container that never ran and of one that runs; the log out.

use openclaw_tenancy::container::secret::Content;
use openclaw_tenancy::container::{CONFIG_PATH, DATA_PATH, VolumeFile};
use openclaw_tenancy::quantity::Bytes;

use crate::common::plan;
use crate::with_tenant;

fn file(path: &str, owner: u32, mode: u32, content: &str) -> VolumeFile {
    VolumeFile {
        path: path.to_owned(),
        content: Content(content.into()),
        owner,
        mode,
    }
}

#[tokio::test]
async fn seeded_before_the_first_start_and_configured_while_it_runs() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        let seed = format!("{DATA_PATH}/openclaw.json");
        assert!(!t.backend.path_exists(&t.host, &id, &seed).await.unwrap());
        let put = |directory, files| t.backend.put_files(&t.host, &id, directory, files);
        put(DATA_PATH, vec![file("openclaw.json", 1000, 0o600, "{}")])
            .await
            .unwrap();
        put(
            CONFIG_PATH,
            vec![
                file("gateway.json", 0, 0o644, "one"),
                file("secrets/corp", 1000, 0o600, "key"),
            ],
        )
        .await
        .unwrap();
        assert!(t.backend.path_exists(&t.host, &id, &seed).await.unwrap());
        t.start(&id).await.unwrap();

        let show = |path: &str| format!("stat -c '%u:%g %a %F' {path}");
        for (path, expected) in [
            (DATA_PATH.to_owned(), "1000:1000 700 directory"),
            (seed.clone(), "1000:1000 600 regular file"),
            (CONFIG_PATH.to_owned(), "0:0 755 directory"),
            (
                format!("{CONFIG_PATH}/gateway.json"),
                "0:0 644 regular file",
            ),
            (
                format!("{CONFIG_PATH}/secrets/corp"),
                "1000:1000 600 regular file",
            ),
        ] {
            assert_eq!(
                engine.run(&id.0, &show(&path)).await.output.trim(),
                expected,
                "{path}"
            );
        }

        put(CONFIG_PATH, vec![file("gateway.json", 0, 0o644, "two")])
            .await
            .unwrap();
        let read = engine
            .run(&id.0, &format!("cat {CONFIG_PATH}/gateway.json"))
            .await;
        assert_eq!(read.output, "two");

        // The instance owns its data, and nothing of ours.
        for command in [
            "touch /home/node/.openclaw/x".to_owned(),
            "mkdir /home/node/.openclaw/d".to_owned(),
            "touch /tmp/x".to_owned(),
        ] {
            let ran = engine.run(&id.0, &command).await;
            assert_eq!(ran.code, 0, "{command}: {}", ran.output);
        }
        for command in [
            format!("touch {CONFIG_PATH}/x"),
            format!("echo x > {CONFIG_PATH}/gateway.json"),
            format!("rm -f {CONFIG_PATH}/gateway.json"),
            format!("mv {CONFIG_PATH}/gateway.json {CONFIG_PATH}/other"),
            format!("mv {CONFIG_PATH} /home/node/.openclaw/elsewhere"),
            format!("rmdir {CONFIG_PATH}"),
            format!("chmod 777 {CONFIG_PATH}"),
            format!("ln -s /etc {CONFIG_PATH}/link"),
        ] {
            let ran = engine.run(&id.0, &command).await;
            assert_ne!(ran.code, 0, "{command} succeeded");
        }
    })
    .await;
}

#[tokio::test]
async fn a_volume_outlives_its_containers_generation() {
    with_tenant(|engine, t| async move {
        let first = t.created(plan("free")).await;
        let put = |id| {
            t.backend.put_files(
                &t.host,
                id,
                DATA_PATH,
                vec![file("kept", 1000, 0o600, "kept")],
            )
        };
        put(&first).await.unwrap();
        t.start(&first).await.unwrap();
        t.remove(&openclaw_tenancy::container::ObjectRef::Container(first))
            .await
            .unwrap();
        let second = t.make(&t.instance(2, plan("free"))).await.unwrap().id;
        t.start(&second).await.unwrap();
        assert_eq!(
            engine
                .run(&second.0, &format!("cat {DATA_PATH}/kept"))
                .await
                .output,
            "kept"
        );
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_log_is_given() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        t.start(&id).await.unwrap();
        // The main process's own output, which is what an engine logs.
        engine.run(&id.0, "seq 1 500 > /proc/1/fd/1 || for i in $(seq 1 500); do echo $i; done > /proc/1/fd/1").await;
        let log = t.backend.logs(&t.host, &id, Bytes(64)).await.unwrap();
        assert!(log.len() <= 64, "{log:?}");
        assert_eq!(t.backend.logs(&t.host, &id, Bytes(0)).await.unwrap(), "");
    })
    .await;
}
