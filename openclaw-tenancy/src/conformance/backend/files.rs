//! Files in a container's volumes, and what it prints.

use super::given::Given;
use super::{BackendFixture, FoundFile};
use crate::container::secret::Content;
use crate::container::{CONFIG_PATH, DATA_PATH, EngineId, INSTANCE_UID, ObjectRef, VolumeFile};
use crate::quantity::Bytes;

fn file(path: &str, content: &str) -> VolumeFile {
    VolumeFile {
        path: path.to_owned(),
        content: Content(content.as_bytes().to_vec()),
        owner: 0,
        mode: 0o644,
    }
}

impl Given {
    async fn put(&self, id: &EngineId, directory: &str, files: Vec<VolumeFile>) {
        let put = self
            .backend
            .put_files(&self.host, id, directory, files)
            .await;
        put.expect("the volume has room");
    }

    async fn has(&self, id: &EngineId, directory: &str, path: &str) -> bool {
        let path = format!("{directory}/{path}");
        let found = self.backend.path_exists(&self.host, id, &path).await;
        found.expect("the engine answers")
    }
}

/// Files are there before the container ever ran, also below a directory that was not there.
pub(super) async fn put_files_writes_before_the_first_start(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.created().await;
    for directory in [DATA_PATH, CONFIG_PATH] {
        let paths = ["kit.json", "kit/below/kit.json"];
        for path in paths {
            assert!(!given.has(&id, directory, path).await, "{directory}/{path}");
        }
        let files = paths.map(|path| file(path, "{}")).to_vec();
        given.put(&id, directory, files).await;
        for path in paths {
            assert!(given.has(&id, directory, path).await, "{directory}/{path}");
        }
        assert!(!given.has(&id, directory, "kit.json.not").await);
    }
}

/// The same files again, and other content for the same paths, are success.
pub(super) async fn put_files_again_replaces(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.created().await;
    for content in ["1", "1", "a longer one"] {
        let files = vec![file("a/kit", content)];
        given.put(&id, CONFIG_PATH, files).await;
        assert!(given.has(&id, CONFIG_PATH, "a/kit").await);
    }
    given.start(&id).await;
    let files = vec![file("a/kit", "while it runs")];
    given.put(&id, CONFIG_PATH, files).await;
}

/// A file has the content, the owner and the mode that it was given, also in the place of an earlier one. Directories on
/// the way are root's, and everybody's to read.
pub(super) async fn put_files_gives_content_owner_and_mode(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.created().await;
    for directory in [DATA_PATH, CONFIG_PATH] {
        for (content, owner, mode) in [("the first", INSTANCE_UID, 0o600), ("2", 0, 0o644)] {
            let files = ["kit", "on/the/way"].map(|path| VolumeFile {
                owner,
                mode,
                ..file(path, content)
            });
            given.put(&id, directory, files.to_vec()).await;
            let wanted = FoundFile {
                owner,
                group: owner,
                mode,
                content: Some(content.as_bytes().to_vec()),
            };
            for VolumeFile { path, .. } in files {
                let path = format!("{directory}/{path}");
                let Some(found) = fixture.found(&id, &path).await else {
                    println!("skipped: the fixture looks at no files");
                    return;
                };
                assert_eq!(found, wanted, "{path}");
            }
        }
        let wanted = FoundFile {
            owner: 0,
            group: 0,
            mode: 0o755,
            content: None,
        };
        for path in ["on", "on/the"] {
            let path = format!("{directory}/{path}");
            match fixture.found(&id, &path).await {
                Some(found) => assert_eq!(found, wanted, "{path}"),
                None => println!("skipped: the fixture looks at no directories"),
            }
        }
    }
}

/// Files are the volumes', not the container's: the next generation has them.
pub(super) async fn files_outlive_the_container(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.created().await;
    for directory in [DATA_PATH, CONFIG_PATH] {
        given.put(&id, directory, vec![file("kept", "x")]).await;
    }
    let container = ObjectRef::Container(id);
    let removed = given.backend.remove(&given.host, &container).await;
    removed.expect("nothing uses it");
    let next = given.make(&given.instance(2)).await.id;
    for directory in [DATA_PATH, CONFIG_PATH] {
        assert!(given.has(&next, directory, "kept").await, "{directory}");
    }
}

/// No more is given than was asked for.
pub(super) async fn logs_are_bounded(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.running().await;
    for limit in [0, 16, 4096] {
        let logs = given.backend.logs(&given.host, &id, Bytes(limit)).await;
        let length = logs.expect("the engine answers").len();
        assert!(length as u64 <= limit, "{length} bytes of {limit}");
    }
}
