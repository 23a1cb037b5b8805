//! Raw: the requests that ours changed the engine with, sent again over one connection.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use openclaw_tenancy::probe::{InstanceProbe as _, Readiness};
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy_http::edge::HttpProbe;
use serde_json::Value;

use crate::LOOK;
use crate::relay::Exchange;
use crate::stack::deployment;
use crate::wire::Connection;

/// What makes one instance, request by request.
#[derive(Debug)]
pub(crate) struct Raw {
    engine: PathBuf,
    requests: Vec<Request>,
    upstream: Upstream,
    patience: Duration,
}

/// A recorded request that changes something.
#[derive(Debug)]
struct Request {
    /// Method and path, with `{id}` for the container's.
    call: String,
    bytes: Vec<u8>,
    /// Where the recorded container's id stands in `bytes`, if it does.
    id: Option<usize>,
}

/// One turn of the raw requests.
#[derive(Debug)]
pub(crate) struct RawTurn {
    /// From the first request to the answer that it is ready.
    pub(crate) ready: Duration,
    /// Of which to the container's start.
    pub(crate) started: Duration,
    /// How long each request took.
    pub(crate) calls: Vec<(String, Duration)>,
}

/// Method and path, with `{id}` for a full id and `{name}` for a volume's name.
pub(crate) fn shape(exchange: &Exchange) -> Option<String> {
    let (method, path) = exchange.call()?;
    let of_volume = path.starts_with("/volumes/");
    let parts = path.split('/').map(|part| match part {
        id if is_id(id.as_bytes()) => "{id}",
        // An image by its content.
        id if id.starts_with("sha256:") => "{image}",
        name if of_volume && name.len() > "volumes".len() => "{name}",
        word => word,
    });
    let path = parts.collect::<Vec<_>>().join("/");
    let path = match path.strip_prefix("/images/") {
        Some(_) => "/images/{image}/json".to_owned(),
        None => path,
    };
    Some(format!("{method} {path}"))
}

fn is_id(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit)
}

impl Raw {
    /// The requests of `exchanges` that changed something.
    pub(crate) fn of(
        engine: &Path,
        exchanges: &[Exchange],
        upstream: Upstream,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let mut requests = Vec::new();
        for exchange in exchanges {
            let call = shape(exchange).context("a request with a line")?;
            if call.starts_with("GET ") || call.starts_with("HEAD ") {
                continue;
            }
            ensure!(exchange.succeeded(), "{call} failed while it was recorded");
            let bytes = exchange.request.clone();
            let line = bytes.iter().position(|b| *b == b'\r').unwrap_or_default();
            requests.push(Request {
                call,
                id: bytes[..line].windows(64).position(is_id),
                bytes,
            });
        }
        let calls: Vec<&str> = requests.iter().map(|r| r.call.as_str()).collect();
        ensure!(
            calls
                == [
                    "POST /networks/create",
                    "POST /volumes/create",
                    "POST /volumes/create",
                    "POST /containers/create",
                    "PUT /containers/{id}/archive",
                    "PUT /containers/{id}/archive",
                    "POST /containers/{id}/start",
                ],
            "ours changes an engine in another way than this bench knows: {calls:?}"
        );
        Ok(Self {
            engine: engine.to_owned(),
            requests,
            upstream,
            patience,
        })
    }

    /// Makes the instance, waits until it is ready, and removes it.
    pub(crate) async fn turn(&self) -> anyhow::Result<RawTurn> {
        let mut connection = Connection::open(&self.engine).await?;
        let began = Instant::now();
        let (mut made, mut calls, mut id) = (Vec::new(), Vec::new(), String::new());
        for request in &self.requests {
            let mut bytes = request.bytes.clone();
            if let Some(at) = request.id {
                bytes[at..at + 64].copy_from_slice(id.as_bytes());
            }
            let asked = Instant::now();
            let answer = connection.send(&bytes).await?;
            calls.push((request.call.clone(), asked.elapsed()));
            let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
            match request.call.as_str() {
                "POST /networks/create" => made.push(format!("/networks/{}", text("Id"))),
                "POST /volumes/create" => made.push(format!("/volumes/{}", text("Name"))),
                "POST /containers/create" => {
                    id = text("Id");
                    ensure!(is_id(id.as_bytes()), "the engine answers {answer}");
                    made.push(format!("/containers/{id}?force=1"));
                }
                _ => {}
            }
        }
        let started = began.elapsed();
        while HttpProbe.probe(&self.upstream).await != Readiness::Started {
            ensure!(
                began.elapsed() < self.patience,
                "the raw container is not ready within {:?}",
                self.patience
            );
            tokio::time::sleep(LOOK).await;
        }
        let ready = began.elapsed();
        // The container first: it holds the others.
        made.reverse();
        for object in made {
            connection.ask("DELETE", &object).await?;
        }
        Ok(RawTurn {
            ready,
            started,
            calls,
        })
    }
}

/// Removes everything that this run has left on the engine, also after a failure.
pub(crate) async fn clean_up(engine: &Path) -> anyhow::Result<()> {
    let mut connection = Connection::open(engine).await?;
    let label = format!("io.openclaw-tenancy.deployment={}", deployment()?);
    // `{"label":["..."]}`, as a query has it.
    let filter = format!("filters=%7B%22label%22%3A%5B%22{label}%22%5D%7D");
    let containers = connection
        .ask("GET", &format!("/containers/json?all=1&{filter}"))
        .await?;
    for id in texts(&containers, "Id") {
        connection
            .ask("DELETE", &format!("/containers/{id}?force=1"))
            .await?;
    }
    let networks = connection
        .ask("GET", &format!("/networks?{filter}"))
        .await?;
    for id in texts(&networks, "Id") {
        connection.ask("DELETE", &format!("/networks/{id}")).await?;
    }
    let volumes = connection.ask("GET", &format!("/volumes?{filter}")).await?;
    for name in texts(&volumes["Volumes"], "Name") {
        connection
            .ask("DELETE", &format!("/volumes/{name}"))
            .await?;
    }
    Ok(())
}

fn texts<'a>(list: &'a Value, key: &'a str) -> impl Iterator<Item = &'a str> {
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(move |entry| entry[key].as_str())
}
