//! The simulated deployment: two replicas of the control plane over two engines.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use openclaw_tenancy::Tenancy;
use openclaw_tenancy::access::{Account, Rights};
use openclaw_tenancy::backend::ContainerBackend;
use openclaw_tenancy::clock::{Clock, ManualClock, SeededEntropy, Timestamp};
use openclaw_tenancy::id::{AccountId, DeploymentId, Generation, HostId, WorkerId};
use openclaw_tenancy::identity::Subject;
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::{LabelKeys, ObjectLabels, Role, object_name};
use openclaw_tenancy::memory::{Faults, Faulty, MemoryBackend, MemoryStore};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::reconcile::plan::{Situation, Step, plan};
use openclaw_tenancy::reconcile::{Context, Pace, Planner, execute, host};
use openclaw_tenancy::store::{ClaimRequest, TenantStore};
use openclaw_tenancy::tenant::Tenant;

use crate::bugs::{Adapter, Bug, BuggyStore};
use crate::scene::{self, Foreign, Scene};

pub(crate) const IMAGE: &str = "openclaw/openclaw:test";

/// In this the clock goes on where something sleeps.
const SECOND: Duration = Duration::from_secs(1);

/// A pass that has not ended: it sleeps, or it hangs for ever and is as good as killed.
pub(crate) type Paused = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// The steps that were planned, while a story is told.
    static TOLD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps planned steps from now on, and gives back what was kept.
pub(crate) fn tell(next: Option<String>) -> Option<String> {
    TOLD.with_borrow_mut(|told| std::mem::replace(told, next))
}

/// Adds a line to a story that is told.
pub(crate) fn say(line: impl FnOnce() -> String) {
    TOLD.with_borrow_mut(|told| {
        if let Some(told) = told {
            told.push_str(&line());
            told.push('\n');
        }
    });
}

/// The product's own plan, told.
fn told_plan(s: &Situation<'_>) -> Step {
    let step = plan(s);
    say(|| format!("  {} {}: {step:?}", s.now, s.tenant.slug));
    step
}

pub(crate) struct World {
    scene: Rc<Scene>,
    pub(crate) clock: ManualClock,
    pub(crate) faults: Faults,
    /// Set, the next create arrives twice.
    pub(crate) twice: Arc<AtomicBool>,
    pub(crate) replicas: [Arc<Context>; 2],
    pub(crate) accounts: Vec<Account>,
    /// Passes of a replica that was paused in mid-step.
    paused: VecDeque<Paused>,
    /// Until then the paused passes do not run at all, whatever becomes due: their process is stopped.
    pub(crate) stopped_until: Timestamp,
}

impl Deref for World {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Drop for World {
    fn drop(&mut self) {
        scene::ends();
    }
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let deployment = DeploymentId::new("d1").unwrap();
        let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [1; 32]));
        let hosts = ["h1", "h2"].map(|host| HostId::new(host).unwrap());
        let mut backend = MemoryBackend::new(Arc::clone(&keys), Arc::clone(&shared));
        for host in &hosts {
            backend = backend.with_host(host.clone(), IMAGE);
            // Two basic instances fit a host, a third does not.
            backend.set_facts(host, |facts| facts.memory = Bytes::mib(3 * 1024 + 512));
        }
        let store = Arc::new(MemoryStore::new(Arc::clone(&shared)));
        let faults = Faults::new(Arc::clone(&shared)).with_look(scene::before);
        let twice = Arc::new(AtomicBool::new(false));
        let inner: Arc<dyn ContainerBackend> = Arc::new(Adapter {
            inner: backend.clone(),
            bug,
            twice: Arc::clone(&twice),
        });
        let inner_store: Arc<dyn TenantStore> = match bug {
            Some(bug) => Arc::new(BuggyStore::new(Arc::clone(&store), bug)),
            None => Arc::clone(&store) as Arc<dyn TenantStore>,
        };
        let tenancy = Tenancy::builder()
            .backend(Arc::new(Faulty::new(inner, faults.clone())))
            .probe(Arc::new(Faulty::new(
                Arc::new(backend.clone()),
                faults.clone(),
            )))
            .store(Arc::new(Faulty::new(inner_store, faults.clone())))
            .clock(shared)
            .entropy(Arc::new(SeededEntropy::new(seed)))
            .deployment(deployment)
            .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
            .image(IMAGE, Bytes::gib(1))
            .pace(Pace {
                // Once in a story: a look that changes nothing, at which nothing that is planted shows.
                swap: Duration::from_secs(365 * 24 * 3600),
                ..Pace::default()
            })
            .build()
            .unwrap();
        let replica = |name: &str| {
            let mut context = Context::clone(tenancy.context());
            context.worker = WorkerId::new(name).unwrap();
            context.planner = bug.map_or(told_plan as Planner, Bug::planner);
            Arc::new(context)
        };
        let replicas = [replica("r1"), replica("r2")];
        let accounts = (0..5).map(|n| account(&clock, n)).collect();
        let foreign = hosts
            .iter()
            .flat_map(|host| plant_foreign(&backend, host, &keys))
            .collect();
        let scene = Rc::new(Scene {
            bug,
            backend,
            store,
            tenancy,
            hosts,
            foreign: RefCell::new(foreign),
            asleep: Cell::default(),
            late: Cell::default(),
            memory: RefCell::default(),
            cached: RefCell::default(),
            since: Cell::default(),
            found: RefCell::default(),
        });
        now(scene.tenancy.register_hosts()).unwrap();
        scene.begins();
        Self {
            scene,
            clock,
            faults,
            twice,
            replicas,
            accounts,
            paused: VecDeque::new(),
            stopped_until: Timestamp::default(),
        }
    }

    /// Puts something of somebody else's under the name that the tenant's next object of this role would have.
    ///
    /// Where an object has the name already, nothing is put.
    pub(crate) fn plant_in_the_way(&self, host: &HostId, tenant: &Tenant, role: Role) {
        let deployment = DeploymentId::new("d1").unwrap();
        let next = Generation(tenant.observed.generation.0 + 1);
        let name = object_name(&deployment, tenant.id, role, next);
        if self.backend.names(host).contains(&name) {
            return;
        }
        say(|| format!("  foreign {name} on {host}"));
        let added = self
            .backend
            .add_foreign(host, role, &name, &BTreeMap::new());
        let object = added.unwrap();
        self.foreign.borrow_mut().push(Foreign {
            host: host.clone(),
            name,
            object,
        });
    }

    fn claim(&self, replica: usize) -> ClaimRequest {
        let context = &self.replicas[replica];
        ClaimRequest {
            worker: context.worker.clone(),
            limit: 4,
            lease: context.pace.lease,
        }
    }

    /// One replica looks at every host that is due.
    pub(crate) fn pass_hosts(&mut self, replica: usize) {
        let context = Arc::clone(&self.replicas[replica]);
        let request = self.claim(replica);
        self.begin(Box::pin(async move {
            for claim in context.store.claim_hosts(request).await.unwrap_or_default() {
                let _ended = host::pass(&context, &claim).await;
            }
        }));
    }

    /// One replica passes over every tenant that is due.
    pub(crate) fn pass_tenants(&mut self, replica: usize) {
        let context = Arc::clone(&self.replicas[replica]);
        let request = self.claim(replica);
        self.begin(Box::pin(async move {
            let asked_at = context.clock.now();
            for claim in context
                .store
                .claim_tenants(request)
                .await
                .unwrap_or_default()
            {
                let _ended = execute::pass(&context, &claim, asked_at, &|| false).await;
            }
        }));
    }

    /// Polls work until it ends, sleeps or hangs. What hangs is a process that was killed: it is dropped there.
    pub(crate) fn begin(&mut self, mut work: Paused) {
        let pending = work
            .as_mut()
            .poll(&mut Task::from_waker(Waker::noop()))
            .is_pending();
        if pending && !self.faults.take_hung() {
            self.paused.push_back(work);
            self.asleep.set(self.asleep.get() + 1);
        }
    }

    /// Moves the clock, and wakes what slept: second by second where something sleeps, so that nothing oversleeps whose
    /// process was not stopped.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.clock.now().plus(by);
        loop {
            let now = self.clock.now();
            let left = end.since(now);
            if left.is_zero() {
                return;
            }
            if self.paused.is_empty() {
                return self.clock.advance(left);
            }
            let stopped = self.stopped_until.since(now);
            if stopped > SECOND {
                self.clock.advance(left.min(stopped.saturating_sub(SECOND)));
                self.late.set(true);
                continue;
            }
            self.clock.advance(left.min(SECOND));
            for _ in 0..self.paused.len() {
                if let Some(work) = self.paused.pop_front() {
                    self.asleep.set(self.paused.len());
                    // The call that it slept in is made now.
                    self.since.set(Some("a sleep"));
                    self.begin(work);
                }
            }
        }
    }
}

fn account(clock: &ManualClock, n: u64) -> Account {
    Account {
        id: AccountId::generate(clock, &SeededEntropy::new(n + 1)),
        who: Subject {
            issuer: "test".to_owned(),
            subject: n.to_string(),
        },
        email: None,
        name: None,
        rights: Rights::default(),
        created_at: clock.now(),
    }
}

/// Objects that look like ours and are not: one of each kind, and a container that runs.
fn plant_foreign(backend: &MemoryBackend, host: &HostId, keys: &LabelKeys) -> Vec<Foreign> {
    let labels = keys.sign(
        "somewhere-else",
        &ObjectLabels {
            role: Role::Instance,
            tenant: None,
            generation: Generation(1),
            spec: "x".to_owned(),
        },
    );
    let add = |role, name: &str| {
        let name = format!("oct-d1-foreign-{name}");
        let object = backend.add_foreign(host, role, &name, &labels).unwrap();
        Foreign {
            host: host.clone(),
            name,
            object,
        }
    };
    let runs = add(Role::Instance, "runs");
    backend.run_foreign(host, &runs.object);
    vec![
        runs,
        add(Role::Instance, "instance"),
        add(Role::Data, "data"),
        add(Role::Network, "network"),
    ]
}

/// Polls a future that must end at once.
pub(crate) fn now<T>(work: impl Future<Output = T>) -> T {
    let work = std::pin::pin!(work);
    match work.poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("the call did not end at once"),
    }
}
