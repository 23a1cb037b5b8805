//! A deployment in memory whose ports meet chosen faults, run by two workers of which each may die at a call.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use openclaw_tenancy::access::{Account, Rights};
use openclaw_tenancy::backend::{ContainerBackend as _, Scope};
use openclaw_tenancy::clock::{Clock, ManualClock, SeededEntropy, Timestamp};
use openclaw_tenancy::container::{Inventory, ObjectRef, ObjectSpec, SeenNetwork};
use openclaw_tenancy::event::EventKind;
use openclaw_tenancy::id::{AccountId, DeploymentId, Generation, HostId, TenantId, WorkerId};
use openclaw_tenancy::identity::Subject;
use openclaw_tenancy::instance::{OriginTemplate, Overlay};
use openclaw_tenancy::labels::{LabelKeys, ObjectLabels, Role, object_name};
use openclaw_tenancy::memory::{Faults, Faulty, MemoryBackend, MemoryStore};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::reconcile::{Context, execute, host};
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::store::{ClaimRequest, TenantStore as _};
use openclaw_tenancy::tenancy::Creation;
use openclaw_tenancy::tenant::{Power, Tenant};
use openclaw_tenancy::{CreateRequest, Tenancy, TenancyError};

pub(crate) const IMAGE: &str = "openclaw/openclaw:test";
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// After this a claim of a worker that died is another's.
pub(crate) const LEASE_AND_MORE: Duration = Duration::from_secs(61);

type Work = Pin<Box<dyn Future<Output = ()>>>;

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) faults: Faults,
    pub(crate) backend: MemoryBackend,
    pub(crate) tenancy: Tenancy,
    pub(crate) host: HostId,
    store: Arc<MemoryStore>,
    workers: [Arc<Context>; 2],
    keys: Arc<LabelKeys>,
    rounds: usize,
    asleep: Vec<Work>,
}

impl World {
    /// One host `h1`, looked at once.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let deployment = DeploymentId::new("d1").unwrap();
        let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [1; 32]));
        let host = HostId::new("h1").unwrap();
        let backend = MemoryBackend::new(Arc::clone(&keys), Arc::clone(&shared))
            .with_host(host.clone(), IMAGE);
        let store = Arc::new(MemoryStore::new(Arc::clone(&shared)));
        let faults = Faults::new(Arc::clone(&shared));
        let engines = Arc::new(backend.clone());
        let tenancy = Tenancy::builder()
            .backend(Arc::new(Faulty::new(Arc::clone(&engines), faults.clone())))
            .probe(Arc::new(Faulty::new(engines, faults.clone())))
            .store(Arc::new(Faulty::new(Arc::clone(&store), faults.clone())))
            .clock(shared)
            .entropy(Arc::new(SeededEntropy::new(1)))
            .deployment(deployment)
            .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
            .image(IMAGE, Bytes::gib(1))
            .build()
            .unwrap();
        let workers = ["w1", "w2"].map(|name| {
            let mut context = Context::clone(tenancy.context());
            context.worker = WorkerId::new(name).unwrap();
            Arc::new(context)
        });
        let mut world = Self {
            clock,
            faults,
            backend,
            tenancy,
            host,
            store,
            workers,
            keys,
            rounds: 0,
            asleep: Vec::new(),
        };
        now(world.tenancy.register_hosts()).unwrap().unwrap();
        world.rounds(1, SECOND);
        world
    }

    /// From now on the workers are servers that were started with this overlay.
    pub(crate) fn set_overlay(&mut self, overlay: &Overlay) {
        for worker in &mut self.workers {
            Arc::make_mut(worker).blueprint.overlay = overlay.into();
        }
    }

    /// What the only tenant's instance reads at a path.
    pub(crate) fn file(&self, path: &str) -> String {
        let file = self.backend.file(&self.host, self.rows()[0].id, path);
        String::from_utf8(file.unwrap().content.0).unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn rows(&self) -> Vec<Tenant> {
        let page = now(self.store.list(None, 100)).unwrap();
        page.unwrap().tenants
    }

    /// What the only tenant is doing.
    pub(crate) fn phase(&self) -> Phase {
        status(&self.rows()[0], self.tenancy.deadlines()).phase
    }

    /// Everything of tenants' on the host.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut names = self.backend.names(&self.host);
        names.retain(|name| !name.starts_with("oct-d1-host-"));
        names
    }

    /// A volume of the tenant's data volume's name, with our labels and other options.
    pub(crate) fn sized_volume(&self, tenant: TenantId) -> ObjectRef {
        let generation = Generation::default();
        let name = object_name(self.keys.deployment(), tenant, Role::Data, generation);
        let labels = ObjectLabels {
            role: Role::Data,
            tenant: Some(tenant),
            generation,
            spec: "other".to_owned(),
        };
        let labels = self.keys.sign(&name, &labels);
        self.backend
            .add_foreign(&self.host, Role::Data, &name, &labels)
            .unwrap()
    }

    /// Lets a call land that a worker made which is gone.
    pub(crate) fn lands(&self, spec: &ObjectSpec) {
        let made = now(self.backend.create(&self.host, spec)).unwrap();
        assert!(!made.unwrap().adopted);
    }

    /// What the host has of ours.
    pub(crate) fn inventory(&self) -> Inventory {
        let listed = now(self.backend.list(&self.host, Scope::All)).unwrap();
        listed.unwrap()
    }

    /// Another network of the same name and labels, as engines take one.
    pub(crate) fn lands_beside(&self, network: &SeenNetwork) {
        let labels = self.keys.sign(&network.name, &network.labels);
        let role = Role::Network;
        let added = self
            .backend
            .add_foreign(&self.host, role, &network.name, &labels);
        assert!(added.is_some());
    }

    /// What has happened to the only tenant.
    pub(crate) fn events(&self) -> Vec<EventKind> {
        let listed = now(self.store.events(None, 0, 1000)).unwrap().unwrap();
        listed.into_iter().map(|event| event.event.kind).collect()
    }

    /// Removes an object as a late call does.
    pub(crate) fn removes(&self, object: &ObjectRef) {
        now(self.backend.remove(&self.host, object))
            .unwrap()
            .unwrap();
    }

    /// Asks for an instance; `None` when the server died in it.
    pub(crate) fn create(
        &self,
        who: u64,
        key: Option<&str>,
    ) -> Option<Result<Creation, TenancyError>> {
        let account = self.account(who);
        let key = key.map(str::to_owned);
        let answer = now(self.tenancy.create(&account, CreateRequest::default(), key));
        let died = self.faults.take_hung();
        assert_eq!(died, answer.is_none());
        answer
    }

    pub(crate) fn release_tenant(&self) {
        let id = self.rows()[0].id;
        now(self.tenancy.release(id)).unwrap().unwrap();
    }

    pub(crate) fn release_host(&self) {
        let host = self.host.clone();
        now(self.tenancy.release_host(host)).unwrap().unwrap();
    }

    pub(crate) fn set_power(&self, who: u64, power: Power) {
        let id = self.account(who).id;
        now(self.tenancy.set_power(id, power)).unwrap().unwrap();
    }

    pub(crate) fn restart(&self, who: u64) {
        let id = self.account(who).id;
        now(self.tenancy.restart(id)).unwrap().unwrap();
    }

    /// The same person each time.
    fn account(&self, who: u64) -> Account {
        let born = ManualClock::new(Timestamp::from_seconds(1_790_000_000));
        Account {
            id: AccountId::generate(&born, &SeededEntropy::new(who + 1)),
            who: Subject {
                issuer: "test".to_owned(),
                subject: who.to_string(),
            },
            email: None,
            name: None,
            rights: Rights::default(),
            created_at: born.now(),
        }
    }

    /// Rounds of the two workers in turn: each looks at hosts and tenants that are due, then the clock goes on.
    pub(crate) fn rounds(&mut self, rounds: usize, step: Duration) {
        for _ in 0..rounds {
            let context = Arc::clone(&self.workers[self.rounds % 2]);
            self.rounds += 1;
            self.begin(Box::pin(round(context)));
            self.clock.advance(step);
            for work in std::mem::take(&mut self.asleep) {
                self.begin(work);
            }
        }
    }

    /// Goes on as far as it can. What hangs is a worker that died, and is dropped.
    fn begin(&mut self, mut work: Work) {
        let polled = work.as_mut().poll(&mut Task::from_waker(Waker::noop()));
        if polled.is_pending() && !self.faults.take_hung() {
            self.asleep.push(work);
        }
    }

    /// Rounds of a second until the only tenant's phase is as wanted; the time then.
    pub(crate) fn round_when(&mut self, wanted: impl Fn(&Phase) -> bool) -> Timestamp {
        let mut seen = Vec::new();
        for _ in 0..900 {
            let phase = self.phase();
            if wanted(&phase) {
                return self.now();
            }
            if seen.last() != Some(&phase) {
                seen.push(phase);
            }
            self.rounds(1, SECOND);
        }
        panic!("only {seen:?}")
    }

    /// Until every tenant runs.
    pub(crate) fn until_running(&mut self) {
        for _ in 0..400 {
            let rows = self.rows();
            let running =
                |row: &Tenant| status(row, self.tenancy.deadlines()).phase == Phase::Running;
            if rows.iter().all(running) && self.backend.processes().len() == rows.len() {
                return;
            }
            self.rounds(1, SECOND);
        }
        let phases: BTreeSet<_> = self.rows().iter().map(|row| format!("{row:?}")).collect();
        panic!("not running: {phases:?}")
    }
}

async fn round(context: Arc<Context>) {
    let request = ClaimRequest {
        worker: context.worker.clone(),
        limit: 100,
        lease: context.pace.lease,
    };
    let hosts = context.store.claim_hosts(request.clone()).await;
    for claim in hosts.unwrap_or_default() {
        let _ended = host::pass(&context, &claim).await;
    }
    let asked_at = context.clock.now();
    let tenants = context.store.claim_tenants(request).await;
    for claim in tenants.unwrap_or_default() {
        let _ended = execute::pass(&context, &claim, asked_at, &|| false).await;
    }
}

/// Polls once: in memory a call ends at once, or its caller died in it.
fn now<T>(work: impl Future<Output = T>) -> Option<T> {
    let work = std::pin::pin!(work);
    match work.poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
