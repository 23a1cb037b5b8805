//! A Docker Engine to work with: the one that answers, or a new one.

mod install;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::{Address, Chunks, Request, Response, encode, read_head};
use crate::term::Step;

/// Long enough for a busy engine, short enough to notice a stopped one.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Where an engine listens unless `DOCKER_HOST` says otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// An engine that answered.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    host: String,
    address: Address,
}

/// Why no engine was found.
#[derive(Debug)]
enum Silence {
    /// Nothing listens: one may be installed or started.
    Nobody,
    /// Something listens and this user may not talk to it.
    Forbidden,
}

/// Finds the engine that `DOCKER_HOST` or the default socket names; installs and starts one where
/// neither answers and that is possible.
pub(crate) fn ensure() -> Result<Engine> {
    let named = std::env::var("DOCKER_HOST")
        .ok()
        .filter(|host| !host.is_empty());
    let host = named.clone().unwrap_or_else(|| DEFAULT_HOST.to_owned());
    let engine = Engine::at(&host)?;
    let silence = match engine.ping() {
        Ok(version) => {
            let step = Step::begin("Docker Engine");
            step.done(&format!("{host}, API {version}"));
            return Ok(engine);
        }
        Err(silence) => silence,
    };
    if named.is_some() {
        bail!("no Docker Engine answers at DOCKER_HOST={host}: start it, or unset DOCKER_HOST");
    }
    if matches!(silence, Silence::Forbidden) {
        bail!(
            "this user may not talk to the Docker Engine at {host}. Run this, sign in again, then \
             run the command again:\n\n    sudo usermod -aG docker \"$USER\"\n"
        );
    }
    install::start(&engine)?;
    Ok(engine)
}

impl Engine {
    /// An engine at an address as `DOCKER_HOST` spells it.
    pub(crate) fn at(host: &str) -> Result<Self> {
        let address = if let Some(path) = host.strip_prefix("unix://") {
            Address::Unix(PathBuf::from(path))
        } else if let Some(address) = host.strip_prefix("tcp://") {
            Address::Tcp(address.trim_end_matches('/').to_owned())
        } else {
            bail!("DOCKER_HOST={host} is not understood here: use unix:///path or tcp://host:port");
        };
        Ok(Self {
            host: host.to_owned(),
            address,
        })
    }

    /// The address as `DOCKER_HOST` spells it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The engine's API version.
    fn ping(&self) -> Result<String, Silence> {
        match self.address.connect(Duration::from_secs(2)) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(Silence::Forbidden)
            }
            Err(_) => Err(Silence::Nobody),
            Ok(_) => Request::new("GET", "/_ping")
                .send(&self.address, Duration::from_secs(5))
                .ok()
                .filter(|answer| answer.status == 200)
                .and_then(|answer| answer.header("Api-Version").map(str::to_owned))
                .ok_or(Silence::Nobody),
        }
    }

    /// Sends one call; no version in the path means the engine's own.
    pub(crate) fn call(&self, method: &str, path: &str) -> Result<Response> {
        Request::new(method, path).send(&self.address, CALL_LIMIT)
    }

    /// An image's description, or `None` when the engine does not have it.
    pub(crate) fn image(&self, name: &str) -> Result<Option<Value>> {
        let answer = self.call("GET", &format!("/images/{name}/json"))?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(answer.ok("inspecting an image")?.json()?))
    }

    /// Pulls an image, giving up when the registry says nothing for `patience`.
    pub(crate) fn pull(&self, repository: &str, tag: &str, patience: Duration) -> Result<()> {
        let request = Request::new(
            "POST",
            &format!(
                "/images/create?fromImage={}&tag={}",
                encode(repository),
                encode(tag)
            ),
        );
        let mut stream = self.address.connect(patience)?;
        stream.write_all(&request.head(true))?;
        progress(stream)
    }

    /// Makes an image out of a root file system that arrives as a tar stream.
    pub(crate) fn import(
        &self,
        mut tar: impl Read,
        (repository, tag): (&str, &str),
        changes: &[String],
    ) -> Result<()> {
        let mut path = format!(
            "/images/create?fromSrc=-&repo={}&tag={}",
            encode(repository),
            encode(tag)
        );
        for change in changes {
            path.push_str("&changes=");
            path.push_str(&encode(change));
        }
        let request = Request::new("POST", &path)
            .header("Content-Type", "application/x-tar")
            .header("Transfer-Encoding", "chunked");
        // The engine unpacks while it reads and may pause for long on a slow disk.
        let mut stream = self.address.connect(Duration::from_secs(600))?;
        stream.write_all(&request.head(false))?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = tar
                .read(&mut buffer)
                .context("the root file system ended early")?;
            write!(stream, "{read:x}\r\n")?;
            stream.write_all(buffer.get(..read).unwrap_or_default())?;
            stream.write_all(b"\r\n")?;
            if read == 0 {
                break;
            }
        }
        progress(stream)
    }

    /// Everything on the engine that carries a label.
    pub(crate) fn labelled(&self, label: &str) -> Result<Vec<Object>> {
        let filter = encode(&serde_json::json!({ "label": [label] }).to_string());
        let mut found = Vec::new();
        for (kind, path, key, name) in [
            (Kind::Container, "/containers/json?all=true&", None, "Id"),
            (Kind::Network, "/networks?", None, "Id"),
            (Kind::Volume, "/volumes?", Some("Volumes"), "Name"),
        ] {
            let path = format!("{path}filters={filter}");
            let answer = self.call("GET", &path)?.ok("listing objects")?.json()?;
            let list = key.map_or(&answer, |key| &answer[key]);
            for object in list.as_array().into_iter().flatten() {
                let role = object["Labels"]["io.openclaw-tenancy.role"].as_str();
                found.push(Object {
                    kind,
                    id: object[name].as_str().unwrap_or_default().to_owned(),
                    role: role.unwrap_or_default().to_owned(),
                });
            }
        }
        // In this order they can be removed: a container holds its network and its volumes.
        found.sort();
        Ok(found)
    }

    /// Removes an object, a running container too.
    pub(crate) fn remove(&self, object: &Object) -> Result<()> {
        let id = encode(&object.id);
        let path = match object.kind {
            Kind::Container => format!("/containers/{id}?force=true"),
            Kind::Network => format!("/networks/{id}"),
            Kind::Volume => format!("/volumes/{id}"),
        };
        self.call("DELETE", &path)?
            .ok("removing an object")
            .map(drop)
    }
}

/// What an object on an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Container,
    Network,
    Volume,
}

/// An object on an engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Object {
    kind: Kind,
    id: String,
    /// What it is for, where it is one of ours.
    pub(crate) role: String,
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Container => "container",
            Kind::Network => "network",
            Kind::Volume => "volume",
        };
        write!(f, "{kind} {} ({})", self.id, self.role)
    }
}

/// Follows the JSON lines of a long call to their end. An error may come inside a 200 answer.
fn progress(stream: Box<dyn crate::http::Stream>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let (status, headers) = read_head(&mut reader)?;
    // The first word came; from here on a pause is the transfer's and not the registry's silence.
    reader.get_ref().read_limit(Duration::from_secs(300))?;
    let chunked = headers
        .iter()
        .any(|(name, value)| name.eq_ignore_ascii_case("Transfer-Encoding") && value == "chunked");
    let body: Box<dyn Read> = if chunked {
        Box::new(Chunks::new(reader))
    } else {
        Box::new(reader)
    };
    let mut last = String::new();
    for line in BufReader::new(body).lines() {
        last = line.context("the engine's answer was cut")?;
        if let Ok(value) = serde_json::from_str::<Value>(&last)
            && let Some(error) = value["error"].as_str()
        {
            bail!("the engine answered: {error}");
        }
    }
    if status >= 400 {
        bail!("the engine answered {status}: {last}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_docker_spells_them() {
        assert_eq!(
            Engine::at("unix:///run/x.sock").unwrap().address,
            Address::Unix("/run/x.sock".into())
        );
        assert_eq!(
            Engine::at("tcp://127.0.0.1:2375").unwrap().address,
            Address::Tcp("127.0.0.1:2375".to_owned())
        );
        let error = Engine::at("ssh://worker").unwrap_err().to_string();
        assert!(error.contains("ssh://worker"), "{error}");
    }
}
