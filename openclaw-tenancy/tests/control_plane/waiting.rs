//! Who waits for an instance is told: by hints within one process, by looking now and then between two.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::{AccessStore as _, Account};
use openclaw_tenancy::clock::{Clock as _, SystemClock, SystemEntropy};
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{MemoryAccess, MemoryBackend, MemoryStore};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::reconcile::Pace;
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::Power;
use openclaw_tenancy::{CreateRequest, Tenancy, TenancyError, TenantView};
use tokio::sync::oneshot;

const IMAGE: &str = "openclaw/openclaw:test";
/// Only who is never told runs into this.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two processes over one store and one engine, which look at the store by themselves every `poll`.
fn processes(poll: Duration) -> [Tenancy; 2] {
    let deployment = DeploymentId::new("d1").unwrap();
    let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [1; 32]));
    let backend = MemoryBackend::new(keys, Arc::new(SystemClock))
        .with_host(HostId::new("h1").unwrap(), IMAGE);
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    [(); 2].map(|()| {
        Tenancy::builder()
            .backend(Arc::new(backend.clone()))
            .probe(Arc::new(backend.clone()))
            .store(Arc::clone(&store) as _)
            .deployment(deployment.clone())
            .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
            .image(IMAGE, Bytes::gib(1))
            .pace(Pace {
                poll,
                ..Pace::default()
            })
            .build()
            .unwrap()
    })
}

async fn account() -> Account {
    let identity = Identity::new(Subject::new("test", "ada"));
    let id = AccountId::generate(&SystemClock, &SystemEntropy);
    let access = MemoryAccess::new();
    access
        .sign_in(identity, id, SystemClock.now())
        .await
        .unwrap()
}

async fn until(
    tenancy: &Tenancy,
    account: &Account,
    so: impl FnMut(&TenantView) -> bool + Send,
) -> Result<TenantView, TenancyError> {
    tokio::time::timeout(PATIENCE, tenancy.wait_until(account.id, so))
        .await
        .unwrap()
}

/// Runs `by`, and asks, waits and deletes at `of`. Nobody has made the hosts known by hand.
async fn a_life(by: Tenancy, of: &Tenancy) {
    let (stop, stopped) = oneshot::channel::<()>();
    let runner = tokio::spawn(async move {
        let shutdown = async {
            let _sender_gone = stopped.await;
        };
        by.run(shutdown).await;
    });
    let account = account().await;
    let request = CreateRequest::default();
    of.create(&account, request, None).await.unwrap();
    let runs = |view: &TenantView| view.status.phase == Phase::Running;
    until(of, &account, runs).await.unwrap();
    of.set_power(account.id, Power::Deleted).await.unwrap();
    let gone = until(of, &account, |_| false).await;
    assert!(matches!(gone, Err(TenancyError::NoTenant)), "{gone:?}");
    stop.send(()).unwrap();
    runner.await.unwrap();
}

#[tokio::test]
async fn in_one_process_every_change_is_told() {
    // Nothing is looked at by the clock: each hint that is missing is waited for in vain.
    let [one, _] = processes(Duration::from_secs(3600));
    a_life(one.clone(), &one).await;
}

#[tokio::test]
async fn what_another_process_does_is_seen_as_well() {
    let [one, other] = processes(Duration::from_millis(20));
    a_life(one, &other).await;
}
