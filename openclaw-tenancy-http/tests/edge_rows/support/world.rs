//! A store with tenants, an edge that follows it, and browsers that are signed in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use base64::Engine as _;
use ipnet::Ipv4Net;
use openclaw_tenancy::access::{AccessStore, Grant, GrantKind, SecretHash};
use openclaw_tenancy::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use openclaw_tenancy::container::{EngineId, Image, instance_address};
use openclaw_tenancy::id::{AccountId, Generation, HostId, Slug, TenantId, WorkerId};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::memory::{Faults, Faulty, MemoryAccess, MemoryStore};
use openclaw_tenancy::plan::{Limits, PlanName};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::store::rules::nth_subnet;
use openclaw_tenancy::store::{Change, ClaimRequest, Settlement, TenantStore};
use openclaw_tenancy::tenant::{
    Certainty, ContainerRecord, Desired, Location, NewTenant, Observed, Power, Settings,
};
use openclaw_tenancy_http::edge::{Edge, EdgeConfig, EdgePorts};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::{Answer, get};

/// Each test has loopback addresses of its own: a `/24` that no other test of this or another process uses.
static NEXT: AtomicU8 = AtomicU8::new(0);

pub(crate) struct World {
    pub(crate) edge: Edge,
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<dyn TenantStore>,
    pub(crate) access: Arc<dyn AccessStore>,
    pool: Ipv4Net,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) serving: JoinHandle<std::io::Result<()>>,
}

/// A tenant of the world.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) slug: String,
    pub(crate) owner: AccountId,
    subnet: Ipv4Net,
}

impl Tenant {
    /// The header lines of a browser that is signed in.
    pub(crate) fn host(&self) -> String {
        format!("Host: {}.inst.example:8080", self.slug)
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}.inst.example:8080", self.slug)
    }

    /// Where its instance is to listen.
    pub(crate) fn ip(&self) -> Ipv4Addr {
        instance_address(self.subnet)
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}, |store, access| (store, access)).await
    }

    /// A world with another configuration or with other stores around ours.
    pub(crate) async fn with(
        configure: impl FnOnce(&mut EdgeConfig),
        wrap: impl FnOnce(
            Arc<dyn TenantStore>,
            Arc<dyn AccessStore>,
        ) -> (Arc<dyn TenantStore>, Arc<dyn AccessStore>),
    ) -> Self {
        let memory = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        let (store, access) = wrap(memory, Arc::new(MemoryAccess::new()));
        let second = 64 + u8::try_from(std::process::id() % 128).unwrap();
        let third = NEXT.fetch_add(1, Ordering::SeqCst);
        let pool = Ipv4Net::new(Ipv4Addr::new(127, second, third, 0), 24).unwrap();
        Self::on(store, access, pool, configure).await
    }

    /// A world whose edge's calls of the store of tenants may meet faults.
    pub(crate) async fn with_faults(faults: &Faults) -> Self {
        let faulty = |store, access| (Arc::new(Faulty::new(store, faults.clone())) as _, access);
        Self::with(|_| {}, faulty).await
    }

    /// Another edge on the stores of `world`.
    pub(crate) async fn over(world: &Self) -> Self {
        Self::on(
            Arc::clone(&world.store),
            Arc::clone(&world.access),
            world.pool,
            |_| {},
        )
        .await
    }

    async fn on(
        store: Arc<dyn TenantStore>,
        access: Arc<dyn AccessStore>,
        pool: Ipv4Net,
        configure: impl FnOnce(&mut EdgeConfig),
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut config = EdgeConfig::new(
            "http://console.example:3000".parse().unwrap(),
            OriginTemplate::new("http://{slug}.inst.example:8080").unwrap(),
        );
        configure(&mut config);
        let ports = EdgePorts {
            store: Arc::clone(&store),
            access: Arc::clone(&access),
            clock,
            entropy: Arc::new(SystemEntropy),
        };
        let edge = Edge::new(config, ports).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn({
            let edge = edge.clone();
            async move {
                edge.serve(listener, async {
                    let _ = stopped.await;
                })
                .await
            }
        });
        edge.reached(0).await;
        Self {
            edge,
            address,
            store,
            access,
            pool,
            stop: Some(stop),
            serving,
        }
    }

    /// Asks the edge to end.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
    }

    /// The `n`th subnet of this world.
    pub(crate) fn subnet(&self, n: u32) -> Ipv4Net {
        nth_subnet(self.pool, n).unwrap()
    }

    /// A tenant that has been asked for and is nowhere yet. Its subnet is to be the `n`th.
    pub(crate) async fn queued(&self, slug: &str, n: u32) -> Tenant {
        let owner = AccountId::generate(&SystemClock, &SystemEntropy);
        let id = TenantId::generate(&SystemClock, &SystemEntropy);
        let tenant = NewTenant {
            id,
            slug: Slug::try_from(slug.to_owned()).unwrap(),
            owner,
            settings: Settings::default(),
            desired: Desired {
                power: Power::Running,
                plan: PlanName::new("basic").unwrap(),
                limits: limits(),
                image: Image {
                    reference: "test".into(),
                    digest: None,
                },
                restart_epoch: 0,
            },
            created_at: SystemClock.now(),
            seats: None,
            idempotency: None,
        };
        self.store.create(tenant).await.unwrap();
        self.followed().await;
        Tenant {
            id,
            slug: slug.into(),
            owner,
            subnet: self.subnet(n),
        }
    }

    /// A tenant whose instance is ready.
    pub(crate) async fn ready(&self, slug: &str, n: u32) -> Tenant {
        let tenant = self.queued(slug, n).await;
        self.place(&tenant, Generation(1)).await;
        tenant
    }

    /// This making of a tenant's instance is ready.
    pub(crate) async fn place(&self, tenant: &Tenant, generation: Generation) {
        self.observe(tenant, |observed| {
            let now = SystemClock.now();
            let mut container = ContainerRecord::new(EngineId("0".repeat(64)));
            container.started_at = Some(now);
            container.ready_at = Some(now);
            observed.generation = generation;
            observed.locations = vec![Location {
                host: HostId::new("local").unwrap(),
                generation,
                subnet: tenant.subnet,
                granted: limits(),
                subnet_taken: false,
                certainty: Certainty::Known,
                has_data: true,
                container: Some(container),
            }];
        })
        .await;
    }

    /// A tenant that is being deleted is gone.
    pub(crate) async fn gone(&self, tenant: &Tenant) {
        self.settle(tenant, |settlement| {
            settlement.observed.locations.clear();
            settlement.gone = true;
        })
        .await;
        self.followed().await;
    }

    /// Writes what a worker saw, as a worker does, and waits until the edge has heard of it.
    pub(crate) async fn observe(&self, tenant: &Tenant, change: impl FnOnce(&mut Observed)) {
        self.observe_unheard(tenant, change).await;
        self.followed().await;
    }

    /// Writes what a worker saw, and tells the edge nothing.
    pub(crate) async fn observe_unheard(
        &self,
        tenant: &Tenant,
        change: impl FnOnce(&mut Observed),
    ) {
        self.settle(tenant, |settlement| change(&mut settlement.observed))
            .await;
    }

    /// Writes whether an instance is ready, and tells the edge nothing.
    pub(crate) async fn set_ready_unheard(&self, tenant: &Tenant, ready: bool) {
        self.observe_unheard(tenant, |observed| {
            let container = observed.locations[0].container.as_mut().unwrap();
            container.ready_at = container.started_at.filter(|_| ready);
        })
        .await;
    }

    async fn settle(&self, tenant: &Tenant, change: impl FnOnce(&mut Settlement)) {
        let mut change = Some(change);
        let same = Change::Settings(Settings::default());
        // Refused while it is being deleted; then it is due anyway.
        let _ = self
            .store
            .change(tenant.id, None, same, SystemClock.now())
            .await;
        while change.is_some() {
            let claims = self
                .store
                .claim_tenants(ClaimRequest {
                    worker: WorkerId::new("test").unwrap(),
                    limit: 100,
                    lease: Duration::from_secs(60),
                })
                .await
                .unwrap();
            for claim in claims {
                let mut settlement = Settlement {
                    observed: claim.item.observed.clone(),
                    pin: None,
                    next_due: Duration::from_secs(3600),
                    events: Vec::new(),
                    gone: false,
                };
                if claim.item.id == tenant.id
                    && let Some(change) = change.take()
                {
                    change(&mut settlement);
                }
                self.store
                    .settle(claim.item.id, claim.fence, settlement, SystemClock.now())
                    .await
                    .unwrap();
            }
        }
    }

    /// Changes what is wanted, and waits until the edge has heard of it.
    pub(crate) async fn power(&self, tenant: &Tenant, power: Power) {
        self.store
            .change(tenant.id, None, Change::Power(power), SystemClock.now())
            .await
            .unwrap();
        self.followed().await;
    }

    /// Waits until the edge shows what the store says.
    async fn followed(&self) {
        self.edge.hint();
        let latest = self.store.change_seq().await.unwrap();
        self.edge.reached(latest).await;
    }

    /// The `Cookie` line of the owner's browser, signed in through the whole hand-over.
    pub(crate) async fn sign_in(&self, tenant: &Tenant) -> String {
        let (code, pre) = self.hand_over(tenant, |_| {}).await;
        let answer = self.redeem(tenant, &code, &pre, "/").await;
        let session = answer
            .cookie("__Host-oct-instance")
            .unwrap_or_else(|| panic!("no session: {answer:?}"));
        format!("Cookie: __Host-oct-instance={session}")
    }

    pub(crate) async fn redeem(
        &self,
        tenant: &Tenant,
        code: &str,
        pre: &str,
        return_to: &str,
    ) -> Answer {
        let path = format!("/__openclaw-tenancy/handover?code={code}&return_to={return_to}");
        get(
            self.address,
            &path,
            &[
                &tenant.host(),
                &format!("Cookie: __Host-oct-pre={pre}"),
                "Accept: text/html",
            ],
        )
        .await
    }

    /// What the console does: a code, and the `pre` cookie that it goes with. `bend` bends the grant.
    pub(crate) async fn hand_over(
        &self,
        tenant: &Tenant,
        bend: impl FnOnce(&mut Grant),
    ) -> (String, String) {
        let begun = get(
            self.address,
            "/deep/link?x=1",
            &[&tenant.host(), "Accept: text/html"],
        )
        .await;
        assert_eq!(begun.status, 303, "{begun:?}");
        let pre = begun.cookie("__Host-oct-pre").unwrap();
        let location: url::Url = begun.header("location").unwrap().parse().unwrap();
        let query: std::collections::HashMap<_, _> = location.query_pairs().into_owned().collect();
        assert_eq!(query["slug"], tenant.slug);
        assert_eq!(
            query["challenge"],
            base64url(&Sha256::digest(pre.as_bytes()))
        );
        let now = SystemClock.now();
        let session = secret();
        self.put(
            GrantKind::Session,
            &session,
            Some(tenant.owner),
            "{}".into(),
            Duration::from_secs(3600),
        )
        .await;
        let code = secret();
        let data = serde_json::json!({
            "tenant": tenant.id,
            "slug": tenant.slug,
            "challenge": query["challenge"],
            "session": hex::encode(SecretHash::of(&session).0),
        });
        let mut grant = Grant {
            kind: GrantKind::HandOver,
            secret: SecretHash::of(&code),
            account: Some(tenant.owner),
            data: data.to_string(),
            created_at: now,
            expires_at: now.plus(Duration::from_secs(60)),
        };
        bend(&mut grant);
        self.access.put_grant(grant).await.unwrap();
        (code, pre)
    }

    pub(crate) async fn put(
        &self,
        kind: GrantKind,
        secret: &str,
        account: Option<AccountId>,
        data: String,
        lasts: Duration,
    ) {
        let now = SystemClock.now();
        let grant = Grant {
            kind,
            secret: SecretHash::of(secret),
            account,
            data,
            created_at: now,
            expires_at: now.plus(lasts),
        };
        self.access.put_grant(grant).await.unwrap();
    }

    /// Signs the account out everywhere, as the console does.
    pub(crate) async fn sign_out(&self, account: AccountId) {
        for kind in [
            GrantKind::Session,
            GrantKind::HandOver,
            GrantKind::InstanceSession,
        ] {
            self.access.revoke_grants(kind, account).await.unwrap();
        }
    }
}

fn limits() -> Limits {
    Limits {
        cpu: MilliCpus(100),
        memory: Bytes::mib(64),
        swap: Bytes(0),
        storage: Bytes::mib(64),
        pids: 16,
    }
}

/// 256 random bits in base64url.
pub(crate) fn secret() -> String {
    let mut bytes = [0; 32];
    SystemEntropy.fill(&mut bytes);
    base64url(&bytes)
}

fn base64url(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
