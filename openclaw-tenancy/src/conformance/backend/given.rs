//! What the rules start from: one tenant's objects, as the reconciler asks for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::BackendFixture;
use crate::backend::{ContainerBackend, Made, Scope};
use crate::clock::{SystemClock, SystemEntropy};
use crate::container::{
    ContainerDetail, EngineId, Image, InstanceSpec, Inventory, NetworkSpec, ObjectSpec, RunState,
    VolumeRole, VolumeSpec,
};
use crate::id::{DeploymentId, Generation, HostId, TenantId};
use crate::plan::Limits;
use crate::quantity::{Bytes, MilliCpus};

/// Only a backend that will never come to it runs into this, and no engine of a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A tenant on the fixture's host.
pub(super) struct Given {
    pub(super) backend: Arc<dyn ContainerBackend>,
    pub(super) host: HostId,
    pub(super) deployment: DeploymentId,
    pub(super) tenant: TenantId,
    pub(super) image: Image,
    pub(super) subnet: Ipv4Net,
}

/// Small enough for any host.
pub(super) const LIMITS: Limits = Limits {
    cpu: MilliCpus(250),
    memory: Bytes(64 << 20),
    swap: Bytes(0),
    storage: Bytes(1 << 30),
    pids: 64,
};

/// Nobody's container.
pub(super) fn nobody() -> EngineId {
    EngineId("0".repeat(64))
}

impl Given {
    pub(super) fn new(fixture: &dyn BackendFixture) -> Self {
        Self {
            backend: fixture.backend(),
            host: fixture.host(),
            deployment: fixture.deployment(),
            tenant: TenantId::generate(&SystemClock, &SystemEntropy),
            image: fixture.image(),
            subnet: fixture.subnet(),
        }
    }

    pub(super) fn network(&self) -> ObjectSpec {
        ObjectSpec::Network(NetworkSpec {
            tenant: self.tenant,
            subnet: self.subnet,
        })
    }

    pub(super) fn volume(&self, role: VolumeRole) -> ObjectSpec {
        ObjectSpec::Volume(VolumeSpec {
            tenant: self.tenant,
            role,
        })
    }

    pub(super) fn spec(&self, generation: u64) -> InstanceSpec {
        InstanceSpec {
            tenant: self.tenant,
            generation: Generation(generation),
            image: self.image.clone(),
            limits: LIMITS,
            env: BTreeMap::from([("HOME".to_owned(), "/home/node".to_owned())]),
            subnet: self.subnet,
        }
    }

    pub(super) fn instance(&self, generation: u64) -> ObjectSpec {
        ObjectSpec::Instance(Box::new(self.spec(generation)))
    }

    pub(super) fn name(&self, spec: &ObjectSpec) -> String {
        spec.name(&self.deployment)
    }

    pub(super) async fn make(&self, spec: &ObjectSpec) -> Made {
        let made = self.backend.create(&self.host, spec).await;
        made.expect("the engine has room for it")
    }

    /// Both volumes and the network; gives back the network's id.
    pub(super) async fn ground(&self) -> EngineId {
        self.make(&self.volume(VolumeRole::Data)).await;
        self.make(&self.volume(VolumeRole::Config)).await;
        self.make(&self.network()).await.id
    }

    /// A container of the first generation with everything below it, not started.
    pub(super) async fn created(&self) -> EngineId {
        self.ground().await;
        self.make(&self.instance(1)).await.id
    }

    /// The same, running.
    pub(super) async fn running(&self) -> EngineId {
        let id = self.created().await;
        self.start(&id).await;
        self.until(&id, "run", |seen| is_running(&seen.state)).await;
        id
    }

    pub(super) async fn start(&self, id: &EngineId) {
        let started = self.backend.start(&self.host, id).await;
        started.expect("a container with all it needs starts");
    }

    pub(super) async fn list(&self, scope: Scope) -> Inventory {
        let listed = self.backend.list(&self.host, scope).await;
        listed.expect("the engine answers")
    }

    pub(super) async fn look(&self, id: &EngineId) -> ContainerDetail {
        let seen = self.backend.inspect(&self.host, id).await;
        seen.expect("the engine answers")
            .expect("the container is there")
    }

    /// Looks until the container is as wanted.
    pub(super) async fn until(
        &self,
        id: &EngineId,
        to: &str,
        wanted: impl Fn(&ContainerDetail) -> bool + Send + Sync,
    ) -> ContainerDetail {
        let looks = async {
            loop {
                let seen = self.look(id).await;
                if wanted(&seen) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, looks).await;
        seen.unwrap_or_else(|_| panic!("{id} did not come to {to} in {PATIENCE:?}"))
    }
}

pub(super) const fn is_running(state: &RunState) -> bool {
    matches!(state, RunState::Running { .. })
}

pub(super) const fn has_ended(seen: &ContainerDetail) -> bool {
    matches!(seen.state, RunState::Exited { .. })
}
