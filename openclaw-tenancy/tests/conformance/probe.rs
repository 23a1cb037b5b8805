//! The probe in memory keeps every rule.

use std::sync::Arc;
use std::time::Duration;

use crate::support::World;
use async_trait::async_trait;
use openclaw_tenancy::conformance::probe::{ProbeFixture, There};
use openclaw_tenancy::memory::{Behavior, MemoryBackend};
use openclaw_tenancy::probe::InstanceProbe;
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy::store::Change;
use openclaw_tenancy::tenant::Tenant;
use openclaw_tenancy::{CreateRequest, Power};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// One tenant's instance in memory, looked at by what `wrap` makes of the probe.
#[derive(Debug)]
struct Memory {
    world: World,
    probe: Arc<dyn InstanceProbe>,
    tenant: Tenant,
    upstream: Upstream,
}

impl Memory {
    async fn new(wrap: impl FnOnce(MemoryBackend) -> Arc<dyn InstanceProbe>) -> Self {
        let world = World::new().await;
        let ada = world.account("ada").await;
        let request = CreateRequest::default();
        world.tenancy.create(&ada, request, None).await.unwrap();
        let runs = |tenants: &[Tenant]| world.tenancy.route(&tenants[0]).upstream.is_some();
        let mut tenants = world.until(50, SECOND, runs).await;
        let tenant = tenants.remove(0);
        let upstream = world.tenancy.route(&tenant).upstream.unwrap();
        Self {
            probe: wrap(world.backend.clone()),
            world,
            tenant,
            upstream,
        }
    }
}

#[async_trait]
impl ProbeFixture for Memory {
    fn probe(&self) -> Arc<dyn InstanceProbe> {
        Arc::clone(&self.probe)
    }

    async fn put(&self, there: There) -> Option<Upstream> {
        let world = &self.world;
        let (ready_after, needs_repair) = match there {
            There::Started | There::Nobody => (Duration::ZERO, false),
            There::Starting => (HOUR, false),
            There::NeedsRepair => (Duration::ZERO, true),
            There::AnswersAnything | There::Silent => return None,
        };
        let behavior = Behavior {
            ready_after,
            needs_repair,
            ..Behavior::default()
        };
        let id = self.tenant.id;
        world.backend.set_behavior(&world.host, id, behavior);
        // Begun anew, so that it begins as it is to be.
        for power in [Power::Suspended, Power::Running] {
            let change = Change::Power(power);
            world.tenancy.change(id, change).await.unwrap();
            let running = power == Power::Running;
            let done = |_: &[Tenant]| world.backend.processes().is_empty() != running;
            world.until(50, SECOND, done).await;
            if there == There::Nobody {
                break;
            }
        }
        Some(self.upstream)
    }

    async fn finish(&self) {}
}

mod memory {
    use std::sync::Arc;

    openclaw_tenancy::conformance_probe!(async {
        Some(super::Memory::new(|probe| Arc::new(probe)).await)
    });
}
