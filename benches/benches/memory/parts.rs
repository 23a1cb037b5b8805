//! The server's parts in one process, over engines in memory.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{MemoryAccess, MemoryBackend, MemoryStore};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::store::TenantStore;
use openclaw_tenancy::{CreateRequest, Tenancy};
use openclaw_tenancy_http::api::{self, ApiState};
use openclaw_tenancy_http::edge::{Edge, EdgeConfig, EdgePorts};
use openclaw_tenancy_http::identity::jwt::{OwnTokens, TokenSecret};
use openclaw_tenancy_http::identity::local::LocalAccounts;
use openclaw_tenancy_postgres::SqliteStore;
use tokio::net::TcpListener;

/// What is said once every tenant runs.
pub(crate) const READY: &str = "all run";

const IMAGE: &str = "openclaw/openclaw:2026.9.6";
const ISSUER: &str = "https://sso.example.org";
/// So many instances of the Basic plan fit on a host of 8 CPUs.
const ON_A_HOST: u64 = 32;

/// Is the parts, with `tenants` running ones, until it is ended; `store` is `memory` or `sqlite:FILE`.
pub(crate) fn serve(store: &str, tenants: u64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let Some(file) = store.strip_prefix("sqlite:") else {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let store = Arc::new(MemoryStore::new(clock));
            return run(store, Arc::new(MemoryAccess::new()), tenants).await;
        };
        let store = Arc::new(SqliteStore::open(file).await?);
        store.migrate().await?;
        run(Arc::clone(&store) as _, store, tenants).await
    })
}

async fn run(
    store: Arc<dyn TenantStore>,
    access: Arc<dyn AccessStore>,
    tenants: u64,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let deployment = DeploymentId::new("bench")?;
    let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [7; 32]));
    let mut engines = MemoryBackend::new(keys, Arc::clone(&clock));
    for host in 0..tenants.div_ceil(ON_A_HOST).max(1) {
        engines = engines.with_host(HostId::new(format!("h{host}"))?, IMAGE);
    }
    let origins = OriginTemplate::new("http://{slug}.localhost:8080")?;
    let tenancy = Tenancy::builder()
        .backend(Arc::new(engines.clone()))
        .probe(Arc::new(engines))
        .store(Arc::clone(&store))
        .deployment(deployment)
        .origins(origins.clone())
        .image(IMAGE, Bytes::gib(1))
        .build()?;
    tenancy.register_hosts().await?;

    let secret = TokenSecret::new("3f0c9a71d2b84e65a7190c5be2d84f36".into())?;
    let own = OwnTokens::new(
        "urn:bench",
        &secret,
        Arc::clone(&clock),
        Arc::clone(&entropy),
    );
    let local = LocalAccounts::new(
        Arc::clone(&access),
        Arc::clone(&clock),
        Arc::clone(&entropy),
    )?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let public_url: String = format!("http://localhost:{}", listener.local_addr()?.port());
    let state = ApiState::builder(
        tenancy.clone(),
        Arc::clone(&access),
        Arc::new(own),
        public_url.parse()?,
    )
    .local_accounts(Arc::new(local))
    .build()?;
    let app = api::router(state).into_make_service_with_connect_info::<SocketAddr>();
    let ports = EdgePorts {
        store,
        access: Arc::clone(&access),
        clock: Arc::clone(&clock),
        entropy,
    };
    let edge = Edge::new(EdgeConfig::new(public_url.parse()?, origins), ports)?;
    let edge_listener = TcpListener::bind("127.0.0.1:0").await?;

    let say = async {
        fill(&tenancy, &*access, &*clock, tenants).await?;
        edge.reached(0).await;
        println!("{READY}");
        std::io::stdout().flush()?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        served = axum::serve(listener, app) => Ok(served?),
        served = edge.serve(edge_listener, std::future::pending()) => Ok(served?),
        () = tenancy.run(std::future::pending()) => Ok(()),
        said = say => said,
    }
}

/// Signs `tenants` people in, asks for an instance for each, and waits until all run.
async fn fill(
    tenancy: &Tenancy,
    access: &dyn AccessStore,
    clock: &dyn Clock,
    tenants: u64,
) -> anyhow::Result<()> {
    for number in 0..tenants {
        let person = Identity {
            who: Subject {
                issuer: ISSUER.to_owned(),
                subject: format!("person-{number}"),
            },
            email: Some(format!("person-{number}@example.org")),
            email_verified: true,
            name: Some(format!("Person {number}")),
            groups: std::collections::BTreeSet::new(),
        };
        let id = AccountId::generate(clock, &SystemEntropy);
        let account = access.sign_in(person, id, clock.now()).await?;
        let request = CreateRequest {
            plan: Some("basic".to_owned()),
            ..CreateRequest::default()
        };
        tenancy.create(&account, request, None).await?;
    }
    loop {
        let (mut running, mut after) = (0, None);
        loop {
            let (page, next) = tenancy.list(after, 200).await?;
            running += page
                .iter()
                .filter(|view| view.status.phase == Phase::Running)
                .count() as u64;
            after = next;
            if after.is_none() {
                break;
            }
        }
        if running == tenants {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
