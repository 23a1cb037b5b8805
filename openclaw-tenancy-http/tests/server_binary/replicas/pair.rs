//! Two servers on one PostgreSQL and one engine, and people who may ask either of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_tenancy::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::provider::Provider;
use test_support::proxy::Proxy;
use test_support::services::given;

use crate::docker::Docker;
use crate::instances::Engine;
use crate::server::Server;
use crate::services::{asks, sql};
use crate::support::text;

/// The server that is paused, or killed.
pub(super) const VICTIM: usize = 0;
/// The one that goes on.
pub(super) const OTHER: usize = 1;

/// The audience of people's tokens.
const AUDIENCE: &str = "the API";

/// Two servers of one deployment, each with a folder of its own.
pub(super) struct Pair {
    engine: Engine,
    subnets: &'static str,
    /// A superuser's URL, who makes the database and removes it.
    admin: String,
    database: String,
    url: String,
    dir: TempDir,
    provider: Provider,
    /// The victim's way to the engine.
    pub(super) proxy: Proxy,
    servers: [Option<Server>; 2],
    /// The bearer of each person.
    pub(super) people: Vec<String>,
}

impl Pair {
    /// A database for them and their configuration; neither runs yet. `None` where the test may be skipped.
    pub(super) async fn given(name: &str, subnets: &'static str, people: usize) -> Option<Self> {
        let engine = Engine::given()?;
        let admin = given("postgres", "TENANCY_TEST_POSTGRES_URL")?;
        let database = format!("{name}_{}", std::process::id());
        sql(&admin, &format!("CREATE DATABASE {database}")).await;
        let mut url: url::Url = admin.parse().unwrap();
        url.set_path(&database);
        let now = SystemClock.now().as_seconds();
        let provider = Provider::start(now).await;
        let bearer = |number: usize| {
            let claims = json!({
                "iss": provider.issuer(),
                "sub": format!("person-{number}"),
                "aud": AUDIENCE,
                "iat": now,
                "exp": now + 3600,
            });
            provider.key().token(&json!({ "typ": "at+jwt" }), &claims)
        };
        let proxy = match engine.address.strip_prefix("unix://") {
            Some(path) => Proxy::start_before_socket(Path::new(path)).await,
            None => {
                let address = engine.address.trim_start_matches("tcp://");
                Proxy::start(address.parse().expect("an engine's address")).await
            }
        };
        let pair = Self {
            proxy: proxy.unwrap(),
            people: (0..people).map(bearer).collect(),
            engine,
            subnets,
            admin,
            database,
            url: url.into(),
            dir: tempfile::tempdir().unwrap(),
            provider,
            servers: [None, None],
        };
        for which in [VICTIM, OTHER] {
            std::fs::create_dir(pair.data(which)).unwrap();
            std::fs::write(pair.data(which).join("config.toml"), pair.config()).unwrap();
        }
        Some(pair)
    }

    fn config(&self) -> String {
        let issuer = self.provider.issuer();
        format!(
            r#"
[edge]
# Both answer for one edge, as replicas do.
url_format = "http://{{slug}}.localhost:8080"
[reconcile]
cpu_percent = 4000
[plans.free]
cpu = 0.1
memory = "32 MiB"
swap = "32 MiB"
[[identity.oidc]]
id = "company"
issuer = "{issuer}"
client_id = "tenancy"
client_secret = "of a test"
audience = "{AUDIENCE}"
plain_http_loopback = true
"#
        )
    }

    fn data(&self, which: usize) -> PathBuf {
        self.dir.path().join(which.to_string())
    }

    /// Starts one of them, and waits until it serves.
    pub(super) async fn start(&mut self, which: usize) {
        let mut environment = self.engine.environment(self.subnets).to_vec();
        environment.push(("DATABASE_URL", &self.url));
        let over_the_proxy = format!("tcp://{}", self.proxy.address());
        if which == VICTIM {
            environment[1].1 = &over_the_proxy;
        }
        let server = Server::start(&self.data(which), &environment).await;
        self.servers[which] = Some(server);
    }

    pub(super) fn server(&self, which: usize) -> &Server {
        self.servers[which].as_ref().expect("it was started")
    }

    /// The end of one that was killed.
    pub(super) async fn is_killed(&mut self, which: usize) {
        let server = self.servers[which].take().expect("it was started");
        let (code, log) = server.ended().await;
        assert_eq!(code, None, "{log}");
    }

    /// SIGTERM, which it obeys; its log.
    pub(super) async fn end(&mut self, which: usize) -> String {
        let server = self.servers[which].take().expect("it was started");
        let (code, log) = server.stop().await;
        assert_eq!(code, Some(0), "{log}");
        log
    }

    /// What the engine holds of the deployment.
    pub(super) fn docker(&self) -> Docker {
        Docker::of_server(&self.engine.address, &self.data(VICTIM))
    }

    /// What a person is told of their instance by one of the servers.
    pub(super) async fn mine(&self, which: usize, person: usize) -> (u16, Value) {
        let bearer = &self.people[person];
        self.server(which).get("/api/tenants/me", bearer).await
    }

    /// The workers that hold a claim on a tenant.
    pub(super) async fn workers(&self) -> BTreeSet<String> {
        let rows = self.rows("SELECT DISTINCT worker FROM tenants WHERE worker IS NOT NULL");
        rows.await.lines().map(str::to_owned).collect()
    }

    /// The tenants that a worker holds, each with what is left of its lease.
    pub(super) async fn claims_of(&self, worker: &str) -> BTreeMap<String, Duration> {
        let query = format!(
            "SELECT id, greatest(lease_until - tenancy_now(), 0) FROM tenants WHERE worker = '{worker}'"
        );
        let claim = |row: &str| {
            let (tenant, left) = row.split_once('\t').expect("two columns");
            let left = Duration::from_millis(left.parse().expect("milliseconds"));
            (tenant.to_owned(), left)
        };
        self.rows(&query).await.lines().map(claim).collect()
    }

    async fn rows(&self, query: &str) -> String {
        let asked = asks(&self.url, &format!("COPY ({query}) TO STDOUT")).await;
        assert!(asked.status.success(), "{}", text(&asked.stderr));
        text(&asked.stdout)
    }

    /// Kills what still runs and tells what it logged last: of a test that failed.
    pub(super) async fn last_words(&mut self) -> String {
        let mut said = String::new();
        for which in [VICTIM, OTHER] {
            if let Some(server) = self.servers[which].take() {
                server.signal("KILL").await;
                let (_, log) = server.ended().await;
                let lines: Vec<&str> = log.lines().collect();
                let last = &lines[lines.len().saturating_sub(60)..];
                said += &format!("server {which}:\n{}\n", last.join("\n"));
            }
        }
        said
    }

    /// Removes whatever is left of the deployment, the end of every test.
    pub(super) async fn clear(&self) {
        if self.data(VICTIM).join("deployment").exists() {
            self.docker().clear().await;
        }
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.database);
        sql(&self.admin, &drop).await;
    }
}
