//! A PostgreSQL database of its own for each test.
//!
//! `TENANCY_TEST_POSTGRES_URL` names a server where databases may be made, such as
//! `postgres://postgres@127.0.0.1:5432/postgres`. Without it the tests say that they are skipped; with
//! `TENANCY_TEST_REQUIRE=all` (or a list with `postgres`) that is a failure.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use openclaw_tenancy_postgres::{PoolOptions, PostgresStore};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tokio::sync::OnceCell;

/// Databases of these tests are called so, then the process id, then a number.
const PREFIX: &str = "openclaw_tenancy_test";

/// A migrated database whose clock the test can put forward.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    server: PgConnectOptions,
    url: String,
}

/// Whether `service` must not be skipped.
pub(crate) fn is_required(service: &str) -> bool {
    let required = std::env::var("TENANCY_TEST_REQUIRE").unwrap_or_default();
    required
        .split(',')
        .any(|name| name == "all" || name == service)
}

impl Database {
    /// A fresh database with the tables, or `None`, with a word about it, where there is no server.
    pub(crate) async fn create() -> Option<Self> {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let (server, url) = server()?;
        let template = TEMPLATE.get_or_init(|| template(&server, &url)).await;
        Some(Self::copy(server, &url, template).await)
    }

    /// As [`create`](Self::create), without any table.
    pub(crate) async fn create_empty() -> Option<Self> {
        let (server, url) = server()?;
        Some(Self::copy(server, &url, "template0").await)
    }

    /// Puts the clock forward by which this database has leases.
    pub(crate) async fn put_forward(&self, time: Duration) {
        self.move_clock(i64::try_from(time.as_millis()).unwrap())
            .await;
    }

    /// The same by milliseconds, or back by as many.
    pub(crate) async fn move_clock(&self, millis: i64) {
        let statement = sqlx::query("UPDATE test_clock SET ahead = ahead + $1").bind(millis);
        let mut connection = self.connection().await;
        statement.execute(&mut connection).await.unwrap();
    }

    async fn copy(server: PgConnectOptions, url: &str, template: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}_{}_{number}", std::process::id());
        let mut admin = server.connect().await.expect("the server answers");
        run(
            &mut admin,
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        admin.close().await.expect("the connection ends");
        let url = with_database(url, &name);
        Self { name, server, url }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where its server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = (self.server.get_host(), self.server.get_port());
        let mut addresses = address
            .to_socket_addrs()
            .expect("the server's name resolves");
        addresses.next().expect("the server has an address")
    }

    /// Its URL with another address, such as a proxy's.
    pub(crate) fn url_over(&self, address: SocketAddr) -> String {
        // With the user's password, where the server asks for one.
        let given = std::env::var("TENANCY_TEST_POSTGRES_URL").unwrap_or_default();
        let user = given
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('@'))
            .map_or_else(|| self.server.get_username(), |(user, _)| user);
        format!("postgres://{user}@{address}/{}?sslmode=disable", self.name)
    }

    /// Waits until `condition` holds.
    #[expect(clippy::future_not_send, reason = "a test waits on its own thread")]
    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let waited = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), waited).await;
        in_time.unwrap_or_else(|_| panic!("in time: {what}"));
    }

    /// A store on it: another replica with each call.
    pub(crate) async fn store(&self, options: PoolOptions) -> PostgresStore {
        let store = PostgresStore::connect(&self.url, options).await;
        store.expect("the database answers")
    }

    /// A connection for what the store does not do.
    pub(crate) async fn connection(&self) -> PgConnection {
        let options = self.server.clone().database(&self.name);
        options.connect().await.expect("the database answers")
    }

    /// As [`outcomes`], on a connection of its own.
    pub(crate) async fn outcomes(&self) -> (i64, i64) {
        outcomes(&mut self.connection().await).await
    }

    /// Removes it.
    pub(crate) async fn remove(&self) {
        let mut admin = self.server.connect().await.expect("the server answers");
        run(
            &mut admin,
            format!("DROP DATABASE {} WITH (FORCE)", self.name),
        )
        .await;
    }
}

/// How many writes left that they were committed, and of how many it was settled that nothing comes of them.
pub(crate) async fn outcomes(connection: &mut PgConnection) -> (i64, i64) {
    let counts = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE committed), count(*) FILTER (WHERE NOT committed) \
         FROM outcomes",
    );
    let counts = counts.fetch_one(connection).await;
    counts.expect("the database answers")
}

/// Runs a statement that has a name in it.
pub(crate) async fn run(connection: &mut PgConnection, statement: String) {
    let done = connection.execute(AssertSqlSafe(statement.clone())).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// The server of the tests.
fn server() -> Option<(PgConnectOptions, String)> {
    let Ok(url) = std::env::var("TENANCY_TEST_POSTGRES_URL") else {
        assert!(
            !is_required("postgres"),
            "TENANCY_TEST_POSTGRES_URL must name a PostgreSQL server"
        );
        eprintln!("skipped: TENANCY_TEST_POSTGRES_URL names no PostgreSQL server");
        return None;
    };
    let server = PgConnectOptions::from_str(&url).expect("TENANCY_TEST_POSTGRES_URL is a URL");
    Some((server, url))
}

fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = address.rsplit_once('/').expect("the URL names a database");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{server}/{name}{mark}{query}")
}

/// Makes the database that each test's is copied from.
async fn template(server: &PgConnectOptions, url: &str) -> String {
    let name = format!("{PREFIX}_{}_template", std::process::id());
    let mut admin = server.connect().await.expect("the server answers");
    remove_leftovers(&mut admin).await;
    run(&mut admin, format!("CREATE DATABASE {name}")).await;
    let store = PostgresStore::connect(&with_database(url, &name), PoolOptions::default()).await;
    let store = store.expect("the database answers");
    store.migrate().await.expect("the tables are made");
    store.close().await;

    let mut connection = server
        .clone()
        .database(&name)
        .connect()
        .await
        .expect("the database answers");
    connection
        .execute(
            "CREATE TABLE test_clock (ahead BIGINT NOT NULL); \
             INSERT INTO test_clock VALUES (0); \
             CREATE OR REPLACE FUNCTION tenancy_now() RETURNS BIGINT LANGUAGE sql STABLE AS \
             $$ SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint + ahead FROM test_clock $$",
        )
        .await
        .expect("the clock is replaced");
    connection.close().await.expect("the connection ends");
    name
}

/// Databases of test processes that are gone: a test that fails leaves its own to be looked at.
async fn remove_leftovers(admin: &mut PgConnection) {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)")
            .bind(PREFIX)
            .fetch_all(&mut *admin)
            .await
            .expect("databases are listed");
    for name in names {
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('_').nth(1));
        let alive = process.is_some_and(|id| Path::new("/proc").join(id).exists());
        if !alive {
            run(
                admin,
                format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            )
            .await;
        }
    }
}
