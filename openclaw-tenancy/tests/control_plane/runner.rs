//! Many passes at once: bounded, never two of one tenant, and all settled when it is told to stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::access::{AccessStore as _, Account};
use openclaw_tenancy::clock::{Clock as _, SystemClock, SystemEntropy};
use openclaw_tenancy::host::HostState;
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{Fault, Faults, Faulty, MemoryAccess, MemoryBackend, MemoryStore};
use openclaw_tenancy::probe::{InstanceProbe, Readiness};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::reconcile::Pace;
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::tenant::{Certainty, Tenant};
use openclaw_tenancy::{CreateRequest, Tenancy};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

const IMAGE: &str = "openclaw/openclaw:test";
const CONCURRENCY: usize = 2;
/// Only a runner that will never come to it runs into this.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers "started" to whom it lets through, and knows who waits.
#[derive(Debug)]
struct Gate {
    through: Semaphore,
    waiting: Mutex<BTreeMap<String, usize>>,
    most: Mutex<usize>,
}

impl Gate {
    fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().values().sum()
    }
}

#[async_trait]
impl InstanceProbe for Gate {
    async fn probe(&self, upstream: &Upstream) -> Readiness {
        let who = format!("{upstream:?}");
        {
            let mut waiting = self.waiting.lock().unwrap();
            let of_it = waiting.entry(who.clone()).or_default();
            *of_it += 1;
            assert_eq!(*of_it, 1, "two passes over one tenant at once");
            let mut most = self.most.lock().unwrap();
            *most = (*most).max(waiting.values().sum());
        }
        self.through.acquire().await.unwrap().forget();
        self.waiting.lock().unwrap().remove(&who);
        Readiness::Started
    }
}

struct World {
    tenancy: Tenancy,
    gate: Arc<Gate>,
    access: MemoryAccess,
    faults: Faults,
}

impl World {
    async fn new() -> Self {
        let deployment = DeploymentId::new("d1").unwrap();
        let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [1; 32]));
        let backend = MemoryBackend::new(keys, Arc::new(SystemClock))
            .with_host(HostId::new("h1").unwrap(), IMAGE);
        let gate = Arc::new(Gate {
            through: Semaphore::new(0),
            waiting: Mutex::default(),
            most: Mutex::default(),
        });
        let faults = Faults::new(Arc::new(SystemClock));
        let tenancy = Tenancy::builder()
            .backend(Arc::new(Faulty::new(Arc::new(backend), faults.clone())))
            .probe(Arc::clone(&gate) as _)
            .store(Arc::new(MemoryStore::new(Arc::new(SystemClock))))
            .deployment(deployment)
            .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
            .image(IMAGE, Bytes::gib(1))
            .pace(Pace {
                concurrency: CONCURRENCY,
                // A call that hangs outlasts the test.
                call: PATIENCE * 4,
                lease: PATIENCE * 5,
                ..Pace::default()
            })
            .build()
            .unwrap();
        tenancy.register_hosts().await.unwrap();
        Self {
            tenancy,
            gate,
            access: MemoryAccess::new(),
            faults,
        }
    }

    async fn account(&self, subject: String) -> Account {
        let identity = Identity {
            who: Subject {
                issuer: "test".to_owned(),
                subject,
            },
            email: None,
            email_verified: false,
            name: None,
            groups: std::collections::BTreeSet::new(),
        };
        let id = AccountId::generate(&SystemClock, &SystemEntropy);
        let now = SystemClock.now();
        self.access.sign_in(identity, id, now).await.unwrap()
    }

    /// Works until what is answered is dropped or sent something.
    fn run(&self) -> (oneshot::Sender<()>, JoinHandle<()>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let tenancy = self.tenancy.clone();
        let runner = tokio::spawn(async move {
            let shutdown = async {
                let _sender_gone = stopped.await;
            };
            tenancy.run(shutdown).await;
        });
        (stop, runner)
    }

    async fn rows(&self) -> Vec<Tenant> {
        let page = self.tenancy.store().list(None, 100).await;
        page.unwrap().tenants
    }

    async fn running(&self) -> usize {
        let deadlines = self.tenancy.deadlines();
        let rows = self.rows().await;
        let runs = |row: &&Tenant| status(row, deadlines).phase == Phase::Running;
        rows.iter().filter(runs).count()
    }

    /// Waits for something that the runner comes to by itself.
    #[expect(clippy::future_not_send, reason = "the test runs on one thread")]
    async fn until(&self, what: &str, so: impl AsyncFn(&Self) -> bool) {
        let waiting = async {
            while !so(self).await {
                tokio::task::yield_now().await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(came.is_ok(), "never: {what}");
    }
}

#[tokio::test]
async fn passes_are_bounded_never_two_of_one_tenant_and_settled_at_the_end() {
    let world = World::new().await;
    let (stop, runner) = world.run();
    for n in 0..6 {
        let account = world.account(n.to_string()).await;
        let made = world
            .tenancy
            .create(&account, CreateRequest::default(), None);
        made.await.unwrap();
    }
    world
        .until("as many passes as may be", async |w| {
            w.gate.waiting() == CONCURRENCY
        })
        .await;
    // One is let through at a time, and another comes in its place.
    for ready in 1..=4 {
        world.gate.through.add_permits(1);
        world
            .until("the next is ready", async |w| {
                w.running().await == ready && w.gate.waiting() == CONCURRENCY
            })
            .await;
    }
    assert_eq!(*world.gate.most.lock().unwrap(), CONCURRENCY);

    // Told to stop in the middle of two passes, it lets both come to their next step and settle.
    stop.send(()).unwrap();
    tokio::task::yield_now().await;
    assert!(!runner.is_finished(), "two passes are under way");
    world.gate.through.add_permits(2);
    tokio::time::timeout(PATIENCE, runner)
        .await
        .unwrap()
        .unwrap();
    for row in world.rows().await {
        let location = row.observed.location().unwrap();
        assert_eq!(location.certainty, Certainty::Known, "{row:?}");
        assert!(location.container.as_ref().unwrap().ready_at.is_some());
    }
    assert_eq!(*world.gate.most.lock().unwrap(), CONCURRENCY);
}

/// Each look at a silent host lasts as long as a call may: however many there are, tenants go on.
#[tokio::test]
async fn hosts_that_are_silent_keep_no_tenant_waiting() {
    let world = World::new().await;
    let (stop, runner) = world.run();
    let ready = async |world: &World| {
        let hosts = world.tenancy.hosts().await.unwrap();
        hosts[0].state == HostState::Ready
    };
    world.until("the host is ready", ready).await;
    world.faults.trace();
    for n in 0..100 {
        world.faults.next("backend.host", Some(Fault::HangBefore));
        let host = HostId::new(format!("silent-{n}")).unwrap();
        let put = world.tenancy.store().put_host(host, BTreeMap::new());
        put.await.unwrap();
    }
    let asked = async |world: &World| {
        let traced = world.faults.traced();
        traced.iter().filter(|call| **call == "host").count() >= 50
    };
    world.until("many are looked at", asked).await;
    let account = world.account("ada".to_owned()).await;
    let made = world
        .tenancy
        .create(&account, CreateRequest::default(), None);
    made.await.unwrap();
    world.gate.through.add_permits(1);
    world
        .until("it runs", async |world| world.running().await == 1)
        .await;
    drop(stop);
    runner.abort();
}
