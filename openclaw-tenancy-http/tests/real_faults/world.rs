//! A deployment of a test's own on the real engine.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use ipnet::Ipv4Net;
use openclaw_tenancy::Tenancy;
use openclaw_tenancy::access::{AccessStore as _, Account};
use openclaw_tenancy::clock::{Clock, SystemClock, SystemEntropy};
use openclaw_tenancy::id::{AccountId, DeploymentId, HostId};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::instance::{OriginTemplate, Overlay};
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{MemoryAccess, MemoryStore};
use openclaw_tenancy::plan::{Plan, PlanCatalog};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::reconcile::Pace;
use openclaw_tenancy::status::Deadlines;
use openclaw_tenancy_http::edge::HttpProbe;
use openclaw_tenancy_portainer::docker::{DockerBackend, Endpoint};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::docker::{Docker, Kind};
use crate::given::given;

/// What the product is told, short enough that a test sees the end of each.
pub(crate) const DEADLINES: Deadlines = Deadlines {
    // A start on an engine with others under way is far quicker.
    start: Duration::from_secs(20),
    stop: Duration::from_secs(3),
    provision: Duration::from_secs(60),
};

/// A dead worker's claim is taken over after so long.
const LEASE: Duration = Duration::from_secs(6);

/// Everything of one deployment; the store outlives the servers.
pub(crate) struct World {
    pub(crate) docker: Docker,
    pub(crate) deployment: DeploymentId,
    pub(crate) account: Account,
    endpoint: Endpoint,
    image: String,
    subnets: Ipv4Net,
    store: Arc<MemoryStore>,
}

/// Runs `body` in a world of its own, and leaves nothing of it on the engine, also when it fails.
pub(crate) async fn with_world<F: Future<Output = ()>>(body: impl FnOnce(Arc<World>) -> F) {
    let Some(world) = World::given().await else {
        return;
    };
    let world = Arc::new(world);
    let outcome = AssertUnwindSafe(body(Arc::clone(&world)))
        .catch_unwind()
        .await;
    world.docker.clear().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl World {
    async fn given() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let host = given("docker", "TENANCY_TEST_DOCKER_HOST")?;
        let image = given("docker", "TENANCY_TEST_STAND_IN_IMAGE")?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let deployment = format!("faults-{}-{number}", std::process::id());
        // Other tests on this engine have pools of their own; each test here a `/29` or two of this one's.
        let third = u8::try_from(std::process::id() % 256).unwrap();
        let subnet = [10, 230, third, u8::try_from(number * 16).unwrap()];
        Some(Self {
            docker: Docker::new(&host, &deployment),
            deployment: DeploymentId::new(&deployment).unwrap(),
            account: somebody().await,
            endpoint: host.parse().unwrap(),
            image,
            subnets: Ipv4Net::new_assert(subnet.into(), 28),
            store: Arc::new(MemoryStore::new(Arc::new(SystemClock))),
        })
    }

    /// A server on the store there is: each a worker of its own.
    pub(crate) async fn server(&self, pace: Pace) -> Server {
        self.server_with(pace, Overlay::default()).await
    }

    /// One that was started with this overlay.
    pub(crate) async fn server_with(&self, pace: Pace, overlay: Overlay) -> Server {
        let server = Server::new(self.tenancy_with(pace, overlay));
        server.tenancy.register_hosts().await.unwrap();
        server
    }

    /// Of a server that does not run yet.
    pub(crate) fn tenancy(&self, pace: Pace) -> Tenancy {
        self.tenancy_with(pace, Overlay::default())
    }

    fn tenancy_with(&self, pace: Pace, overlay: Overlay) -> Tenancy {
        let backend = DockerBackend::builder(self.keys())
            .host(HostId::new("local").unwrap(), self.endpoint.clone())
            .build()
            .unwrap();
        Tenancy::builder()
            .backend(Arc::new(backend))
            .probe(Arc::new(HttpProbe))
            .store(Arc::clone(&self.store) as _)
            .deployment(self.deployment.clone())
            .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
            .plans(small_plans())
            .subnets(self.subnets)
            .image(&self.image, Bytes::mib(16))
            .deadlines(DEADLINES)
            .overlay(overlay)
            .pace(pace)
            .build()
            .unwrap()
    }

    /// The keys that the deployment labels with.
    pub(crate) fn keys(&self) -> LabelKeys {
        LabelKeys::new(self.deployment.clone(), "k1", [7; 32])
    }

    /// What the engine holds of the deployment beside the host's marker.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let role = r#"{{.Label "io.openclaw-tenancy.role"}}"#;
        let mut found = Vec::new();
        for kind in [Kind::Container, Kind::Network, Kind::Volume] {
            found.extend(self.docker.list(kind, role).await);
        }
        found.retain(|role| role != "host-marker");
        found
    }
}

/// A pace at which a test sees what the product does in minutes. A call of an engine that other tests keep busy has the
/// time that it has in the product.
pub(crate) fn brisk() -> Pace {
    Pace {
        poll: Duration::from_millis(100),
        watch: Duration::from_millis(200),
        resync: Duration::from_secs(1),
        host: Duration::from_secs(1),
        backoff: Duration::from_millis(500),
        backoff_most: Duration::from_secs(2),
        ..Pace::default()
    }
}

/// The same, for a test in which somebody takes over from the dead.
pub(crate) fn brisk_to_take_over() -> Pace {
    Pace {
        lease: LEASE,
        call: LEASE / 2,
        ..brisk()
    }
}

/// The plans with as little memory as the stand-in needs: what is taken to its end is quickly at its end.
fn small_plans() -> PlanCatalog {
    let small = |plan: &Plan| {
        let mut plan = plan.clone();
        plan.limits.memory = Bytes::mib(32);
        plan.limits.swap = Bytes(0);
        plan
    };
    PlanCatalog::new(PlanCatalog::default().iter().map(small).collect()).unwrap()
}

async fn somebody() -> Account {
    let person = Identity {
        who: Subject {
            issuer: "test".to_owned(),
            subject: "ada".to_owned(),
        },
        email: None,
        email_verified: false,
        name: None,
        groups: std::collections::BTreeSet::new(),
    };
    let id = AccountId::generate(&SystemClock, &SystemEntropy);
    let now = SystemClock.now();
    MemoryAccess::new().sign_in(person, id, now).await.unwrap()
}

/// A server: the facade, with the reconciler running.
pub(crate) struct Server {
    pub(crate) tenancy: Tenancy,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    fn new(tenancy: Tenancy) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tenancy.clone();
        let running = tokio::spawn(async move {
            // Nobody left to say so is as good.
            worker.run(async { _ = stopped.await }).await;
        });
        Self {
            tenancy,
            stop,
            running,
        }
    }

    /// As SIGTERM: every pass settles.
    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("it runs");
        self.running.await.expect("it ended well");
    }

    /// As SIGKILL, as far as the store and the engine can tell: nothing more is written or asked.
    pub(crate) async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.unwrap_err().is_cancelled());
    }
}
