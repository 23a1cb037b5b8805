//! Files into a container's volumes, by archive.

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
            if !in_a_volume(&container, directory) {
                return Err(refused(
                    WHAT,
                    format!("`{directory}` is in no writable volume of the container"),
                ));
            }
            let mtime = u64::try_from(self.clock.now().as_seconds()).unwrap_or(0);
            let archive =
                archive(directory, &files, mtime).map_err(|e| refused(WHAT, e.to_string()))?;
            let options = UploadToContainerOptionsBuilder::default()
                .path(directory)
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

/// The engine would refuse the read-only root by itself; a volume that is not named would be written.
fn in_a_volume(container: &Container, directory: &str) -> bool {
    let mounts = container.raw.mounts.as_deref().unwrap_or_default();
    mounts.iter().any(|mount| {
        let target = mount.destination.as_deref().unwrap_or_default();
        let below = directory
            .strip_prefix(target)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        mount.typ.as_deref() == Some("volume") && mount.rw == Some(true) && below
    })
}

/// An archive of `files`, with `directory` itself first: an empty volume's root belongs to root, and the
/// instance has to own its data. Engines pass over an entry for it called `./`, and take one called `/`.
fn archive(directory: &str, files: &[VolumeFile], mtime: u64) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let own = if directory == DATA_PATH {
        (INSTANCE_UID, 0o700)
    } else {
        (0, 0o755)
    };
    add_directory(&mut builder, "/", own, mtime)?;
    let mut made = std::collections::BTreeSet::new();
    for file in files {
        check_path(&file.path)?;
        for (at, _) in file.path.match_indices('/') {
            let parent = &file.path[..=at];
            if made.insert(parent) {
                add_directory(&mut builder, parent, (0, 0o755), mtime)?;
            }
        }
        let mut header = header((file.owner, file.mode), mtime);
        header.set_size(file.content.0.len() as u64);
        builder.append_data(&mut header, &file.path, file.content.0.as_slice())?;
    }
    builder.into_inner()
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
    if path == "/" {
        // The library holds every path to be relative.
        header.as_old_mut().name[0] = b'/';
        header.set_cksum();
        return builder.append(&header, std::io::empty());
    }
    builder.append_data(&mut header, path, std::io::empty())
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
    use openclaw_tenancy::container::CONFIG_PATH;
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

    fn entries(directory: &str, files: &[VolumeFile]) -> Vec<(String, u64, u32)> {
        let bytes = archive(directory, files, 1_800_000_000).unwrap();
        tar::Archive::new(bytes.as_slice())
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                (
                    path,
                    entry.header().uid().unwrap(),
                    entry.header().mode().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn directories_come_first_and_set_bits_are_dropped() {
        let seen = entries(CONFIG_PATH, &[file("a/b/c"), file("a/d")]);
        let expected = [
            ("/", 0, 0o755),
            ("a/", 0, 0o755),
            ("a/b/", 0, 0o755),
            ("a/b/c", 0, 0o644),
            ("a/d", 0, 0o644),
        ];
        assert_eq!(
            seen,
            expected.map(|(path, owner, mode)| (path.to_owned(), owner, mode))
        );
        assert_eq!(entries(DATA_PATH, &[])[0], ("/".to_owned(), 1000, 0o700));
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
            assert!(archive(DATA_PATH, &[file(path)], 0).is_err(), "{path:?}");
        }
    }
}
