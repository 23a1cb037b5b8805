//! Putting a [`Tenancy`] together.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::Ipv4Net;

use crate::backend::ContainerBackend;
use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::container::Image;
use crate::host::Overcommit;
use crate::id::{DeploymentId, HostId, WorkerId};
use crate::instance::{OriginTemplate, Overlay};
use crate::plan::PlanCatalog;
use crate::probe::InstanceProbe;
use crate::quantity::Bytes;
use crate::quota::{PlanPolicy, PlanRefused};
use crate::reconcile::{Blueprint, Context, Pace};
use crate::scheduler::{HostScheduler, Spread};
use crate::status::Deadlines;
use crate::store::TenantStore;
use crate::store::rules::nth_subnet;

use super::{Inner, Tenancy};

/// Why a [`Tenancy`] cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A part was not given.
    #[error("no {part} was given; call TenancyBuilder::{part}")]
    Missing {
        /// The setter's name.
        part: &'static str,
    },
    /// The plan policy names a plan that does not exist.
    #[error("the plan policy does not fit the catalogue")]
    Policy(#[source] PlanRefused),
    /// The pool has no `/29`.
    #[error("the subnet pool {pool} holds no /29; give a prefix of at most 29")]
    SubnetPool {
        /// The pool.
        pool: Ipv4Net,
    },
    /// A single engine call could outlive the claim it is made under.
    #[error("pace: call ({call:?}) must be below lease ({lease:?})")]
    CallOutlivesLease {
        /// The longest call.
        call: std::time::Duration,
        /// The lease.
        lease: std::time::Duration,
    },
}

/// Puts a [`Tenancy`] together: a backend, a store, a probe, an image and a deployment, the rest by default.
#[derive(Debug, Default)]
pub struct TenancyBuilder {
    backend: Option<Arc<dyn ContainerBackend>>,
    store: Option<Arc<dyn TenantStore>>,
    probe: Option<Arc<dyn InstanceProbe>>,
    scheduler: Option<Arc<dyn HostScheduler>>,
    clock: Option<Arc<dyn Clock>>,
    entropy: Option<Arc<dyn Entropy>>,
    deployment: Option<DeploymentId>,
    image: Option<(String, Bytes)>,
    origins: Option<OriginTemplate>,
    overlay: Overlay,
    plans: PlanCatalog,
    policy: PlanPolicy,
    overcommit: Overcommit,
    subnets: Option<Ipv4Net>,
    deadlines: Deadlines,
    pace: Pace,
    host_labels: BTreeMap<HostId, BTreeMap<String, String>>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => $wrap:expr;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, value: $type) -> Self {
                self.$name = $wrap(value);
                self
            }
        )*
    };
}

impl TenancyBuilder {
    setters! {
        /// The engines. Required.
        backend: Arc<dyn ContainerBackend> => Some;
        /// The state. Required.
        store: Arc<dyn TenantStore> => Some;
        /// Whether instances are ready. Required.
        probe: Arc<dyn InstanceProbe> => Some;
        /// The policy of placement; [`Spread`] unless set.
        scheduler: Arc<dyn HostScheduler> => Some;
        /// The time; the machine's unless set.
        clock: Arc<dyn Clock> => Some;
        /// Randomness; the operating system's unless set.
        entropy: Arc<dyn Entropy> => Some;
        /// This deployment, as in the labels of everything it makes. Required.
        deployment: DeploymentId => Some;
        /// Where tenants' host names are. Required.
        origins: OriginTemplate => Some;
        /// What the operator gives every instance; nothing unless set.
        overlay: Overlay => std::convert::identity;
        /// The plans; Free, Basic, Pro and Enterprise unless set.
        plans: PlanCatalog => std::convert::identity;
        /// Which plans people may take by themselves.
        policy: PlanPolicy => std::convert::identity;
        /// How far hosts may be filled.
        overcommit: Overcommit => std::convert::identity;
        /// Subnets are given out of this pool; `10.213.0.0/16` unless set.
        subnets: Ipv4Net => Some;
        /// How long phases may last.
        deadlines: Deadlines => std::convert::identity;
        /// How the loop works.
        pace: Pace => std::convert::identity;
    }

    /// The image by reference, and what it needs of memory and swap together, in bytes. Required.
    #[must_use]
    pub fn image(mut self, reference: impl Into<String>, floor: Bytes) -> Self {
        self.image = Some((reference.into(), floor));
        self
    }

    /// The operator's labels of a host, for placement; [`Tenancy::register_hosts`] writes them. A host without any
    /// here keeps those it has in the store.
    #[must_use]
    pub fn host_labels(mut self, host: HostId, labels: BTreeMap<String, String>) -> Self {
        self.host_labels.insert(host, labels);
        self
    }

    /// Checks and builds.
    ///
    /// # Errors
    /// [`BuildError`] names what is missing or does not fit.
    pub fn build(self) -> Result<Tenancy, BuildError> {
        let missing = |part| BuildError::Missing { part };
        self.policy.check(&self.plans).map_err(BuildError::Policy)?;
        let subnets = match self.subnets {
            Some(pool) => pool,
            None => Ipv4Net::new_assert([10, 213, 0, 0].into(), 16),
        };
        if nth_subnet(subnets, 0).is_none() {
            return Err(BuildError::SubnetPool { pool: subnets });
        }
        let Pace { call, lease, .. } = self.pace;
        if call >= lease {
            return Err(BuildError::CallOutlivesLease { call, lease });
        }
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let entropy = self.entropy.unwrap_or_else(|| Arc::new(SystemEntropy));
        let (reference, floor) = self.image.ok_or_else(|| missing("image"))?;
        let context = Context {
            backend: self.backend.ok_or_else(|| missing("backend"))?,
            store: self.store.ok_or_else(|| missing("store"))?,
            scheduler: self.scheduler.unwrap_or_else(|| Arc::new(Spread)),
            probe: self.probe.ok_or_else(|| missing("probe"))?,
            worker: worker_id(&*entropy),
            deployment: self.deployment.ok_or_else(|| missing("deployment"))?,
            blueprint: Blueprint {
                image: Image {
                    reference,
                    digest: None,
                },
                floor,
                origins: self.origins.ok_or_else(|| missing("origins"))?,
                overlay: (&self.overlay).into(),
                subnets,
                overcommit: self.overcommit,
                deadlines: self.deadlines,
            },
            pace: self.pace,
            planner: crate::reconcile::plan::plan,
            told: Arc::default(),
            clock,
            entropy,
        };
        Ok(Tenancy(Arc::new(Inner {
            context: Arc::new(context),
            plans: self.plans,
            policy: self.policy,
            host_labels: self.host_labels,
            signals: Arc::default(),
        })))
    }
}

/// A name that no other start of any replica has.
#[expect(clippy::expect_used, reason = "hexadecimal digits are a DNS label")]
fn worker_id(entropy: &dyn Entropy) -> WorkerId {
    let mut random = [0_u8; 8];
    entropy.fill(&mut random);
    WorkerId::new(format!("w-{}", crate::labels::hex(&random))).expect("a valid label")
}
