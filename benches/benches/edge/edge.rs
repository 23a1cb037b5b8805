//! The edge in a process of its own, so that its CPU time can be told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use benches::process::Process;
use openclaw_tenancy::access::{AccessStore as _, Grant, GrantKind, SecretHash};
use openclaw_tenancy::clock::{Clock, SystemClock, SystemEntropy};
use openclaw_tenancy::container::{EngineId, Image};
use openclaw_tenancy::id::{AccountId, Generation, HostId, Slug, TenantId, WorkerId};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::memory::{MemoryAccess, MemoryStore};
use openclaw_tenancy::plan::{Limits, PlanName};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::store::{ClaimRequest, Settlement, TenantStore};
use openclaw_tenancy::tenant::{
    Certainty, ContainerRecord, Desired, Location, NewTenant, Power, Settings,
};
use openclaw_tenancy_http::edge::{EdgeConfig, EdgePorts};

use crate::instance::SUBNET;

/// Set in the environment of the process that is to be the edge.
pub(crate) const ROLE: &str = "EDGE_BENCH_IS_THE_EDGE";
/// A browser's session: no secret, the bench's alone.
const SESSION: &str = "bench-session-bench-session-bench-session-b";

pub(crate) struct Edge {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Edge {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(ROLE, "1").stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let stdout = process
            .child()
            .stdout
            .take()
            .context("the edge says where it is")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().context("the edge did not start")?;
        Ok(Self { process, address })
    }

    pub(crate) fn request(&self, path: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: bench.localhost:8080\r\nAccept: */*\r\nUser-Agent: bench\r\n\
             Cookie: __Host-oct-instance={SESSION}\r\n\r\n"
        )
    }
}

/// Is the edge, until it is ended.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = MemoryStore::new(Arc::clone(&clock));
        let owner = ready_tenant(&store).await?;
        let access = MemoryAccess::new();
        access.put_grant(owner).await?;
        let config = EdgeConfig::new(
            "http://localhost:3000".parse()?,
            OriginTemplate::new("http://{slug}.localhost:8080")?,
        );
        let ports = EdgePorts {
            store: Arc::new(store),
            access: Arc::new(access),
            clock,
            entropy: Arc::new(SystemEntropy),
        };
        let edge = openclaw_tenancy_http::edge::Edge::new(config, ports)?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let say = async {
            edge.reached(0).await;
            println!("{address}");
            let _ = std::io::stdout().flush();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = edge.serve(listener, std::future::pending()) => Ok(served?),
            () = say => Ok(()),
        }
    })
}

/// A tenant whose instance is ready, and the grant of its owner's session.
async fn ready_tenant(store: &MemoryStore) -> anyhow::Result<Grant> {
    let now = SystemClock.now();
    let limits = Limits {
        cpu: MilliCpus(1000),
        memory: Bytes::gib(1),
        swap: Bytes(0),
        storage: Bytes::gib(1),
        pids: 128,
    };
    let id = TenantId::generate(&SystemClock, &SystemEntropy);
    let owner = AccountId::generate(&SystemClock, &SystemEntropy);
    let tenant = NewTenant {
        id,
        slug: Slug::chosen("bench")?,
        owner,
        settings: Settings::default(),
        desired: Desired {
            power: Power::Running,
            plan: PlanName::new("basic")?,
            limits,
            image: Image {
                reference: "stand-in".into(),
                digest: None,
            },
            restart_epoch: 0,
        },
        created_at: now,
        seats: None,
        idempotency: None,
    };
    store.create(tenant).await?;
    let request = ClaimRequest {
        worker: WorkerId::new("bench")?,
        limit: 1,
        lease: Duration::from_secs(60),
    };
    let claim = store
        .claim_tenants(request)
        .await?
        .pop()
        .context("a tenant that was made is due")?;
    let mut container = ContainerRecord::new(EngineId("0".repeat(64)));
    (container.started_at, container.ready_at) = (Some(now), Some(now));
    let mut observed = claim.item.observed.clone();
    observed.generation = Generation(1);
    observed.locations = vec![Location {
        host: HostId::new("local")?,
        generation: Generation(1),
        subnet: SUBNET.parse()?,
        granted: limits,
        subnet_taken: false,
        certainty: Certainty::Known,
        has_data: true,
        container: Some(container),
    }];
    let settlement = Settlement {
        observed,
        pin: None,
        next_due: Duration::from_secs(3600),
        events: Vec::new(),
        gone: false,
    };
    store.settle(id, claim.fence, settlement, now).await?;
    Ok(Grant {
        kind: GrantKind::InstanceSession,
        secret: SecretHash::of(SESSION),
        account: Some(owner),
        data: format!(r#"{{"tenant":"{id}","generation":1}}"#),
        created_at: now,
        expires_at: now.plus(Duration::from_secs(24 * 3600)),
    })
}
