//! The Docker backend keeps every rule of the port: on a scripted engine, and on a real one.
//!
//! `TENANCY_TEST_DOCKER_HOST` names the real engine (`unix:///var/run/docker.sock`) and `TENANCY_TEST_IMAGE` an
//! image on it with a shell. Without them those tests are skipped, unless `TENANCY_TEST_REQUIRE` says `docker`
//! or `all`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "real/engine.rs"]
#[expect(dead_code, reason = "the kit runs no command in a container")]
mod engine;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ipnet::Ipv4Net;
use openclaw_tenancy::backend::{ContainerBackend, Scope};
use openclaw_tenancy::conformance::backend::BackendFixture;
use openclaw_tenancy::container::{EngineId, Image, ObjectRef};
use openclaw_tenancy::id::{DeploymentId, HostId};
use openclaw_tenancy::labels::{LabelKeys, Role};
use openclaw_tenancy_portainer::docker::{DockerBackend, Endpoint};
use serde_json::{Value, json};
use test_support::engine::ScriptedEngine;

use engine::RealEngine;

mod scripted {
    openclaw_tenancy::conformance_backend!(async { Some(super::Scripted::new().await) });
}

mod real {
    openclaw_tenancy::conformance_backend!(super::Real::new());
}

fn host() -> HostId {
    HostId::new("h1").unwrap()
}

fn backend(deployment: &DeploymentId, endpoint: Endpoint) -> Arc<dyn ContainerBackend> {
    let keys = LabelKeys::new(deployment.clone(), "k1", [7; 32]);
    let backend = DockerBackend::builder(keys).host(host(), endpoint).build();
    Arc::new(backend.unwrap())
}

struct Scripted {
    engine: ScriptedEngine,
    backend: Arc<dyn ContainerBackend>,
    image: Image,
    /// What was planted, as it looked then.
    planted: Mutex<BTreeMap<String, String>>,
}

impl Scripted {
    async fn new() -> Self {
        let engine = ScriptedEngine::start().await.unwrap();
        let reference = "openclaw/openclaw:2026.9.6".to_owned();
        let digest = Some(engine.world().add_image(&reference));
        Self {
            backend: backend(&deployment("kit"), engine.address().parse().unwrap()),
            engine,
            image: Image { reference, digest },
            planted: Mutex::default(),
        }
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scripted engine")
    }
}

fn deployment(name: &str) -> DeploymentId {
    DeploymentId::new(name).unwrap()
}

/// A container that mounts a volume, as the engine is asked for one.
fn mounting(volume: &str) -> Value {
    let mount = json!({ "Type": "volume", "Source": volume, "Target": "/data" });
    json!({ "HostConfig": { "Mounts": [mount] } })
}

fn key(object: &ObjectRef) -> &str {
    match object {
        ObjectRef::Container(id) | ObjectRef::Network(id) => &id.0,
        ObjectRef::Volume(name) => name,
    }
}

#[async_trait]
impl BackendFixture for Scripted {
    fn backend(&self) -> Arc<dyn ContainerBackend> {
        Arc::clone(&self.backend)
    }

    fn host(&self) -> HostId {
        host()
    }

    fn deployment(&self) -> DeploymentId {
        deployment("kit")
    }

    fn image(&self) -> Image {
        self.image.clone()
    }

    fn missing_image(&self) -> String {
        "127.0.0.1:1/not-there:1".to_owned()
    }

    fn subnet(&self) -> Ipv4Net {
        "10.88.0.0/29".parse().unwrap()
    }

    async fn plant(&self, role: Role, name: &str) -> ObjectRef {
        let mut world = self.engine.world();
        let object = match role {
            Role::Instance | Role::Probe => {
                ObjectRef::Container(EngineId(world.plant_container(name, json!({}))))
            }
            Role::Network => {
                ObjectRef::Network(EngineId(world.plant_network(name, None, json!({}))))
            }
            Role::Data | Role::Config | Role::HostMarker => {
                world.plant_volume(name, json!({}), Value::Null);
                ObjectRef::Volume(name.to_owned())
            }
        };
        let portrait = world.portrait(key(&object));
        let mut planted = self.planted.lock().unwrap();
        planted.insert(key(&object).to_owned(), portrait);
        object
    }

    async fn plant_on(&self, volume: &str) -> ObjectRef {
        let mut world = self.engine.world();
        let id = world.plant_container("stranger", mounting(volume));
        let portrait = world.portrait(&id);
        self.planted.lock().unwrap().insert(id.clone(), portrait);
        ObjectRef::Container(EngineId(id))
    }

    async fn untouched(&self, planted: &ObjectRef) -> bool {
        let before = self.planted.lock().unwrap().get(key(planted)).cloned();
        before == Some(self.engine.world().portrait(key(planted)))
    }

    async fn finish(&self) {}
}

/// A deployment of its own on the real engine, gone when it is dropped, also after a rule that failed.
#[derive(Debug)]
struct Real {
    engine: RealEngine,
    backend: Arc<dyn ContainerBackend>,
    number: u32,
    image: Image,
    planted: Mutex<Vec<ObjectRef>>,
}

impl Real {
    async fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let engine = RealEngine::from_env()?;
        let image = engine.waiting_image().await?;
        let number = std::process::id().wrapping_mul(64) + NEXT.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            backend: backend(&numbered(number), engine.endpoint.clone()),
            engine,
            number,
            image,
            planted: Mutex::default(),
        })
    }

    async fn make(&self, path: &str, body: Value) -> Value {
        let (status, made) = self.engine.raw("POST", path, body).await;
        assert_eq!(status, 201, "{made}");
        made
    }

    async fn clean(&self) {
        let planted = std::mem::take(&mut *self.planted.lock().unwrap());
        for object in planted {
            let path = path(&object);
            let call = format!("{path}?force=1");
            self.engine.raw("DELETE", &call, Value::Null).await;
        }
        let left = self.backend.list(&host(), Scope::All).await.unwrap();
        let containers = left.containers.into_iter();
        let networks = left.networks.into_iter();
        let volumes = left.volumes.into_iter();
        let objects = containers
            .map(|c| ObjectRef::Container(c.id))
            .chain(networks.map(|n| ObjectRef::Network(n.id)))
            .chain(volumes.map(|v| ObjectRef::Volume(v.name)));
        for object in objects {
            self.backend.remove(&host(), &object).await.unwrap();
        }
    }
}

fn numbered(number: u32) -> DeploymentId {
    deployment(&format!("kit-{number}"))
}

fn path(object: &ObjectRef) -> String {
    match object {
        ObjectRef::Container(id) => format!("/containers/{id}"),
        ObjectRef::Network(id) => format!("/networks/{id}"),
        ObjectRef::Volume(name) => format!("/volumes/{name}"),
    }
}

fn id(made: &Value) -> EngineId {
    EngineId(made["Id"].as_str().unwrap().to_owned())
}

impl Drop for Real {
    fn drop(&mut self) {
        // Calls of async functions, in a place where nothing can be awaited.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.unwrap().block_on(self.clean());
            });
        });
    }
}

#[async_trait]
impl BackendFixture for Real {
    fn backend(&self) -> Arc<dyn ContainerBackend> {
        Arc::clone(&self.backend)
    }

    fn host(&self) -> HostId {
        host()
    }

    fn deployment(&self) -> DeploymentId {
        numbered(self.number)
    }

    fn image(&self) -> Image {
        self.image.clone()
    }

    fn missing_image(&self) -> String {
        "127.0.0.1:1/not-there:1".to_owned()
    }

    /// One out of 10.78.0.0/16, which the other tests on this engine leave alone.
    fn subnet(&self) -> Ipv4Net {
        let base = (10 << 24) | (78 << 16) | ((self.number % 8192) * 8);
        Ipv4Net::new(base.into(), 29).unwrap()
    }

    async fn plant(&self, role: Role, name: &str) -> ObjectRef {
        let object = match role {
            Role::Instance | Role::Probe => {
                let body = json!({ "Image": self.image.digest });
                let path = format!("/containers/create?name={name}");
                ObjectRef::Container(id(&self.make(&path, body).await))
            }
            Role::Network => {
                let made = self.make("/networks/create", json!({ "Name": name }));
                ObjectRef::Network(id(&made.await))
            }
            Role::Data | Role::Config | Role::HostMarker => {
                self.make("/volumes/create", json!({ "Name": name })).await;
                ObjectRef::Volume(name.to_owned())
            }
        };
        self.planted.lock().unwrap().push(object.clone());
        object
    }

    async fn plant_on(&self, volume: &str) -> ObjectRef {
        let mut body = mounting(volume);
        body["Image"] = json!(self.image.digest);
        let path = format!("/containers/create?name=stranger-{}", self.number);
        let object = ObjectRef::Container(id(&self.make(&path, body).await));
        self.planted.lock().unwrap().push(object.clone());
        object
    }

    async fn untouched(&self, planted: &ObjectRef) -> bool {
        let path = match planted {
            ObjectRef::Container(id) => format!("/containers/{id}/json"),
            ObjectRef::Network(_) | ObjectRef::Volume(_) => path(planted),
        };
        let (status, seen) = self.engine.raw("GET", &path, Value::Null).await;
        let started = matches!(planted, ObjectRef::Container(_))
            && seen["State"]["Status"] != json!("created");
        status == 200 && !started
    }

    async fn finish(&self) {}
}
