//! Files into a container's volumes, by archive.

use std::collections::BTreeSet;

use bollard::query_parameters::{ContainerArchiveInfoOptions, UploadToContainerOptionsBuilder};
use openclaw_tenancy::backend::BackendError;
use openclaw_tenancy::container::{DATA_PATH, EngineId, INSTANCE_UID, VolumeFile};

use super::Engine;
use super::observe::Container;

impl Engine {
    /// See `ContainerBackend::path_exists`.
    pub(crate) async fn path_exists(
        &self,
        id: &EngineId,
        path: &str,
    ) -> Result<bool, BackendError> {
        const WHAT: &str = "looking for a file";
        self.within(WHAT, async {
            self.own(id, WHAT).await?;
            let options = ContainerArchiveInfoOptions {
                path: path.to_owned(),
            };
            match self
                .call(self.docker.get_container_archive_info(&id.0, Some(options)))
                .await
            {
                Ok(_) => Ok(true),
                Err(failure) if failure.is_absent() => Ok(false),
                Err(failure) => Err(failure.general(&self.host, WHAT)),
            }
        })
        .await
    }

    /// See `ContainerBackend::put_files`.
    pub(crate) async fn put_files(
        &self,
        id: &EngineId,
        directory: &str,
        files: Vec<VolumeFile>,
    ) -> Result<(), BackendError> {
        const WHAT: &str = "writing files";
        self.within(WHAT, async {
            let container = self.own(id, WHAT).await?;
            let Some((root, below)) = place(&container, directory) else {
                let why = format!("`{directory}` is in no writable volume of the container");
                return Err(refused(WHAT, why));
            };
            let own = if directory == DATA_PATH {
                INSTANCES
            } else {
                OURS
            };
            let mtime = u64::try_from(self.clock.now().as_seconds()).unwrap_or(0);
            let archive =
                archive(below, own, &files, mtime).map_err(|e| refused(WHAT, e.to_string()))?;
            let options = UploadToContainerOptionsBuilder::default()
                .path(root)
                .build();
            // As a stream: the client library writes a whole body into its trace log, and this one has keys in it.
            let body = bollard::body_stream(futures::stream::iter([bytes::Bytes::from(archive)]));
            self.call(self.docker.upload_to_container(&id.0, Some(options), body))
                .await
                .map_err(|failure| failure.in_container(&self.host, WHAT))
        })
        .await
    }
}

fn refused(what: &'static str, why: String) -> BackendError {
    BackendError::Refused {
        what,
        status: 0,
        source: Some(why.into()),
    }
}

/// Owner and permission bits of a directory that we keep.
const OURS: (u32, u32) = (0, 0o755);
/// Owner and permission bits of the instance's data.
const INSTANCES: (u32, u32) = (INSTANCE_UID, 0o700);

/// The mounted volume that `directory` lies in, and where below its root; the deepest mount counts. The engine
/// refuses the read-only root by itself, but a volume that an image declares it would write.
fn place<'a>(container: &'a Container, directory: &'a str) -> Option<(&'a str, &'a str)> {
    let mounts = container.raw.mounts.as_deref().unwrap_or_default();
    let writable = mounts
        .iter()
        .filter(|mount| mount.typ.as_deref() == Some("volume") && mount.rw == Some(true));
    let places = writable.filter_map(|mount| {
        let root = mount.destination.as_deref()?;
        let below = match directory.strip_prefix(root)? {
            "" => "",
            rest => rest.strip_prefix('/')?,
        };
        Some((root, below))
    });
    places.max_by_key(|(root, _)| root.len())
}

/// An archive of `files` below `directory`, which gets `own`er and mode, for unpacking at a volume's root.
///
/// The root itself cannot be given away like this: engines pass over an entry for it.
fn archive(
    directory: &str,
    own: (u32, u32),
    files: &[VolumeFile],
    mtime: u64,
) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut made = BTreeSet::new();
    let mut make = |builder: &mut tar::Builder<Vec<u8>>, path: &str, own| {
        if made.insert(path.to_owned()) {
            add_directory(builder, path, own, mtime)
        } else {
            Ok(())
        }
    };
    if !directory.is_empty() {
        check_path(directory)?;
        for parent in parents(directory) {
            make(&mut builder, parent, OURS)?;
        }
        make(&mut builder, directory, own)?;
    }
    for file in files {
        check_path(&file.path)?;
        let path = if directory.is_empty() {
            file.path.clone()
        } else {
            format!("{directory}/{}", file.path)
        };
        for parent in parents(&path) {
            make(&mut builder, parent, OURS)?;
        }
        let mut header = header((file.owner, file.mode), mtime);
        header.set_size(file.content.0.len() as u64);
        builder.append_data(&mut header, &path, file.content.0.as_slice())?;
    }
    builder.into_inner()
}

/// The directories above `path`, from the root down.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

fn add_directory(
    builder: &mut tar::Builder<Vec<u8>>,
    path: &str,
    own: (u32, u32),
    mtime: u64,
) -> std::io::Result<()> {
    let mut header = header(own, mtime);
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    builder.append_data(&mut header, format!("{path}/"), std::io::empty())
}

fn header((owner, mode): (u32, u32), mtime: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_uid(u64::from(owner));
    header.set_gid(u64::from(owner));
    header.set_mode(mode & 0o777);
    // A watcher that compares times must see that a file of the same size is another one.
    header.set_mtime(mtime);
    header
}

/// Plain names and `/` only: nothing that leaves the directory, by `..`, by root or by a link's trick.
fn check_path(path: &str) -> std::io::Result<()> {
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if path.split('/').all(plain) {
        Ok(())
    } else {
        Err(std::io::Error::other(format!(
            "`{path}` is no relative path of plain names"
        )))
    }
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::container::secret::Content;

    use super::*;

    fn file(path: &str) -> VolumeFile {
        VolumeFile {
            path: path.to_owned(),
            content: Content(b"x".to_vec()),
            owner: 0,
            mode: 0o4644,
        }
    }

    fn entries(directory: &str, own: (u32, u32), files: &[VolumeFile]) -> Vec<(String, u64, u32)> {
        let bytes = archive(directory, own, files, 1_800_000_000).unwrap();
        tar::Archive::new(bytes.as_slice())
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                let header = entry.header();
                (path, header.uid().unwrap(), header.mode().unwrap())
            })
            .collect()
    }

    #[test]
    fn directories_come_first_and_once_and_set_bits_are_dropped() {
        let seen = entries("", OURS, &[file("a/b/c"), file("a/d")]);
        let expected = [
            ("a/", 0, 0o755),
            ("a/b/", 0, 0o755),
            ("a/b/c", 0, 0o644),
            ("a/d", 0, 0o644),
        ];
        assert_eq!(
            seen,
            expected.map(|(path, owner, mode)| (path.to_owned(), owner, mode))
        );
    }

    #[test]
    fn the_instance_owns_its_data_directory() {
        let seen = entries("x/.openclaw", INSTANCES, &[file("a/b")]);
        let expected = [
            ("x/", 0, 0o755),
            ("x/.openclaw/", 1000, 0o700),
            ("x/.openclaw/a/", 0, 0o755),
            ("x/.openclaw/a/b", 0, 0o644),
        ];
        assert_eq!(
            seen,
            expected.map(|(path, owner, mode)| (path.to_owned(), owner, mode))
        );
    }

    #[test]
    fn a_path_that_leaves_the_directory_is_refused() {
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "./a",
            "a/",
            "a\0b",
            "a b",
            "ü",
        ] {
            assert!(archive("", OURS, &[file(path)], 0).is_err(), "{path:?}");
            assert!(
                path.is_empty() || archive(path, OURS, &[], 0).is_err(),
                "{path:?}"
            );
        }
    }
}
