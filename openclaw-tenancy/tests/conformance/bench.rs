//! An engine in memory for the conformance kit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::Ipv4Net;
use openclaw_tenancy::backend::ContainerBackend;
use openclaw_tenancy::clock::{Clock, ManualClock, Timestamp};
use openclaw_tenancy::conformance::backend::{BackendFixture, FoundFile};
use openclaw_tenancy::container::{EngineId, Image, ObjectRef, ObjectSpec};
use openclaw_tenancy::id::{DeploymentId, HostId, TenantId};
use openclaw_tenancy::labels::{LabelKeys, Role};
use openclaw_tenancy::memory::{MemoryBackend, Reachable};
use openclaw_tenancy::quantity::Bytes;

const IMAGE: &str = "openclaw/openclaw:test";

fn silent() -> HostId {
    HostId::new("silent").unwrap()
}

#[derive(Debug)]
pub(crate) struct Bench {
    engine: MemoryBackend,
    tried: Arc<dyn ContainerBackend>,
    host: HostId,
    deployment: DeploymentId,
    keys: Arc<LabelKeys>,
    /// Whether labels are read as for the name of what has them. The engine in memory reads them when a thing is put
    /// there, so that what an adapter does wrong about it is done there too.
    pub(crate) heeds_names: bool,
}

impl Bench {
    /// One engine, tried through what `wrap` makes of it.
    pub(crate) fn new(
        wrap: impl FnOnce(MemoryBackend, Arc<dyn Clock>) -> Arc<dyn ContainerBackend>,
    ) -> Self {
        let clock: Arc<dyn Clock> =
            Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        let deployment = DeploymentId::new("kit").unwrap();
        let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [1; 32]));
        let host = HostId::new("h1").unwrap();
        let engine = MemoryBackend::new(Arc::clone(&keys), Arc::clone(&clock))
            .with_host(host.clone(), IMAGE)
            .with_host(silent(), IMAGE);
        engine.set_reachable(&silent(), Reachable::No);
        Self {
            tried: wrap(engine.clone(), clock),
            engine,
            host,
            deployment,
            keys,
            heeds_names: true,
        }
    }

    /// Whose container this is.
    async fn tenant(&self, container: &EngineId) -> TenantId {
        let seen = self.engine.inspect(&self.host, container).await;
        seen.unwrap().unwrap().seen.labels.tenant.unwrap()
    }
}

#[async_trait]
impl BackendFixture for Bench {
    fn backend(&self) -> Arc<dyn ContainerBackend> {
        Arc::clone(&self.tried)
    }

    fn host(&self) -> HostId {
        self.host.clone()
    }

    fn deployment(&self) -> DeploymentId {
        self.deployment.clone()
    }

    fn image(&self) -> Image {
        Image {
            reference: IMAGE.to_owned(),
            digest: Some(format!("sha256:{IMAGE}")),
        }
    }

    fn missing_image(&self) -> String {
        "openclaw/openclaw:not-there".to_owned()
    }

    fn subnet(&self) -> Ipv4Net {
        "10.213.0.0/29".parse().unwrap()
    }

    async fn plant(&self, role: Role, name: &str) -> ObjectRef {
        self.engine
            .add_foreign(&self.host, role, name, &std::collections::BTreeMap::new())
            .unwrap()
    }

    async fn plant_copy(&self, name: &str, ours: &ObjectSpec) -> ObjectRef {
        let labels = ours.labels();
        let signed = if self.heeds_names {
            self.keys.sign(&ours.name(&self.deployment), &labels)
        } else {
            self.keys.sign(name, &labels)
        };
        let planted = self
            .engine
            .add_foreign(&self.host, labels.role, name, &signed);
        planted.unwrap()
    }

    async fn plant_on(&self, volume: &str) -> ObjectRef {
        let planted = self.engine.add_foreign_on(&self.host, "stranger", volume);
        planted.unwrap()
    }

    async fn untouched(&self, planted: &ObjectRef) -> bool {
        self.engine.is_as_added(&self.host, planted)
    }

    async fn image_on_its_way(&self) -> Option<String> {
        let reference = "openclaw/openclaw:next";
        self.engine.begin_pull(&self.host, reference);
        Some(reference.to_owned())
    }

    async fn volume_with_other_options(&self, spec: &ObjectSpec) -> bool {
        let name = spec.name(&self.deployment);
        let labels = self.keys.sign(&name, &spec.labels());
        let made = self
            .engine
            .add_foreign(&self.host, Role::Data, &name, &labels);
        made.is_some()
    }

    async fn fill_memory(&self, container: &EngineId, used: Bytes) -> bool {
        let tenant = self.tenant(container).await;
        self.engine.set_memory_used(&self.host, tenant, used);
        true
    }

    async fn kill_child_for_memory(&self, container: &EngineId) -> bool {
        let tenant = self.tenant(container).await;
        self.engine.kill_child(&self.host, tenant);
        true
    }

    /// The engine in memory has no directories.
    async fn found(&self, container: &EngineId, path: &str) -> Option<FoundFile> {
        let tenant = self.tenant(container).await;
        let file = self.engine.file(&self.host, tenant, path)?;
        Some(FoundFile {
            owner: file.owner,
            group: file.owner,
            mode: file.mode,
            content: Some(file.content.0),
        })
    }

    fn silent_host(&self) -> Option<(Arc<dyn ContainerBackend>, HostId)> {
        Some((self.backend(), silent()))
    }

    /// Nothing in memory takes time.
    fn lease(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn finish(&self) {}
}
