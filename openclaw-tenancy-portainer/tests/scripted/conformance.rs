//! The core's conformance kit, each rule on a scripted engine of its own.

use std::sync::Arc;

use async_trait::async_trait;
use ipnet::Ipv4Net;
use openclaw_tenancy::backend::ContainerBackend;
use openclaw_tenancy::conformance::backend::BackendFixture;
use openclaw_tenancy::container::{EngineId, Image, ObjectRef};
use openclaw_tenancy::id::{DeploymentId, HostId};
use openclaw_tenancy::labels::Role;
use openclaw_tenancy_portainer::docker::DockerBackend;
use serde_json::{Value, json};
use test_support::engine::ScriptedEngine;

use super::{DEPLOYMENT, IMAGE, backend};
use crate::common::{host, next_subnet};

#[derive(Debug)]
struct Fixture {
    engine: ScriptedEngine,
    backend: Arc<DockerBackend>,
    image: Image,
}

#[async_trait]
impl BackendFixture for Fixture {
    fn backend(&self) -> Arc<dyn ContainerBackend> {
        Arc::clone(&self.backend) as _
    }

    fn host(&self) -> HostId {
        host()
    }

    fn deployment(&self) -> DeploymentId {
        DeploymentId::new(DEPLOYMENT).unwrap()
    }

    fn image(&self) -> Image {
        self.image.clone()
    }

    fn missing_image(&self) -> String {
        "nobody/has:it".to_owned()
    }

    fn subnet(&self) -> Ipv4Net {
        next_subnet()
    }

    async fn plant(&self, role: Role, name: &str) -> ObjectRef {
        let mut world = self.engine.world();
        match role {
            Role::Instance => {
                ObjectRef::Container(EngineId(world.plant_container(name, json!({}))))
            }
            Role::Network => {
                ObjectRef::Network(EngineId(world.plant_network(name, None, json!({}))))
            }
            Role::Data | Role::Config | Role::HostMarker | Role::Probe => {
                world.plant_volume(name, json!({}), Value::Null);
                ObjectRef::Volume(name.to_owned())
            }
        }
    }

    async fn untouched(&self, planted: &ObjectRef) -> bool {
        let world = self.engine.world();
        match planted {
            ObjectRef::Container(id) => world
                .inspect(&id.0)
                .is_some_and(|shown| shown["State"]["Status"] == "created"),
            ObjectRef::Volume(name) => world.volume_names().contains(name),
            ObjectRef::Network(id) => world.has_network(&id.0),
        }
    }

    async fn finish(&self) {
        assert!(
            self.engine
                .world()
                .processes()
                .iter()
                .all(|process| !process.ghost),
            "a ghost was made"
        );
    }
}

async fn fixture() -> Option<Fixture> {
    let engine = ScriptedEngine::start().await.unwrap();
    let digest = engine.world().add_image(IMAGE);
    let backend = Arc::new(backend(&engine));
    let image = Image {
        reference: IMAGE.to_owned(),
        digest: Some(digest),
    };
    Some(Fixture {
        engine,
        backend,
        image,
    })
}

openclaw_tenancy::conformance_backend!(fixture());
