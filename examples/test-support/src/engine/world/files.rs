//! Files in containers and volumes, in and out by archive; logs and figures.

use std::collections::BTreeMap;
use std::io::Read as _;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::answer::Answer;
use super::World;

/// A file or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    owner: u64,
    mode: u32,
    /// `None` is a directory.
    content: Option<Vec<u8>>,
}

/// Paths below a root, without leading slash; the root itself is the empty path.
#[derive(Debug, Clone)]
pub(super) struct Tree(BTreeMap<String, Entry>);

impl Tree {
    pub(super) fn empty() -> Self {
        let root = Entry {
            owner: 0,
            mode: 0o755,
            content: None,
        };
        Self(BTreeMap::from([(String::new(), root)]))
    }

    pub(super) fn of_an_image() -> Self {
        let mut tree = Self::empty();
        for directory in ["etc", "home", "home/node", "proc", "tmp"] {
            tree.0.insert(
                directory.into(),
                Entry {
                    owner: 0,
                    mode: 0o755,
                    content: None,
                },
            );
        }
        tree
    }
}

/// Where a path of a container really lies.
enum Place {
    Root(String),
    Volume {
        name: String,
        path: String,
        writable: bool,
    },
}

fn clean(path: &str) -> String {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect::<Vec<_>>()
        .join("/")
}

impl World {
    /// A file in a volume: its content, owner and mode. `path` is relative to the volume.
    #[must_use]
    pub fn file(&self, volume: &str, path: &str) -> Option<(Vec<u8>, u64, u32)> {
        let entry = self.volumes.get(volume)?.files.0.get(&clean(path))?;
        Some((
            entry.content.clone().unwrap_or_default(),
            entry.owner,
            entry.mode,
        ))
    }

    /// What stands at a path in a container or in its volumes: owner, mode and content, of which a directory has none.
    #[must_use]
    pub fn found(&self, id: &str, path: &str) -> Option<(u64, u32, Option<Vec<u8>>)> {
        let entry = self.entry(id, &self.place(id, path)?)?;
        Some((entry.owner, entry.mode, entry.content.clone()))
    }

    fn place(&self, id: &str, path: &str) -> Option<Place> {
        let container = self.container(id)?;
        let path = clean(path);
        let mount = container
            .mounts()
            .into_iter()
            .filter(|m| {
                let target = clean(&m.target);
                path == target || path.starts_with(&format!("{target}/"))
            })
            .max_by_key(|m| m.target.len());
        Some(match mount {
            Some(mount) => {
                let below = path.get(clean(&mount.target).len()..).unwrap_or_default();
                Place::Volume {
                    name: mount.volume,
                    path: clean(below),
                    writable: mount.writable,
                }
            }
            None => Place::Root(path),
        })
    }

    fn entry(&self, id: &str, place: &Place) -> Option<&Entry> {
        match place {
            Place::Root(path) => self.container(id)?.root.0.get(path),
            Place::Volume { name, path, .. } => self.volumes.get(name)?.files.0.get(path),
        }
    }

    fn no_file(id: &str, path: &str) -> Answer {
        Answer::error(
            404,
            format!("Could not find the file {path} in container {id}"),
        )
    }

    pub(in super::super) fn put_archive(&mut self, id: &str, path: &str, body: &Bytes) -> Answer {
        let Some(place) = self.place(id, path) else {
            return Self::no_container(id);
        };
        if self
            .entry(id, &place)
            .is_none_or(|entry| entry.content.is_some())
        {
            return Self::no_file(id, path);
        }
        let read_only = match place {
            Place::Root(_) => self
                .container(id)
                .is_some_and(|c| c.config["HostConfig"]["ReadonlyRootfs"] == true),
            Place::Volume { writable, .. } => !writable,
        };
        if read_only {
            return Answer::error(500, "container rootfs is marked read-only");
        }
        match self.unpack(id, path, body) {
            Ok(()) => Answer::empty(200),
            Err(e) => Answer::error(500, format!("Error processing tar file: {e}")),
        }
    }

    fn unpack(&mut self, id: &str, directory: &str, body: &Bytes) -> std::io::Result<()> {
        let mut archive = tar::Archive::new(body.as_ref());
        for entry in archive.entries()? {
            let mut entry = entry?;
            // An engine passes over an entry for the directory itself.
            if matches!(entry.path()?.to_str(), Some("." | "./" | "/")) {
                continue;
            }
            let path = format!("{directory}/{}", entry.path()?.display());
            let header = entry.header();
            let is_file = header.entry_type().is_file();
            let mut made = Entry {
                owner: header.uid()?,
                mode: header.mode()? & 0o7777,
                content: None,
            };
            if is_file {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                made.content = Some(content);
            }
            let tree = match self.place(id, &path) {
                Some(Place::Root(path)) => self.container_mut(id).map(|c| (&mut c.root, path)),
                Some(Place::Volume { name, path, .. }) => {
                    self.volumes.get_mut(&name).map(|v| (&mut v.files, path))
                }
                None => None,
            };
            if let Some((tree, path)) = tree {
                tree.0.insert(path, made);
            }
        }
        Ok(())
    }

    pub(in super::super) fn get_archive(&self, id: &str, path: &str) -> Answer {
        let Some(place) = self.place(id, path) else {
            return Self::no_container(id);
        };
        let Some(entry) = self.entry(id, &place) else {
            return Self::no_file(id, path);
        };
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_uid(entry.owner);
        header.set_gid(entry.owner);
        let content = entry.content.as_deref().unwrap_or_default();
        header.set_size(content.len() as u64);
        if entry.content.is_none() {
            header.set_entry_type(tar::EntryType::Directory);
        }
        let name = path
            .rsplit('/')
            .next()
            .filter(|n| !n.is_empty())
            .unwrap_or(".");
        let written = builder
            .append_data(&mut header, name, content)
            .and_then(|()| builder.into_inner());
        match written {
            Ok(bytes) => Answer::bytes(200, "application/x-tar", bytes)
                .header("x-docker-container-path-stat", stat(name, entry)),
            Err(e) => Answer::error(500, e.to_string()),
        }
    }

    pub(in super::super) fn stat_archive(&self, id: &str, path: &str) -> Answer {
        let Some(place) = self.place(id, path) else {
            return Answer::empty(404);
        };
        match self.entry(id, &place) {
            Some(entry) => {
                Answer::empty(200).header("x-docker-container-path-stat", stat(path, entry))
            }
            None => Answer::empty(404),
        }
    }

    pub(in super::super) fn logs(&self, id: &str, tail: Option<&str>) -> Answer {
        let Some(container) = self.container(id) else {
            return Self::no_container(id);
        };
        let wanted = tail.and_then(|t| t.parse().ok()).unwrap_or(usize::MAX);
        let skip = container.log.len().saturating_sub(wanted);
        let mut out = Vec::new();
        for (stream, text) in &container.log[skip..] {
            out.extend([*stream, 0, 0, 0]);
            out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend(text);
        }
        Answer::bytes(200, "application/vnd.docker.raw-stream", out)
    }

    pub(in super::super) fn stats(&self, id: &str) -> Answer {
        let Some(container) = self.container(id) else {
            return Self::no_container(id);
        };
        let usage = if container.is_running() {
            json!(container.usage)
        } else {
            Value::Null
        };
        Answer::json(
            200,
            json!({ "id": container.id, "name": format!("/{}", container.name),
                "memory_stats": { "usage": usage, "stats": { "total_inactive_file": 0 }, "limit": container.config["HostConfig"]["Memory"] },
                "cpu_stats": { "cpu_usage": { "total_usage": 0 } }, "pids_stats": { "current": 1 } }),
        )
    }
}

/// The header that carries a path's stat.
fn stat(name: &str, entry: &Entry) -> String {
    use base64::Engine as _;
    let size = entry.content.as_ref().map_or(4096, Vec::len);
    let value = json!({ "name": name, "size": size, "mode": entry.mode, "mtime": "2026-01-01T00:00:00Z", "linkTarget": "" });
    base64::engine::general_purpose::STANDARD.encode(value.to_string())
}
