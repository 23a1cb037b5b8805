//! The core's conformance kit on a real engine.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ipnet::Ipv4Net;
use openclaw_tenancy::backend::ContainerBackend;
use openclaw_tenancy::conformance::backend::BackendFixture;
use openclaw_tenancy::container::{EngineId, Image, ObjectRef};
use openclaw_tenancy::id::{DeploymentId, HostId};
use openclaw_tenancy::labels::Role;
use serde_json::{Value, json};

use crate::common::{Tenancy, next_subnet};
use crate::engine::RealEngine;
use crate::{clean_up, tenancy};

#[derive(Debug)]
struct Fixture {
    engine: RealEngine,
    tenancy: Tenancy,
    planted: Mutex<Vec<ObjectRef>>,
}

/// Where the engine's API has an object.
fn path(object: &ObjectRef) -> String {
    match object {
        ObjectRef::Container(id) => format!("/containers/{id}"),
        ObjectRef::Volume(name) => format!("/volumes/{name}"),
        ObjectRef::Network(id) => format!("/networks/{id}"),
    }
}

#[async_trait]
impl BackendFixture for Fixture {
    fn backend(&self) -> Arc<dyn ContainerBackend> {
        Arc::clone(&self.tenancy.backend)
    }

    fn host(&self) -> HostId {
        self.tenancy.host.clone()
    }

    fn deployment(&self) -> DeploymentId {
        self.tenancy.deployment.clone()
    }

    fn image(&self) -> Image {
        self.tenancy.image.clone()
    }

    fn missing_image(&self) -> String {
        // A closed port as the registry: some engines wait long for one that drops packets.
        "127.0.0.1:1/nobody/has:it".to_owned()
    }

    fn subnet(&self) -> Ipv4Net {
        next_subnet()
    }

    async fn plant(&self, role: Role, name: &str) -> ObjectRef {
        let planted = match role {
            Role::Instance => {
                let body = json!({ "Image": self.tenancy.image.digest });
                let (_, made) = self
                    .engine
                    .raw("POST", &format!("/containers/create?name={name}"), body)
                    .await;
                ObjectRef::Container(EngineId(made["Id"].as_str().unwrap().to_owned()))
            }
            Role::Network => {
                let body =
                    json!({ "Name": name, "IPAM": { "Config": [{ "Subnet": next_subnet() }] } });
                let (_, made) = self.engine.raw("POST", "/networks/create", body).await;
                ObjectRef::Network(EngineId(made["Id"].as_str().unwrap().to_owned()))
            }
            Role::Data | Role::Config | Role::HostMarker | Role::Probe => {
                self.engine
                    .raw("POST", "/volumes/create", json!({ "Name": name }))
                    .await;
                ObjectRef::Volume(name.to_owned())
            }
        };
        self.planted.lock().unwrap().push(planted.clone());
        planted
    }

    async fn untouched(&self, planted: &ObjectRef) -> bool {
        let suffix = if matches!(planted, ObjectRef::Container(_)) {
            "/json"
        } else {
            ""
        };
        let (status, shown) = self
            .engine
            .raw("GET", &format!("{}{suffix}", path(planted)), Value::Null)
            .await;
        let as_made = shown["State"].is_null() || shown["State"]["Status"] == "created";
        status == 200 && as_made
    }

    async fn finish(&self) {
        let planted = std::mem::take(&mut *self.planted.lock().unwrap());
        for object in planted {
            self.engine.raw("DELETE", &path(&object), Value::Null).await;
        }
        clean_up(&self.tenancy).await;
    }
}

async fn fixture() -> Option<Fixture> {
    let engine = RealEngine::from_env()?;
    let tenancy = tenancy(&engine).await?;
    Some(Fixture {
        engine,
        tenancy,
        planted: Mutex::default(),
    })
}

openclaw_tenancy::conformance_backend!(fixture());
