//! Ours: facade, reconciler, SQLite and the direct backend, as the server puts them together.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use openclaw_tenancy::access::{AccessStore as _, Account};
use openclaw_tenancy::clock::{Clock, SystemClock, SystemEntropy};
use openclaw_tenancy::host::HostState;
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::Power;
use openclaw_tenancy::{CreateRequest, Tenancy, TenancyError};
use openclaw_tenancy_http::edge::HttpProbe;
use openclaw_tenancy_portainer::docker::{DockerBackend, Endpoint};
use openclaw_tenancy_postgres::SqliteStore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{Image, LOOK};

/// A pool that no server's default and no test of ours has.
const SUBNETS: &str = "10.217.40.0/24";

/// The deployment of this run, in the labels of everything it makes.
pub(crate) fn deployment() -> anyhow::Result<DeploymentId> {
    Ok(DeploymentId::new(format!("bench-{}", std::process::id()))?)
}

/// A running stack.
#[derive(Debug)]
pub(crate) struct Stack {
    tenancy: Tenancy,
    account: Account,
    patience: Duration,
    stop: oneshot::Sender<()>,
    reconciler: JoinHandle<()>,
}

/// One turn of ours.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) began: Instant,
    /// From the call of `create` to the phase `running`.
    pub(crate) ready: Duration,
    /// Of which to the container's start, as it is written: to the millisecond.
    pub(crate) started: Duration,
    /// Of which from there to the probe that found it ready, as it is written.
    pub(crate) probed: Duration,
    pub(crate) upstream: Upstream,
}

impl Stack {
    /// Starts one on the engine at `socket`, and waits until it knows its host.
    pub(crate) async fn start(socket: &Path, image: &Image, file: &Path) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let deployment = deployment()?;
        let endpoint = Endpoint::Unix {
            path: socket.to_owned(),
        };
        let backend = DockerBackend::builder(LabelKeys::new(deployment.clone(), "k1", [7; 32]))
            .host(HostId::new("local")?, endpoint)
            .build()?;
        let store = Arc::new(SqliteStore::open(file).await?);
        store.migrate().await?;
        let account = {
            let id = AccountId::generate(&*clock, &SystemEntropy);
            store.sign_in(person(), id, clock.now()).await?
        };
        let tenancy = Tenancy::builder()
            .backend(Arc::new(backend))
            .probe(Arc::new(HttpProbe))
            .store(store)
            .deployment(deployment)
            .origins(OriginTemplate::new("http://{slug}.localhost:8080")?)
            .subnets(SUBNETS.parse()?)
            .image(&image.reference, image.floor)
            .build()?;
        tenancy.register_hosts().await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let reconciler = tokio::spawn({
            let tenancy = tenancy.clone();
            async move {
                let stopped = async {
                    // Either way the bench is ending.
                    let _ = stopped.await;
                };
                tenancy.run(stopped).await;
            }
        });
        let stack = Self {
            tenancy,
            account,
            patience: image.patience,
            stop,
            reconciler,
        };
        stack.until_host().await?;
        Ok(stack)
    }

    /// Waits until the host was looked at, its swap measured.
    async fn until_host(&self) -> anyhow::Result<()> {
        let ready = async {
            loop {
                let hosts = self.tenancy.hosts().await?;
                if hosts.iter().any(|host| host.state == HostState::Ready) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ready)
            .await
            .context("the host is not ready within 60 s")?
    }

    /// Asks for an instance and waits until it runs.
    pub(crate) async fn turn(&self) -> anyhow::Result<Turn> {
        let (began, asked_at) = (Instant::now(), SystemClock.now());
        let request = CreateRequest {
            plan: Some("basic".to_owned()),
            ..CreateRequest::default()
        };
        self.tenancy.create(&self.account, request, None).await?;
        loop {
            let view = self.tenancy.mine(self.account.id).await?;
            if view.status.phase == Phase::Running {
                let ready = began.elapsed();
                let upstream = self.tenancy.route(&view.tenant).upstream;
                let location = view.tenant.observed.location();
                let written = location.and_then(|location| location.container.as_ref());
                let times = written.and_then(|c| c.started_at.zip(c.ready_at));
                let (started_at, ready_at) = times.context("what runs was started")?;
                return Ok(Turn {
                    began,
                    ready,
                    started: started_at.since(asked_at),
                    probed: ready_at.since(started_at),
                    upstream: upstream.context("what runs is routed to")?,
                });
            }
            anyhow::ensure!(
                began.elapsed() < self.patience,
                "not running within {:?}: {:?}",
                self.patience,
                view.status
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Removes the instance and waits until it is gone.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        let id = self.account.id;
        self.tenancy.set_power(id, Power::Deleted).await?;
        let gone = async {
            while !matches!(self.tenancy.mine(id).await, Err(TenancyError::NoTenant)) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), gone)
            .await
            .context("the instance is not gone within 60 s")
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        // The reconciler may have ended by itself only by a panic, which the join tells.
        let _ = self.stop.send(());
        Ok(self.reconciler.await?)
    }
}

fn person() -> Identity {
    Identity {
        who: Subject {
            issuer: "bench".to_owned(),
            subject: "me".to_owned(),
        },
        email: None,
        email_verified: false,
        name: None,
        groups: std::collections::BTreeSet::new(),
    }
}
