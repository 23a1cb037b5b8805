//! An instance on the Docker Engine of this machine, with the state in memory: made, ready, stopped, removed.
//!
//! `cargo run --package examples --example docker_local -- IMAGE [unix:///var/run/docker.sock]`. Without an
//! image it takes `TENANCY_TEST_STAND_IN_IMAGE`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::{Clock, SystemClock, SystemEntropy};
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{MemoryAccess, MemoryStore};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::Power;
use openclaw_tenancy::{CreateRequest, Tenancy, TenancyError, TenantView};
use openclaw_tenancy_http::edge::HttpProbe;
use openclaw_tenancy_portainer::docker::{DockerBackend, Endpoint};

/// Some phases last until a person does something.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments
        .next()
        .or_else(|| std::env::var("TENANCY_TEST_STAND_IN_IMAGE").ok())
        .context("give the image as the first argument")?;
    let endpoint = match arguments
        .next()
        .or_else(|| std::env::var("DOCKER_HOST").ok())
    {
        Some(address) => address.parse()?,
        None => Endpoint::local(),
    };

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let deployment = DeploymentId::new("example-local")?;
    // Keep the key: what was made under another one is foreign, and is never touched.
    let keys = LabelKeys::new(deployment.clone(), "k1", [7; 32]);
    let backend = DockerBackend::builder(keys)
        .host(HostId::new("local")?, endpoint)
        .build()?;
    let tenancy = Tenancy::builder()
        .backend(Arc::new(backend))
        .probe(Arc::new(HttpProbe))
        .store(Arc::new(MemoryStore::new(Arc::clone(&clock))))
        .deployment(deployment)
        .origins(OriginTemplate::new("http://{slug}.localhost:8080")?)
        // A pool of its own, so that it does not meet a server's on the same machine.
        .subnets("10.218.0.0/24".parse()?)
        .image(image, Bytes::mib(16))
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

    let person = Identity::new(Subject::new("example", "me"));
    let id = AccountId::generate(&*clock, &SystemEntropy);
    let account = MemoryAccess::new().sign_in(person, id, clock.now()).await?;
    let request = CreateRequest {
        plan: Some("free".to_owned()),
        ..CreateRequest::default()
    };
    tenancy.create(&account, request, None).await?;
    let view = wait(&tenancy, account.id, Phase::Running).await?;
    let upstream = tenancy.route(&view.tenant).upstream;
    println!("ready at {upstream:?}");

    tenancy.set_power(account.id, Power::Suspended).await?;
    wait(&tenancy, account.id, Phase::Suspended).await?;
    println!("suspended");

    tenancy.set_power(account.id, Power::Deleted).await?;
    let gone = tenancy.wait_until(account.id, |_| false);
    match tokio::time::timeout(PATIENCE, gone).await? {
        Err(TenancyError::NoTenant) => {}
        other => anyhow::bail!("it is still there: {other:?}"),
    }
    println!("gone");
    // The reconciler may have ended by itself only by a panic, which the join tells.
    let _ = stop.send(());
    reconciler.await?;
    Ok(())
}

/// Waits for a phase, and says each one it meets.
async fn wait(tenancy: &Tenancy, account: AccountId, phase: Phase) -> anyhow::Result<TenantView> {
    let mut last = "";
    let waiting = tenancy.wait_until(account, |view| {
        if view.status.phase.name() != last {
            last = view.status.phase.name();
            let message = view.status.message.as_deref().unwrap_or_default();
            println!("  {last} {message}");
        }
        view.status.phase == phase
    });
    let view = tokio::time::timeout(PATIENCE, waiting).await;
    Ok(view.context("not in time")??)
}
