//! A whole deployment in memory, with a clock that moves only when told.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::Tenancy;
use openclaw_tenancy::access::{AccessStore, Account};
use openclaw_tenancy::clock::{Clock, ManualClock, SeededEntropy, Timestamp};
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{MemoryAccess, MemoryBackend, MemoryStore};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::reconcile::{execute, host};
use openclaw_tenancy::store::{ClaimRequest, TenantStore};
use openclaw_tenancy::tenant::Tenant;

pub(crate) const IMAGE: &str = "openclaw/openclaw:test";

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) backend: MemoryBackend,
    pub(crate) tenancy: Tenancy,
    pub(crate) access: MemoryAccess,
    pub(crate) host: HostId,
}

impl World {
    /// One host `h1`, looked at once.
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let deployment = DeploymentId::new("d1").unwrap();
        let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [1; 32]));
        let host = HostId::new("h1").unwrap();
        let backend =
            MemoryBackend::new(keys, Arc::new(clock.clone())).with_host(host.clone(), IMAGE);
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        let tenancy = tenancy(&clock, &backend, store, IMAGE);
        let access = MemoryAccess::new();
        let world = Self {
            clock,
            backend,
            tenancy,
            access,
            host,
        };
        world.tenancy.register_hosts().await.unwrap();
        world.hosts_pass().await;
        world
    }

    pub(crate) async fn account(&self, subject: &str) -> Account {
        let identity = Identity {
            who: Subject {
                issuer: "test".to_owned(),
                subject: subject.to_owned(),
            },
            email: None,
            email_verified: false,
            name: None,
            groups: std::collections::BTreeSet::new(),
        };
        let id = AccountId::generate(&self.clock, &**self.tenancy.entropy());
        self.access
            .sign_in(identity, id, self.clock.now())
            .await
            .unwrap()
    }

    fn claim(&self) -> ClaimRequest {
        let context = self.tenancy.context();
        ClaimRequest {
            worker: context.worker.clone(),
            limit: 100,
            lease: context.pace.lease,
        }
    }

    pub(crate) async fn hosts_pass(&self) {
        for claim in self
            .tenancy
            .store()
            .claim_hosts(self.claim())
            .await
            .unwrap()
        {
            host::pass(self.tenancy.context(), &claim).await.unwrap();
        }
    }

    /// Passes over everything that is due now.
    pub(crate) async fn pass(&self) {
        for claim in self
            .tenancy
            .store()
            .claim_tenants(self.claim())
            .await
            .unwrap()
        {
            execute::pass(self.tenancy.context(), &claim, self.clock.now(), &|| false)
                .await
                .unwrap();
        }
    }

    /// Passes, and moves the clock by `step` between passes, until `done` or `passes` are over.
    pub(crate) async fn until(
        &self,
        passes: usize,
        step: Duration,
        done: impl Fn(&[Tenant]) -> bool,
    ) -> Vec<Tenant> {
        let mut tenants = Vec::new();
        for _ in 0..passes {
            self.hosts_pass().await;
            self.pass().await;
            tenants = self.tenancy.store().list(None, 100).await.unwrap().tenants;
            if done(&tenants) {
                break;
            }
            self.clock.advance(step);
        }
        tenants
    }
}

/// A server on these, whose instances are made from `image`.
pub(crate) fn tenancy(
    clock: &ManualClock,
    backend: &MemoryBackend,
    store: Arc<dyn TenantStore>,
    image: &str,
) -> Tenancy {
    Tenancy::builder()
        .backend(Arc::new(backend.clone()))
        .probe(Arc::new(backend.clone()))
        .store(store)
        .clock(Arc::new(clock.clone()))
        .entropy(Arc::new(SeededEntropy::new(1)))
        .deployment(DeploymentId::new("d1").unwrap())
        .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
        .image(image, Bytes::gib(1))
        .build()
        .unwrap()
}
