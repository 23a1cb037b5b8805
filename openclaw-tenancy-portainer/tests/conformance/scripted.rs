//! On a scripted engine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use ipnet::Ipv4Net;
use openclaw_tenancy::backend::ContainerBackend;
use openclaw_tenancy::clock::{Clock, SystemClock, Timestamp};
use openclaw_tenancy::conformance::backend::{BackendFixture, FoundFile};
use openclaw_tenancy::container::{EngineId, Image, ObjectRef, ObjectSpec};
use openclaw_tenancy::id::{DeploymentId, HostId};
use openclaw_tenancy::labels::Role;
use openclaw_tenancy::quantity::Bytes;
use serde_json::{Value, json};
use test_support::engine::{Fault, Rule, ScriptedEngine};

use crate::{
    Silence, backend, deployment, host, key, labels, mounting, other_options, silent_host,
};

openclaw_tenancy::conformance_backend!(async { Some(Scripted::new().await) });

/// Short, since who asks for an image that is on its way waits most of it, and long enough for a busy machine. On the
/// real engine it is the backend's own.
const CALL: Duration = Duration::from_secs(3);

struct Scripted {
    engine: ScriptedEngine,
    backend: Arc<dyn ContainerBackend>,
    image: Image,
    /// What was planted, as it looked then.
    planted: Mutex<BTreeMap<String, String>>,
    _silence: Silence,
}

impl Scripted {
    async fn new() -> Self {
        let engine = ScriptedEngine::start().await.unwrap();
        let reference = "openclaw/openclaw:2026.9.6".to_owned();
        let digest = Some(engine.world().add_image(&reference));
        let silence = Silence::begin();
        let backend = backend(
            &deployment("kit"),
            engine.address().parse().unwrap(),
            &silence,
        );
        let backend = backend.call_limit(CALL).clock(Arc::new(Ahead)).build();
        Self {
            backend: Arc::new(backend.unwrap()),
            engine,
            image: Image { reference, digest },
            planted: Mutex::default(),
            _silence: silence,
        }
    }

    fn plant_with(&self, role: Role, name: &str, labels: Value) -> ObjectRef {
        let mut world = self.engine.world();
        let object = match role {
            Role::Instance | Role::Probe => {
                let body = json!({ "Labels": labels });
                ObjectRef::Container(EngineId(world.plant_container(name, body)))
            }
            Role::Network => ObjectRef::Network(EngineId(world.plant_network(name, None, labels))),
            Role::Data | Role::Config | Role::HostMarker => {
                world.plant_volume(name, labels, Value::Null);
                ObjectRef::Volume(name.to_owned())
            }
        };
        let portrait = world.portrait(key(&object));
        let mut planted = self.planted.lock().unwrap();
        planted.insert(key(&object).to_owned(), portrait);
        object
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a scripted engine")
    }
}

/// A minute ahead of the engine's: an instance that has just started is asked about kills for memory only later.
#[derive(Debug)]
struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(Duration::from_secs(60))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration)
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
        self.plant_with(role, name, json!({}))
    }

    async fn plant_copy(&self, name: &str, ours: &ObjectSpec) -> ObjectRef {
        let labels = labels(&self.deployment(), ours);
        self.plant_with(ours.labels().role, name, labels)
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

    async fn image_on_its_way(&self) -> Option<String> {
        let pulls = Rule::call("POST", "/images/create").always();
        self.engine.on(pulls.fault(Fault::Silence));
        Some("openclaw/openclaw:next".to_owned())
    }

    async fn volume_with_other_options(&self, spec: &ObjectSpec) -> bool {
        let deployment = self.deployment();
        let (name, labels) = (spec.name(&deployment), labels(&deployment, spec));
        let mut world = self.engine.world();
        world.plant_volume(&name, labels, other_options());
        true
    }

    async fn fill_memory(&self, container: &EngineId, used: Bytes) -> bool {
        self.engine.world().set_usage(&container.0, used.0);
        true
    }

    async fn kill_child_for_memory(&self, container: &EngineId) -> bool {
        self.engine.world().kill_child(&container.0);
        true
    }

    async fn found(&self, container: &EngineId, path: &str) -> Option<FoundFile> {
        let found = self.engine.world().found(&container.0, path);
        let (owner, mode, content) = found.unwrap();
        let owner = u32::try_from(owner).unwrap();
        Some(FoundFile {
            owner,
            // The engine in memory knows one number for both.
            group: owner,
            mode,
            content,
        })
    }

    fn silent_host(&self) -> Option<(Arc<dyn ContainerBackend>, HostId)> {
        Some((self.backend(), silent_host()))
    }

    async fn finish(&self) {}
}
