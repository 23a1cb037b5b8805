//! F16: what became of a write whose commit was not answered is asked by the id that it left.

use std::time::Duration;

use openclaw_tenancy::store::{Created, StoreError, TenantStore};
use openclaw_tenancy::tenant::NewTenant;
use openclaw_tenancy_postgres::{PoolOptions, PostgresStore};
use sqlx::{Executor as _, PgConnection};
use test_support::proxy::{Mode, Proxy};
use tokio::task::JoinHandle;

use crate::given::{COMMIT, claim_request, is_unavailable, new_tenant};
use crate::support::database::{Database, run};
use crate::support::server::is_waiting;

/// Longer than any wait here.
const OPTIONS: PoolOptions = PoolOptions {
    max_connections: 2,
    min_connections: 0,
    deadline: Duration::from_secs(30),
};

/// Makes commits wait while [`CLOSED`] holds: `BEFORE` they leave their id, or `AFTER` that.
pub(crate) async fn put_gate(connection: &mut PgConnection, when: &str) {
    let statement = format!(
        "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ \
         BEGIN PERFORM pg_advisory_xact_lock_shared(16); RETURN NEW; END $$; \
         CREATE TRIGGER gate {when} INSERT ON outcomes FOR EACH ROW \
             WHEN (NEW.committed) EXECUTE FUNCTION gate()"
    );
    run(connection, statement).await;
}

/// Closes the gate until its connection ends, or [`OPEN`].
pub(crate) const CLOSED: &str = "SELECT pg_advisory_lock(16)";
const OPEN: &str = "SELECT pg_advisory_unlock(16)";
/// What a commit at the gate waits for, in PostgreSQL's words.
pub(crate) const AT_THE_GATE: &str = "advisory";

/// A create whose commit waits in the server, and whose connection is cut then.
struct CutOff {
    new: NewTenant,
    creating: JoinHandle<Result<Created, StoreError>>,
    /// Who holds the gate.
    holder: PgConnection,
    // The creating goes on over it.
    _proxy: Proxy,
}

impl CutOff {
    async fn at_a_gate(database: &Database, when: &str) -> Self {
        let proxy = Proxy::start(database.address()).await.unwrap();
        let url = database.url_over(proxy.address());
        let store = PostgresStore::connect(&url, OPTIONS).await.unwrap();
        let mut holder = database.connection().await;
        put_gate(&mut holder, when).await;
        holder.execute(CLOSED).await.unwrap();
        let new = new_tenant();
        let creating = tokio::spawn({
            let new = new.clone();
            async move { store.create(new).await }
        });
        assert!(is_waiting(&mut holder, AT_THE_GATE, || creating.is_finished()).await);
        proxy.cut();
        Self {
            new,
            creating,
            holder,
            _proxy: proxy,
        }
    }

    /// Opens the gate: then the create is answered, and there is one of it.
    async fn comes_to_one(mut self, database: &Database) {
        let beside = database.store(OPTIONS).await;
        assert_eq!(beside.get(self.new.id).await.unwrap(), None, "not yet");
        assert!(!self.creating.is_finished(), "nobody can say yet");
        self.holder.execute(OPEN).await.unwrap();
        let answer = self.creating.await.unwrap().unwrap();
        let Created::New(made) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(made.id, self.new.id);
        assert_eq!(beside.list(None, 10).await.unwrap().tenants, [made]);
        assert_eq!(beside.events(None, 0, 10).await.unwrap().len(), 1);
    }
}

/// The server does not notice that nobody listens any more, and goes on: its end is waited for.
#[tokio::test]
async fn f16_a_commit_that_the_server_still_works_on_is_waited_for() {
    let Some(database) = Database::create().await else {
        return;
    };
    let mut cut_off = CutOff::at_a_gate(&database, "AFTER").await;
    let creating = &cut_off.creating;
    let asks = is_waiting(&mut cut_off.holder, "transactionid", || {
        creating.is_finished()
    });
    assert!(asks.await, "the question waits for the commit");
    cut_off.comes_to_one(&database).await;
    assert_eq!(database.outcomes().await, (1, 0), "by the first attempt");
    database.remove().await;
}

/// A commit that has not left its id when the question comes is refused, whenever it goes on.
#[tokio::test]
async fn f16_a_question_shuts_out_the_commit_that_comes_after_it() {
    let Some(database) = Database::create().await else {
        return;
    };
    let cut_off = CutOff::at_a_gate(&database, "BEFORE").await;
    database
        .until("nothing is to come of it", async || {
            database.outcomes().await == (0, 1)
        })
        .await;
    cut_off.comes_to_one(&database).await;
    assert_eq!(database.outcomes().await, (1, 1), "by the second attempt");
    database.remove().await;
}

/// The row of a write that is asked about too late may have gone: its absence says nothing then.
#[tokio::test]
async fn f16_a_write_whose_row_may_have_gone_stays_open() {
    let Some(database) = Database::create().await else {
        return;
    };
    let mut connection = database.connection().await;
    // As if the hour were over between the commit and the question, and the row had gone.
    let statement = "CREATE FUNCTION go() RETURNS trigger LANGUAGE plpgsql AS $$ \
         BEGIN UPDATE test_clock SET ahead = ahead + 3600000; RETURN NULL; END $$; \
         CREATE TRIGGER go BEFORE INSERT ON outcomes FOR EACH ROW \
             WHEN (NEW.committed) EXECUTE FUNCTION go()";
    run(&mut connection, statement.to_owned()).await;
    let proxy = Proxy::start(database.address()).await.unwrap();
    let url = database.url_over(proxy.address());
    let store = PostgresStore::connect(&url, OPTIONS).await.unwrap();
    proxy.set(Mode::LoseReplyTo(COMMIT));
    let new = new_tenant();
    let answer = store.create(new.clone()).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    assert_eq!(proxy.lost(), 1, "it was not done again");
    proxy.set(Mode::Pass);
    let made = store.get(new.id).await.unwrap();
    assert!(made.is_some(), "it was done");
    assert_eq!(database.outcomes().await, (0, 0));
    database.remove().await;
}

/// A reconciler that finds nothing to do asks several times a second: that must not be a write each time.
#[tokio::test]
async fn what_wrote_nothing_leaves_nothing() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store(OPTIONS).await;
    for _ in 0..3 {
        let tenants = store.claim_tenants(claim_request(10)).await.unwrap();
        let hosts = store.claim_hosts(claim_request(10)).await.unwrap();
        assert!(tenants.is_empty() && hosts.is_empty());
    }
    assert_eq!(database.outcomes().await, (0, 0));
    store.create(new_tenant()).await.unwrap();
    assert_eq!(database.outcomes().await, (1, 0));
    database.remove().await;
}

/// Outcomes go after an hour, so many at a time that whoever takes them away is not held up.
#[tokio::test]
async fn outcomes_are_forgotten_after_an_hour() {
    let Some(database) = Database::create().await else {
        return;
    };
    let mut connection = database.connection().await;
    let mut leave = async |count: u32, age: i64| {
        let rows = format!(
            "INSERT INTO outcomes (id, committed, at) \
             SELECT gen_random_uuid(), n % 2 = 0, tenancy_now() - {age} \
             FROM generate_series(1, {count}) n"
        );
        run(&mut connection, rows).await;
    };
    // The last minute is for a slow machine.
    let (old, young) = (3_600_000, 3_540_000);
    leave(1_500, old).await;
    leave(10, young).await;
    let store = database.store(OPTIONS).await;
    let mut left = Vec::new();
    for _ in 0..3 {
        store.claim_hosts(claim_request(10)).await.unwrap();
        let (committed, nothing) = database.outcomes().await;
        left.push(committed + nothing);
    }
    // With the two that took some away.
    assert_eq!(left, [511, 12, 12]);
    database.remove().await;
}
