//! Many at once, in memory: a thousand tenants are asked for, run, and are gone again, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openclaw_tenancy::access::{AccessStore as _, Account};
use openclaw_tenancy::clock::{Clock as _, SystemClock, SystemEntropy};
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{MemoryAccess, MemoryBackend, MemoryStore};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::store::{Change, TenantStore as _};
use openclaw_tenancy::tenant::Tenant;
use openclaw_tenancy::{CreateRequest, Power, Tenancy};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const IMAGE: &str = "openclaw/openclaw:test";
const TENANTS: usize = 1000;
const HOSTS: usize = 10;
/// Only what will never come to its end runs into this.
const PATIENCE: Duration = Duration::from_secs(120);

fn deployment() -> DeploymentId {
    DeploymentId::new("d1").unwrap()
}

/// Engines with room for all of them together.
fn engines() -> MemoryBackend {
    let keys = Arc::new(LabelKeys::new(deployment(), "k1", [1; 32]));
    let mut backend = MemoryBackend::new(keys, Arc::new(SystemClock));
    for n in 0..HOSTS {
        let host = HostId::new(format!("h{n}")).unwrap();
        backend = backend.with_host(host.clone(), IMAGE);
        backend.set_facts(&host, |facts| {
            facts.cpu = MilliCpus(32_000);
            facts.memory = Bytes::gib(160);
        });
    }
    backend
}

fn tenancy(backend: &MemoryBackend, store: &Arc<MemoryStore>) -> Tenancy {
    Tenancy::builder()
        .backend(Arc::new(backend.clone()))
        .probe(Arc::new(backend.clone()))
        .store(Arc::clone(store) as _)
        .deployment(deployment())
        .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
        .image(IMAGE, Bytes::gib(1))
        .build()
        .unwrap()
}

async fn account(access: &MemoryAccess, n: usize) -> Account {
    let identity = Identity::new(Subject::new("test", n.to_string()));
    let id = AccountId::generate(&SystemClock, &SystemEntropy);
    let signed_in = access.sign_in(identity, id, SystemClock.now()).await;
    signed_in.unwrap()
}

/// Every tenant, once they are as `so` says.
async fn until(
    store: &MemoryStore,
    what: &str,
    so: impl Fn(&[Tenant]) -> bool + Sync,
) -> Vec<Tenant> {
    let look = async {
        loop {
            let limit = u32::try_from(TENANTS).unwrap() + 1;
            let tenants = store.list(None, limit).await.unwrap().tenants;
            if so(&tenants) {
                return tenants;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, look).await.expect(what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tenants_come_and_go_each_once() {
    let (backend, access) = (engines(), MemoryAccess::new());
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    // Two replicas share the work.
    let replicas = [tenancy(&backend, &store), tenancy(&backend, &store)];
    let mut stops = Vec::new();
    let mut running = JoinSet::new();
    for replica in replicas.clone() {
        let (stop, stopped) = oneshot::channel::<()>();
        stops.push(stop);
        running.spawn(async move {
            let shutdown = async {
                let _sender_gone = stopped.await;
            };
            replica.run(shutdown).await;
        });
    }

    let began = Instant::now();
    let mut creating = JoinSet::new();
    for n in 0..TENANTS {
        let (replica, account) = (replicas[n % 2].clone(), account(&access, n).await);
        creating.spawn(async move {
            let made = replica.create(&account, CreateRequest::default(), None);
            made.await.unwrap();
        });
    }
    creating.join_all().await;
    let asked = began.elapsed();
    let deadlines = *replicas[0].deadlines();
    let all_run = |tenants: &[Tenant]| {
        let runs = |tenant: &Tenant| status(tenant, &deadlines).phase == Phase::Running;
        tenants.len() == TENANTS && tenants.iter().all(runs)
    };
    let tenants = until(&store, "all run", all_run).await;
    println!(
        "{TENANTS} asked for after {asked:.2?}, running after {:.2?}",
        began.elapsed()
    );

    let mut processes = BTreeMap::new();
    for process in backend.processes() {
        *processes.entry(process.tenant).or_insert(0) += 1;
    }
    let once = tenants.iter().map(|tenant| (tenant.id, 1)).collect();
    assert_eq!(processes, once, "one process each");
    assert_eq!(backend.most_writers(), 1);
    let places = tenants.iter().map(|tenant| {
        let location = tenant.observed.location().unwrap();
        (location.host.clone(), location.subnet)
    });
    assert_eq!(places.collect::<BTreeSet<_>>().len(), TENANTS);

    let began = Instant::now();
    for tenant in &tenants {
        let change = Change::Power(Power::Deleted);
        replicas[0].change(tenant.id, change).await.unwrap();
    }
    until(&store, "all are gone", <[Tenant]>::is_empty).await;
    println!("gone {:.2?} after they were to go", began.elapsed());
    assert!(backend.processes().is_empty());
    for n in 0..HOSTS {
        let host = HostId::new(format!("h{n}")).unwrap();
        let left = backend.names(&host);
        assert_eq!(left.len(), 1, "the host's marker alone: {left:?}");
    }
    drop(stops);
    timeout(PATIENCE, running.join_all())
        .await
        .expect("both end");
}
