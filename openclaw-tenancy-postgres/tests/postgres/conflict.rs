//! F17: serialization failures and deadlocks.

use std::time::Duration;

use openclaw_tenancy::store::{Created, StoreError, TenantStore};
use openclaw_tenancy_postgres::PoolOptions;
use sqlx::{Connection as _, Executor as _};

use crate::given::{claim_request, new_tenant, place_on, ready_host};
use crate::support::database::Database;

/// Makes the first `times` writes of a tenant's row fail with `code`. A sequence counts: it is not rolled back.
async fn fail_creates(database: &Database, times: u32, code: &str) {
    let mut admin = database.connection().await;
    let statement = format!(
        "CREATE SEQUENCE attempts; \
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ \
         BEGIN \
             IF nextval('attempts') <= {times} THEN \
                 RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}'; \
             END IF; \
             RETURN NEW; \
         END $$; \
         CREATE TRIGGER fail BEFORE INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION fail()"
    );
    crate::support::database::run(&mut admin, statement).await;
}

async fn attempts(database: &Database) -> i64 {
    let mut admin = database.connection().await;
    let attempts = sqlx::query_scalar("SELECT last_value FROM attempts");
    attempts.fetch_one(&mut admin).await.unwrap()
}

#[tokio::test]
async fn f17_a_transaction_in_conflict_is_tried_again_as_a_whole() {
    for code in ["40001", "40P01"] {
        let Some(database) = Database::create().await else {
            return;
        };
        fail_creates(&database, 3, code).await;
        let store = database.store(PoolOptions::default()).await;
        let created = store.create(new_tenant()).await.unwrap();
        assert!(matches!(created, Created::New(_)), "{created:?}");
        assert_eq!(attempts(&database).await, 4);
        let events = store.events(None, 0, 10).await.unwrap();
        assert_eq!(events.len(), 1, "one effect: {events:?}");
        assert_eq!(store.change_seq().await.unwrap(), 1);
        database.remove().await;
    }
}

#[tokio::test]
async fn f17_conflicts_without_end_are_an_error_after_a_bounded_number_of_attempts() {
    let Some(database) = Database::create().await else {
        return;
    };
    fail_creates(&database, 1_000_000, "40001").await;
    let store = database.store(PoolOptions::default()).await;
    let answer = store.create(new_tenant()).await;
    let Err(StoreError::Unavailable {
        source: Some(source),
        ..
    }) = answer
    else {
        panic!("unavailable, with the cause: {answer:?}");
    };
    assert!(source.to_string().contains("on purpose"), "{source}");
    assert_eq!(attempts(&database).await, 9);
    let page = store.list(None, 10).await.unwrap();
    assert_eq!(page.tenants, []);
    database.remove().await;
}

#[tokio::test]
async fn f17_other_errors_are_not_tried_again() {
    let Some(database) = Database::create().await else {
        return;
    };
    fail_creates(&database, 1_000_000, "P0001").await;
    let store = database.store(PoolOptions::default()).await;
    let answer = store.create(new_tenant()).await;
    assert!(
        matches!(answer, Err(StoreError::Unavailable { .. })),
        "{answer:?}"
    );
    assert_eq!(attempts(&database).await, 1);
    database.remove().await;
}

/// A real deadlock with a transaction that takes the locks in the other order: the store's is the victim,
/// and its next attempt succeeds.
#[tokio::test]
async fn f17_a_real_deadlock_is_got_over() {
    let Some(database) = Database::create().await else {
        return;
    };
    let mut other = database.connection().await;
    // A session looks for a deadlock once, so long after it began to wait: the other waits by then, on a busy machine too.
    other
        .execute(
            "DO $$ BEGIN EXECUTE \
             format('ALTER DATABASE %I SET deadlock_timeout = ''5s''', current_database()); END $$",
        )
        .await
        .unwrap();
    let patient = PoolOptions {
        deadline: Duration::from_secs(60),
        ..PoolOptions::default()
    };
    let store = database.store(patient).await;
    let host = ready_host(&store).await;
    store.create(new_tenant()).await.unwrap();
    let claim = store
        .claim_tenants(claim_request(1))
        .await
        .unwrap()
        .remove(0);

    // The one that looks for deadlocks first gives up: not this one.
    other
        .execute("SET deadlock_timeout = '1min'")
        .await
        .unwrap();
    let mut transaction = other.begin().await.unwrap();
    transaction
        .execute("SELECT 1 FROM hosts FOR UPDATE")
        .await
        .unwrap();
    let placing = tokio::spawn({
        let (store, host) = (store.clone(), host.clone());
        let (id, fence) = (claim.item.id, claim.fence);
        async move { store.place(id, fence, place_on(&host)).await }
    });
    let admin = tokio::sync::Mutex::new(database.connection().await);
    database
        .until("the place waits for the host", async || {
            let waiting = sqlx::query_scalar::<_, i64>(
                "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                 WHERE NOT l.granted AND a.datname = current_database()",
            );
            waiting.fetch_one(&mut *admin.lock().await).await.unwrap() > 0
        })
        .await;
    // Now each waits for the other, until the store's is given up.
    transaction
        .execute("UPDATE tenants SET again = again")
        .await
        .expect("the other transaction goes on");
    transaction.commit().await.unwrap();
    let location = placing.await.unwrap().expect("the second attempt");
    let stored = store.get(claim.item.id).await.unwrap().unwrap();
    assert_eq!(stored.observed.locations, [location]);
    let hosts = store.hosts().await.unwrap();
    assert_eq!(hosts[0].reserved.instances, 1, "one effect");
    database.remove().await;
}
