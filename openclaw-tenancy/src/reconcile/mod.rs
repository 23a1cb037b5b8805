//! The loop that makes what is wanted so.
//!
//! One pass over a tenant: [look](observe) at what is there, let [`plan`](plan::plan) name the one next
//! step, [do it](execute), look again, and settle when nothing is to be done now. A pass takes no hint of why it
//! runs and remembers nothing of the pass before but what the store holds: it may be killed at any instant.

mod backoff;
pub mod execute;
pub mod host;
pub mod observe;
pub mod plan;
mod runner;
mod signals;

pub(crate) use runner::run;
pub(crate) use signals::Signals;

use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::backend::ContainerBackend;
use crate::clock::{Clock, Entropy};
use crate::container::Image;
use crate::host::Overcommit;
use crate::id::{DeploymentId, WorkerId};
use crate::instance::{OriginTemplate, RenderedOverlay};
use crate::probe::InstanceProbe;
use crate::quantity::Bytes;
use crate::scheduler::HostScheduler;
use crate::status::Deadlines;
use crate::store::TenantStore;

/// How the loop works: every figure with a default that suits OpenClaw on a few hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// How many tenants are passed over at once; looks at hosts have a bound of their own.
    pub concurrency: usize,
    /// How long a claim lasts before another worker may take it over.
    pub lease: Duration,
    /// The longest a single engine call may take. Below the lease, so that no call outlives its claim.
    pub call: Duration,
    /// How often the store is asked for due work when nothing stirs it.
    pub poll: Duration,
    /// How often a tenant that stops is looked at; one that starts is at first looked at more often, later half
    /// as often.
    pub watch: Duration,
    /// How often a tenant at rest is looked at, whatever happens.
    pub resync: Duration,
    /// How often a host is looked at.
    pub host: Duration,
    /// How often the swap of a host is measured anew, by a container that ends at once.
    pub swap: Duration,
    /// The first wait after a failure; it doubles with each further one.
    pub backoff: Duration,
    /// The longest wait after a failure.
    pub backoff_most: Duration,
    /// Ready for this long, an instance has got over what failed before.
    pub stable: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            concurrency: 32,
            lease: Duration::from_secs(30),
            call: Duration::from_secs(25),
            poll: Duration::from_millis(500),
            watch: Duration::from_millis(500),
            resync: Duration::from_secs(300),
            host: Duration::from_secs(5),
            swap: Duration::from_secs(300),
            backoff: Duration::from_secs(1),
            backoff_most: Duration::from_secs(300),
            stable: Duration::from_secs(120),
        }
    }
}

/// What every instance is made from.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// The image, by the operator's reference.
    pub image: Image,
    /// What it needs of memory and swap together, in bytes.
    pub floor: Bytes,
    /// Where tenants' host names are.
    pub origins: OriginTemplate,
    /// What the operator gives every instance.
    pub overlay: RenderedOverlay,
    /// Subnets are given out of this pool.
    pub subnets: Ipv4Net,
    /// How far hosts may be filled.
    pub overcommit: Overcommit,
    /// How long phases may last.
    pub deadlines: Deadlines,
}

/// Everything a pass works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The engines.
    pub backend: Arc<dyn ContainerBackend>,
    /// The state.
    pub store: Arc<dyn TenantStore>,
    /// The policy of placement.
    pub scheduler: Arc<dyn HostScheduler>,
    /// Whether instances are ready.
    pub probe: Arc<dyn InstanceProbe>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness: jitter and markers.
    pub entropy: Arc<dyn Entropy>,
    /// This deployment.
    pub deployment: DeploymentId,
    /// This process.
    pub worker: WorkerId,
    /// What instances are made from.
    pub blueprint: Blueprint,
    /// How the loop works.
    pub pace: Pace,
    /// Names the next step: [`plan::plan`]. A simulation plants its bugs here.
    pub planner: Planner,
    /// What this process has told of each host's leftovers.
    pub(crate) told: Arc<host::Told>,
}

/// Names the next step.
pub type Planner = fn(&plan::Situation<'_>) -> plan::Step;
