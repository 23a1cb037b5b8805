//! On a real engine.

use std::io::Read as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ipnet::Ipv4Net;
use openclaw_tenancy::backend::{ContainerBackend, Scope};
use openclaw_tenancy::conformance::backend::{BackendFixture, FoundFile};
use openclaw_tenancy::container::{EngineId, Image, ObjectRef, ObjectSpec};
use openclaw_tenancy::id::{DeploymentId, HostId};
use openclaw_tenancy::labels::Role;
use openclaw_tenancy::quantity::Bytes;
use serde_json::{Value, json};

use crate::engine::{GREEDY, RealEngine};
use crate::{Silence, backend, deployment, host, id, labels, mounting, other_options, silent_host};

openclaw_tenancy::conformance_backend!(Real::new());

/// Rules say what a call does, not how quickly: an engine on which other tests start a hundred containers takes longer
/// than the reconciler would wait.
const PATIENT: Duration = Duration::from_secs(120);

/// A deployment of its own on the real engine, gone when it is dropped, also after a rule that failed.
#[derive(Debug)]
struct Real {
    engine: RealEngine,
    backend: Arc<dyn ContainerBackend>,
    /// With the limits that an operator has.
    usual: Arc<dyn ContainerBackend>,
    number: u32,
    image: Image,
    /// What was planted, as the engine showed it then.
    planted: Mutex<Vec<(ObjectRef, Value)>>,
    _silence: Silence,
}

impl Real {
    async fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let engine = RealEngine::from_env()?;
        let image = engine.waiting_image().await?;
        let number = std::process::id().wrapping_mul(64) + NEXT.fetch_add(1, Ordering::Relaxed);
        let silence = Silence::begin();
        let builder = || backend(&numbered(number), engine.endpoint.clone(), &silence);
        let backend = builder().call_limit(PATIENT).build().unwrap();
        let usual = builder().build().unwrap();
        Some(Self {
            backend: Arc::new(backend),
            usual: Arc::new(usual),
            engine,
            number,
            image,
            planted: Mutex::default(),
            _silence: silence,
        })
    }

    async fn make(&self, path: &str, body: Value) -> Value {
        let (status, made) = self.engine.raw("POST", path, body).await;
        assert_eq!(status, 201, "{made}");
        made
    }

    async fn look(&self, object: &ObjectRef) -> (u16, Value) {
        let path = match object {
            ObjectRef::Container(id) => format!("/containers/{id}/json"),
            ObjectRef::Network(_) | ObjectRef::Volume(_) => path(object),
        };
        self.engine.raw("GET", &path, Value::Null).await
    }

    async fn remember(&self, object: ObjectRef) -> ObjectRef {
        let (_, shown) = self.look(&object).await;
        let mut planted = self.planted.lock().unwrap();
        planted.push((object.clone(), shown));
        object
    }

    async fn plant_with(&self, role: Role, name: &str, labels: Value) -> ObjectRef {
        let object = match role {
            Role::Instance | Role::Probe => {
                let body = json!({ "Image": self.image.digest, "Labels": labels });
                let path = format!("/containers/create?name={name}");
                ObjectRef::Container(id(&self.make(&path, body).await))
            }
            Role::Network => {
                let body = json!({ "Name": name, "Labels": labels });
                let made = self.make("/networks/create", body);
                ObjectRef::Network(id(&made.await))
            }
            Role::Data | Role::Config | Role::HostMarker => {
                let body = json!({ "Name": name, "Labels": labels });
                self.make("/volumes/create", body).await;
                ObjectRef::Volume(name.to_owned())
            }
        };
        self.remember(object).await
    }

    async fn clean(&self) {
        let planted = std::mem::take(&mut *self.planted.lock().unwrap());
        for (object, _) in planted {
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

impl Drop for Real {
    fn drop(&mut self) {
        // Calls of async functions, in a place where nothing can be awaited.
        let cleaned = std::thread::scope(|scope| {
            let cleaning = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.unwrap().block_on(self.clean());
            });
            cleaning.join()
        });
        // A second panic would end the program, and with it what the first one said.
        assert!(
            cleaned.is_ok() || std::thread::panicking(),
            "what a rule made can be removed"
        );
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
        self.plant_with(role, name, json!({})).await
    }

    async fn plant_copy(&self, name: &str, ours: &ObjectSpec) -> ObjectRef {
        let labels = labels(&self.deployment(), ours);
        self.plant_with(ours.labels().role, name, labels).await
    }

    async fn plant_on(&self, volume: &str) -> ObjectRef {
        let mut body = mounting(volume);
        body["Image"] = json!(self.image.digest);
        let path = format!("/containers/create?name=stranger-{}", self.number);
        let object = ObjectRef::Container(id(&self.make(&path, body).await));
        self.remember(object).await
    }

    async fn untouched(&self, planted: &ObjectRef) -> bool {
        let (status, now) = self.look(planted).await;
        let all = self.planted.lock().unwrap();
        let before = all.iter().find(|(object, _)| object == planted);
        status == 200 && before.is_some_and(|(_, then)| *then == now)
    }

    /// An engine pulls from where it stands, which need not be here; and who asks waits 20 s, twice.
    async fn image_on_its_way(&self) -> Option<String> {
        println!("a registry that never ends is the scripted engine's");
        None
    }

    async fn volume_with_other_options(&self, spec: &ObjectSpec) -> bool {
        let deployment = self.deployment();
        let body = json!({
            "Name": spec.name(&deployment),
            "Labels": labels(&deployment, spec),
            "DriverOpts": other_options(),
        });
        self.make("/volumes/create", body).await;
        true
    }

    async fn fill_memory(&self, container: &EngineId, used: Bytes) -> bool {
        // In the tmpfs, so that the kernel cannot take it back.
        let fill = format!("head -c {} /dev/zero > /tmp/fill", used.0);
        let ran = self.engine.run(&container.0, &fill).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        true
    }

    async fn kill_child_for_memory(&self, container: &EngineId) -> bool {
        let ran = self.engine.run(&container.0, GREEDY).await;
        assert_eq!(ran.code, 137, "{ran:?}");
        true
    }

    /// By the head of an archive of it, which needs no process in the container.
    async fn found(&self, container: &EngineId, path: &str) -> Option<FoundFile> {
        let call = format!("/containers/{container}/archive?path={path}");
        let (status, body) = self.engine.send("GET", &call, bytes::Bytes::new()).await;
        assert_eq!(status, 200, "{path}: {body:?}");
        let mut archive = tar::Archive::new(body.as_ref());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header().clone();
        let number = |read: std::io::Result<u64>| u32::try_from(read.unwrap()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let is_file = header.entry_type().is_file();
        Some(FoundFile {
            owner: number(header.uid()),
            group: number(header.gid()),
            mode: header.mode().unwrap() & 0o7777,
            content: is_file.then_some(content),
        })
    }

    fn silent_host(&self) -> Option<(Arc<dyn ContainerBackend>, HostId)> {
        Some((Arc::clone(&self.usual), silent_host()))
    }

    async fn finish(&self) {}
}
