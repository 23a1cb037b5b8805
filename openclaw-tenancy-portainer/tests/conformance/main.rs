//! The Docker backend keeps every rule of the port: on a scripted engine, and on a real one.
//!
//! `TENANCY_TEST_DOCKER_HOST` names the real engine (`unix:///var/run/docker.sock`) and `TENANCY_TEST_IMAGE` an
//! image on it with a shell. Without them those tests are skipped, unless `TENANCY_TEST_REQUIRE` says `docker`
//! or `all`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../real/engine.rs"]
#[expect(dead_code, reason = "the kit looks with eyes of its own")]
mod engine;
mod real;
mod scripted;

use std::net::TcpListener;

use openclaw_tenancy::container::{EngineId, ObjectRef, ObjectSpec};
use openclaw_tenancy::id::{DeploymentId, HostId};
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy_portainer::docker::{DockerBackend, DockerBackendBuilder, Endpoint};
use serde_json::{Value, json};

fn host() -> HostId {
    HostId::new("h1").unwrap()
}

fn silent_host() -> HostId {
    HostId::new("silent").unwrap()
}

fn deployment(name: &str) -> DeploymentId {
    DeploymentId::new(name).unwrap()
}

fn keys(deployment: &DeploymentId) -> LabelKeys {
    LabelKeys::new(deployment.clone(), "k1", [7; 32])
}

/// A backend with an engine and with a host that says nothing.
fn backend(
    deployment: &DeploymentId,
    endpoint: Endpoint,
    silence: &Silence,
) -> DockerBackendBuilder {
    DockerBackend::builder(keys(deployment))
        .host(host(), endpoint)
        .host(silent_host(), silence.endpoint())
}

/// A port whose connections the kernel takes, and nobody reads: what an engine is that was stopped and not ended.
#[derive(Debug)]
struct Silence(TcpListener);

impl Silence {
    fn begin() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn endpoint(&self) -> Endpoint {
        let address = self.0.local_addr().unwrap();
        format!("tcp://{address}").parse().unwrap()
    }
}

/// The labels that make the object of `spec` ours, under its own name.
fn labels(deployment: &DeploymentId, spec: &ObjectSpec) -> Value {
    let name = spec.name(deployment);
    json!(keys(deployment).sign(&name, &spec.labels()))
}

/// Options that the backend asks for no volume: it is lost at every stop.
fn other_options() -> Value {
    json!({ "type": "tmpfs", "device": "tmpfs" })
}

/// A container that mounts a volume, as the engine is asked for one.
fn mounting(volume: &str) -> Value {
    let mount = json!({ "Type": "volume", "Source": volume, "Target": "/data" });
    json!({ "HostConfig": { "Mounts": [mount] } })
}

fn id(made: &Value) -> EngineId {
    EngineId(made["Id"].as_str().unwrap().to_owned())
}

fn key(object: &ObjectRef) -> &str {
    match object {
        ObjectRef::Container(id) | ObjectRef::Network(id) => &id.0,
        ObjectRef::Volume(name) => name,
    }
}
