//! The whole control plane in a program of yours, on backends in memory: what a test of your own begins with.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::{Clock, SystemClock, SystemEntropy};
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{MemoryAccess, MemoryBackend, MemoryStore};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::Power;
use openclaw_tenancy::{CreateRequest, Tenancy, TenancyError, TenantView};

/// Some phases last until a person does something.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let deployment = DeploymentId::new("example")?;
    let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [7; 32]));
    let image = "openclaw/openclaw:2026.9.6";
    let engines = MemoryBackend::new(keys, Arc::clone(&clock)).with_host(HostId::new("h1")?, image);
    let tenancy = Tenancy::builder()
        .backend(Arc::new(engines.clone()))
        .probe(Arc::new(engines.clone()))
        .store(Arc::new(MemoryStore::new(Arc::clone(&clock))))
        .deployment(deployment)
        .origins(OriginTemplate::new("http://{slug}.localhost:8080")?)
        .image(image, Bytes::gib(1))
        .build()?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let reconciler = tokio::spawn({
        let tenancy = tenancy.clone();
        async move {
            let stopped = async {
                // Either way the program is ending.
                let _ = stopped.await;
            };
            tenancy.run(stopped).await;
        }
    });

    let ada = Identity {
        email: Some("ada@example.org".to_owned()),
        email_verified: true,
        ..Identity::new(Subject::new("https://sso.example.org", "ada"))
    };
    // Whoever signs in again is the account that was made the first time: keep this store where the tenants are kept,
    // as the stores of openclaw-tenancy-postgres do.
    let id = AccountId::generate(&*clock, &SystemEntropy);
    let account = MemoryAccess::new().sign_in(ada, id, clock.now()).await?;

    let request = CreateRequest {
        plan: Some("basic".to_owned()),
        ..CreateRequest::default()
    };
    let made = tenancy
        .create(&account, request, Some("first".to_owned()))
        .await?;
    println!("asked for {}", made.view.url);
    let told = |view: &TenantView| {
        println!("  {}", view.status.phase.name());
        view.status.phase == Phase::Running
    };
    tokio::time::timeout(PATIENCE, tenancy.wait_until(account.id, told)).await??;

    tenancy.set_power(account.id, Power::Deleted).await?;
    let gone = tenancy.wait_until(account.id, |_| false);
    match tokio::time::timeout(PATIENCE, gone).await? {
        Err(TenancyError::NoTenant) => {}
        other => anyhow::bail!("it is still there: {other:?}"),
    }
    println!("gone; processes left: {}", engines.processes().len());
    // The reconciler may have ended by itself only by a panic, which the join tells.
    let _ = stop.send(());
    reconciler.await?;
    Ok(())
}
