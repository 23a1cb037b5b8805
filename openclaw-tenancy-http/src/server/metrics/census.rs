//! Tenants by phase and hosts by state: kept by what changes, so that the cost is that of the changes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use openclaw_tenancy::host::HostState;
use openclaw_tenancy::id::TenantId;
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::store::StoreError;
use openclaw_tenancy::tenancy::Tenancy;
use openclaw_tenancy::tenant::HoldReason;

use super::PREFIX;

/// How often the figures are brought up to date.
const EVERY: Duration = Duration::from_secs(5);
/// How many changes are read at once.
const PAGE: u32 = 1000;

/// What a tenant counts as: its phase, and why it is held where it is.
type Counted = (&'static str, Option<&'static str>);

/// Counts tenants and hosts.
#[derive(Debug)]
pub(crate) struct Census {
    tenancy: Tenancy,
    phases: HashMap<TenantId, Counted>,
    by_phase: BTreeMap<&'static str, u64>,
    by_hold: BTreeMap<&'static str, u64>,
    read: u64,
}

impl Census {
    /// A census of `tenancy` that has counted nothing yet.
    #[must_use]
    pub(crate) fn new(tenancy: Tenancy) -> Self {
        // Every series is there from the start: one that comes and goes cannot be alarmed on.
        let names = [
            "queued",
            "provisioning",
            "starting",
            "running",
            "stopping",
            "suspended",
            "deleting",
            "failed",
            "host_lost",
            "held",
        ];
        Self {
            tenancy,
            phases: HashMap::new(),
            by_phase: names.into_iter().map(|name| (name, 0)).collect(),
            by_hold: HOLDS.into_iter().map(|hold| (hold_name(hold), 0)).collect(),
            read: 0,
        }
    }

    /// Counts for as long as it is polled.
    pub(crate) async fn run(mut self) {
        loop {
            // While the database does not answer, the figures stay; its own series says why.
            if let Err(error) = self.count().await {
                let error = openclaw_tenancy::error::chain(&error);
                tracing::debug!(error, "tenants and hosts are not counted");
            }
            self.tenancy.clock().sleep(EVERY).await;
        }
    }

    /// Brings the figures up to date once.
    ///
    /// # Errors
    /// [`StoreError`]; what was read until then counts.
    pub(crate) async fn count(&mut self) -> Result<(), StoreError> {
        loop {
            let changes = self.tenancy.store().changed_since(self.read, PAGE).await?;
            for tenant in &changes.tenants {
                let phase = status(tenant, self.tenancy.deadlines()).phase;
                let held = tenant.observed.hold.as_ref();
                let hold = held.map(|hold| hold_name(hold.reason));
                let counted = (phase.name(), hold);
                let before = self.phases.insert(tenant.id, counted);
                self.shift(before, Some(counted));
            }
            for id in &changes.gone {
                let before = self.phases.remove(id);
                self.shift(before, None);
            }
            if changes.next == self.read {
                break;
            }
            self.read = changes.next;
        }
        for (phase, count) in &self.by_phase {
            gauge("tenants", "phase", phase, *count);
        }
        for (reason, count) in &self.by_hold {
            gauge("tenants_held", "reason", reason, *count);
        }
        let queued = self
            .by_phase
            .get(Phase::Queued.name())
            .copied()
            .unwrap_or_default();
        metrics::gauge!("openclaw_tenancy_queue_length").set(as_f64(queued));
        self.hosts().await
    }

    async fn hosts(&self) -> Result<(), StoreError> {
        let mut by_state = BTreeMap::from([
            ("new", 0),
            ("ready", 0),
            ("unreachable", 0),
            ("quarantined", 0),
        ]);
        let (mut cordoned, mut unaccounted) = (0, 0_u64);
        for host in self.tenancy.store().hosts().await? {
            let state = match host.state {
                HostState::New => "new",
                HostState::Ready => "ready",
                HostState::Unreachable { .. } => "unreachable",
                HostState::Quarantined { .. } => "quarantined",
            };
            *by_state.entry(state).or_default() += 1;
            cordoned += u64::from(host.cordoned);
            let left = host.facts.map_or(0, |facts| facts.unaccounted);
            unaccounted = unaccounted.saturating_add(left);
        }
        for (state, count) in by_state {
            gauge("hosts", "state", state, count);
        }
        metrics::gauge!("openclaw_tenancy_hosts_cordoned").set(as_f64(cordoned));
        metrics::gauge!("openclaw_tenancy_unaccounted_objects").set(as_f64(unaccounted));
        Ok(())
    }

    fn shift(&mut self, from: Option<Counted>, to: Option<Counted>) {
        if let Some((phase, hold)) = from {
            less(&mut self.by_phase, phase);
            if let Some(hold) = hold {
                less(&mut self.by_hold, hold);
            }
        }
        if let Some((phase, hold)) = to {
            *self.by_phase.entry(phase).or_default() += 1;
            if let Some(hold) = hold {
                *self.by_hold.entry(hold).or_default() += 1;
            }
        }
    }
}

/// Every reason of a hold.
const HOLDS: [HoldReason; 4] = [
    HoldReason::GhostSuspected,
    HoldReason::HostQuarantined,
    HoldReason::Conflict,
    HoldReason::Configuration,
];

/// The reason as the API names it.
const fn hold_name(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::GhostSuspected => "ghost_suspected",
        HoldReason::HostQuarantined => "host_quarantined",
        HoldReason::Conflict => "conflict",
        HoldReason::Configuration => "configuration",
    }
}

fn less(counts: &mut BTreeMap<&'static str, u64>, name: &'static str) {
    if let Some(count) = counts.get_mut(name) {
        *count = count.saturating_sub(1);
    }
}

fn gauge(name: &str, label: &'static str, value: &'static str, count: u64) {
    metrics::gauge!(format!("{PREFIX}_{name}"), label => value).set(as_f64(count));
}

const fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use openclaw_tenancy::access::{Account, Rights};
    use openclaw_tenancy::backend::ContainerBackend as _;
    use openclaw_tenancy::clock::{Clock, ManualClock, SeededEntropy, Timestamp};
    use openclaw_tenancy::id::{AccountId, DeploymentId, HostId, WorkerId};
    use openclaw_tenancy::identity::Subject;
    use openclaw_tenancy::instance::OriginTemplate;
    use openclaw_tenancy::labels::LabelKeys;
    use openclaw_tenancy::memory::{MemoryBackend, MemoryStore};
    use openclaw_tenancy::quantity::Bytes;
    use openclaw_tenancy::store::{ClaimRequest, HostSettlement, Settlement};
    use openclaw_tenancy::tenant::Hold;

    use super::*;

    #[test]
    fn holds_are_counted_by_reason_and_leftovers_over_all_hosts() {
        let recorder = super::super::builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            counting().now_or_never().expect("memory answers at once");
        });
        let told = recorder.handle().render();
        for line in [
            "openclaw_tenancy_tenants_held{reason=\"host_quarantined\"} 1",
            "openclaw_tenancy_tenants_held{reason=\"conflict\"} 0",
            "openclaw_tenancy_tenants{phase=\"held\"} 1",
            "openclaw_tenancy_hosts{state=\"quarantined\"} 1",
            "openclaw_tenancy_unaccounted_objects 6",
        ] {
            assert!(told.lines().any(|told| told == line), "{line}: {told}");
        }
    }

    /// Two hosts with three leftovers each, of which one is quarantined, and a tenant that is held for another reason
    /// first.
    async fn counting() {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let deployment = DeploymentId::new("d1").unwrap();
        let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [1; 32]));
        let [first, second] = ["h1", "h2"].map(|id| HostId::new(id).unwrap());
        let engines = MemoryBackend::new(keys, Arc::new(clock.clone()))
            .with_host(first.clone(), "image")
            .with_host(second, "image");
        let tenancy = Tenancy::builder()
            .backend(Arc::new(engines.clone()))
            .probe(Arc::new(engines.clone()))
            .store(Arc::new(MemoryStore::new(Arc::new(clock.clone()))))
            .clock(Arc::new(clock.clone()))
            .entropy(Arc::new(SeededEntropy::new(1)))
            .deployment(deployment)
            .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
            .image("image", Bytes::gib(1))
            .build()
            .unwrap();
        tenancy.register_hosts().await.unwrap();
        let request = || ClaimRequest {
            worker: WorkerId::new("w1").unwrap(),
            limit: 10,
            lease: EVERY,
        };
        for claim in tenancy.store().claim_hosts(request()).await.unwrap() {
            let mut facts = engines.host(&claim.item.id).await.unwrap();
            facts.unaccounted = 3;
            let since = clock.now();
            let reason = "another machine".to_owned();
            let state = match claim.item.id == first {
                true => HostState::Quarantined { since, reason },
                false => HostState::Ready,
            };
            let settlement = HostSettlement {
                state,
                facts: Some(facts),
                marker: None,
                next_due: EVERY,
                stirred: Vec::new(),
            };
            let settled = tenancy
                .store()
                .settle_host(claim.item.id, claim.fence, settlement);
            settled.await.unwrap();
        }
        let ada = Account {
            id: AccountId::generate(&clock, &SeededEntropy::new(2)),
            who: Subject {
                issuer: "test".to_owned(),
                subject: "ada".to_owned(),
            },
            email: None,
            name: None,
            rights: Rights::default(),
            created_at: clock.now(),
        };
        let ask = openclaw_tenancy::CreateRequest::default();
        tenancy.create(&ada, ask, None).await.unwrap();
        let mut census = Census::new(tenancy.clone());
        for reason in [HoldReason::Conflict, HoldReason::HostQuarantined] {
            let mut claims = tenancy.store().claim_tenants(request()).await.unwrap();
            let claim = claims.remove(0);
            let mut observed = claim.item.observed;
            observed.hold = Some(Hold {
                reason,
                message: "held".to_owned(),
                since: clock.now(),
            });
            let settlement = Settlement {
                observed,
                pin: None,
                next_due: Duration::ZERO,
                events: Vec::new(),
                gone: false,
            };
            let settled =
                tenancy
                    .store()
                    .settle(claim.item.id, claim.fence, settlement, clock.now());
            settled.await.unwrap();
            census.count().await.unwrap();
        }
    }
}
