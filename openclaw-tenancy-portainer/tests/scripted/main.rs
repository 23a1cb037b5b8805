//! The Docker backend against a scripted engine: every lost answer and every ghost, surely.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod files;
mod foreign;
mod hosts;
mod images;
mod limits;
mod lost_answers;
mod oom;
mod refusals;
mod removal;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use common::{Tenancy, host, keys};
use openclaw_tenancy::container::Image;
use openclaw_tenancy_portainer::docker::DockerBackend;
use test_support::engine::ScriptedEngine;

const DEPLOYMENT: &str = "scripted";
const IMAGE: &str = "openclaw/openclaw:2026.9.6";
const SUBNET: &str = "10.88.0.0/29";

/// Short, so that a test that runs into it is quick, and long enough for a busy machine.
const CALL: Duration = Duration::from_secs(2);

fn backend(engine: &ScriptedEngine) -> DockerBackend {
    backend_with(engine, CALL)
}

fn backend_with(engine: &ScriptedEngine, call_limit: Duration) -> DockerBackend {
    DockerBackend::builder(keys(DEPLOYMENT))
        .host(host(), engine.address().parse().unwrap())
        .call_limit(call_limit)
        .build()
        .unwrap()
}

/// An engine with the image on it, and a tenant there.
async fn bench() -> (ScriptedEngine, Tenancy) {
    let engine = ScriptedEngine::start().await.unwrap();
    let tenancy = tenancy(&engine);
    (engine, tenancy)
}

fn tenancy(engine: &ScriptedEngine) -> Tenancy {
    let digest = engine.world().add_image(IMAGE);
    let image = Image {
        reference: IMAGE.to_owned(),
        digest: Some(digest),
    };
    let subnet = SUBNET.parse().unwrap();
    Tenancy::new(Arc::new(backend(engine)), DEPLOYMENT, image, subnet)
}
