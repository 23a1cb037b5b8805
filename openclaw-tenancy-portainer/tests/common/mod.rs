//! What the tests of the Docker backend share: one tenant's objects, as the reconciler would ask for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_tenancy::backend::{BackendError, ContainerBackend, Made};
use openclaw_tenancy::clock::{SystemClock, SystemEntropy};
use openclaw_tenancy::container::{
    EngineId, Image, InstanceSpec, NetworkSpec, ObjectRef, ObjectSpec, VolumeRole, VolumeSpec,
};
use openclaw_tenancy::id::{DeploymentId, Generation, HostId, TenantId};
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::plan::{Limits, PlanCatalog};

/// One tenant on one host of one backend.
pub(crate) struct Tenancy {
    pub(crate) backend: Arc<dyn ContainerBackend>,
    pub(crate) host: HostId,
    pub(crate) tenant: TenantId,
    pub(crate) deployment: DeploymentId,
    pub(crate) image: Image,
    pub(crate) subnet: ipnet::Ipv4Net,
    pub(crate) env: BTreeMap<String, String>,
}

pub(crate) fn host() -> HostId {
    HostId::new("h1").unwrap()
}

/// Label keys of a deployment of this name, always the same for one name.
pub(crate) fn keys(deployment: &str) -> LabelKeys {
    LabelKeys::new(DeploymentId::new(deployment).unwrap(), "k1", [7; 32])
}

pub(crate) fn plan(name: &str) -> Limits {
    PlanCatalog::default()
        .get(&name.parse().unwrap())
        .unwrap()
        .limits
}

impl Tenancy {
    pub(crate) fn new(
        backend: Arc<dyn ContainerBackend>,
        deployment: &str,
        image: Image,
        subnet: ipnet::Ipv4Net,
    ) -> Self {
        Self {
            backend,
            host: host(),
            tenant: TenantId::generate(&SystemClock, &SystemEntropy),
            deployment: DeploymentId::new(deployment).unwrap(),
            image,
            subnet,
            env: BTreeMap::from([("HOME".to_owned(), "/home/node".to_owned())]),
        }
    }

    pub(crate) fn network(&self) -> ObjectSpec {
        ObjectSpec::Network(NetworkSpec {
            tenant: self.tenant,
            subnet: self.subnet,
        })
    }

    pub(crate) fn volume(&self, role: VolumeRole) -> ObjectSpec {
        ObjectSpec::Volume(VolumeSpec {
            tenant: self.tenant,
            role,
        })
    }

    pub(crate) fn instance_spec(&self, generation: u64, limits: Limits) -> InstanceSpec {
        InstanceSpec {
            tenant: self.tenant,
            generation: Generation(generation),
            image: self.image.clone(),
            limits,
            env: self.env.clone(),
            subnet: self.subnet,
        }
    }

    pub(crate) fn instance(&self, generation: u64, limits: Limits) -> ObjectSpec {
        ObjectSpec::Instance(Box::new(self.instance_spec(generation, limits)))
    }

    pub(crate) fn name(&self, spec: &ObjectSpec) -> String {
        spec.name(&self.deployment)
    }

    pub(crate) async fn make(&self, spec: &ObjectSpec) -> Result<Made, BackendError> {
        self.backend.create(&self.host, spec).await
    }

    /// The network and both volumes.
    pub(crate) async fn ground(&self) {
        self.make(&self.network()).await.unwrap();
        self.make(&self.volume(VolumeRole::Data)).await.unwrap();
        self.make(&self.volume(VolumeRole::Config)).await.unwrap();
    }

    /// A created container of the first generation with everything below it.
    pub(crate) async fn created(&self, limits: Limits) -> EngineId {
        self.ground().await;
        self.make(&self.instance(1, limits)).await.unwrap().id
    }

    pub(crate) async fn start(&self, id: &EngineId) -> Result<(), BackendError> {
        self.backend.start(&self.host, id).await
    }

    pub(crate) async fn remove(&self, object: &ObjectRef) -> Result<(), BackendError> {
        self.backend.remove(&self.host, object).await
    }
}

/// An error and its sources in one line.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    openclaw_tenancy::error::chain(error)
}
