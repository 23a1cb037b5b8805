//! F18 and F27: a slow or silent database, an empty pool, a paused replica.

use std::time::Duration;

use openclaw_tenancy::store::{Change, TenantStore};
use openclaw_tenancy_postgres::{PoolOptions, PostgresStore};
use sqlx::{Connection as _, Executor as _};
use test_support::proxy::{Mode, Proxy};
use tokio::time::Instant;

use crate::given::{COMMIT, NOW, is_unavailable, new_tenant};
use crate::support::database::Database;

/// Longer than a busy machine takes for the calls that succeed.
const DEADLINE: Duration = Duration::from_secs(3);
/// A busy machine may be late, but not by this much.
const AT_MOST: Duration = Duration::from_secs(7);

const OPTIONS: PoolOptions = PoolOptions {
    max_connections: 2,
    min_connections: 0,
    deadline: DEADLINE,
};

/// For calls that wait for what is to come, and not for their deadline.
const PATIENT: PoolOptions = PoolOptions {
    deadline: Duration::from_secs(30),
    ..OPTIONS
};

/// Every call ends in its deadline with an error that says so, and the next one after the trouble succeeds.
#[tokio::test]
async fn f18_a_slow_or_silent_database_is_an_error_in_time_and_heals() {
    let Some(database) = Database::create().await else {
        return;
    };
    let proxy = Proxy::start(database.address()).await.unwrap();
    let url = database.url_over(proxy.address());
    let store = PostgresStore::connect(&url, OPTIONS).await.unwrap();
    let tenant = store.create(new_tenant()).await.unwrap().tenant();

    for trouble in [Mode::Delay(Duration::from_secs(60)), Mode::Stall] {
        proxy.set(trouble.clone());
        // More than there are connections, one after another and at once.
        for _ in 0..2 {
            let began = Instant::now();
            let (read, write, ping) = tokio::join!(
                store.get(tenant.id),
                store.create(new_tenant()),
                store.ping(),
            );
            let took = began.elapsed();
            assert!(is_unavailable(&read), "{trouble:?}: {read:?}");
            assert!(is_unavailable(&write), "{trouble:?}: {write:?}");
            assert!(is_unavailable(&ping), "{trouble:?}: {ping:?}");
            assert!(took < AT_MOST, "{trouble:?}: {took:?}");
        }
        proxy.set(Mode::Pass);
        let found = store.get(tenant.id).await.expect("it heals at once");
        assert_eq!(found.as_ref(), Some(&tenant));
        store.ping().await.expect("it heals at once");
    }
    database.remove().await;
}

/// Calls that wait for a row have every connection: the others are told, and nothing is stuck afterwards.
#[tokio::test]
async fn f18_an_empty_pool_is_an_error_in_time_and_heals() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store(OPTIONS).await;
    let tenant = store.create(new_tenant()).await.unwrap().tenant();
    let mut other = database.connection().await;
    let mut transaction = other.begin().await.unwrap();
    transaction
        .execute("SELECT 1 FROM tenants FOR UPDATE")
        .await
        .unwrap();

    let change = || store.change(tenant.id, None, Change::Restart, NOW);
    let began = Instant::now();
    let (first, second, third) = tokio::join!(change(), change(), store.get(tenant.id));
    assert!(
        is_unavailable(&first) && is_unavailable(&second),
        "{first:?} {second:?}"
    );
    assert!(is_unavailable(&third), "no connection was free: {third:?}");
    assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());

    transaction.rollback().await.unwrap();
    let changed = change().await.expect("it heals at once");
    // The two that were given up did not happen later.
    assert_eq!(changed.revision, tenant.revision.next());
    database.remove().await;
}

/// A caller that goes away in the middle leaves no lock and no half-used connection behind.
#[tokio::test]
async fn f18_a_call_that_is_dropped_leaves_nothing() {
    let Some(database) = Database::create().await else {
        return;
    };
    let proxy = Proxy::start(database.address()).await.unwrap();
    let url = database.url_over(proxy.address());
    let store = PostgresStore::connect(&url, PATIENT).await.unwrap();
    for number in 1..=6 {
        proxy.set(Mode::HoldRequest(COMMIT));
        let creating = tokio::spawn({
            let store = store.clone();
            async move { store.create(new_tenant()).await }
        });
        database
            .until("the commit is held", async || proxy.held() >= number)
            .await;
        creating.abort();
        let _ = creating.await;
        proxy.cut();
        proxy.set(Mode::Pass);
        store.create(new_tenant()).await.expect("no lock is left");
    }
    let page = store.list(None, 100).await.unwrap();
    assert_eq!(page.tenants.len(), 6, "none of those that were dropped");
    database.remove().await;
}

/// F27: a replica that stops in the middle, with the lock that every writer needs, does not stop the others
/// for longer than the server waits for it.
#[tokio::test]
async fn f27_a_replica_that_is_paused_in_its_transaction_does_not_hold_the_others() {
    let Some(database) = Database::create().await else {
        return;
    };
    let proxy = Proxy::start(database.address()).await.unwrap();
    let url = database.url_over(proxy.address());
    let paused = PostgresStore::connect(&url, PATIENT).await.unwrap();
    let other = database.store(PATIENT).await;
    proxy.set(Mode::HoldRequest(COMMIT));
    let new = new_tenant();
    let creating = tokio::spawn({
        let new = new.clone();
        async move { paused.create(new).await }
    });
    database
        .until("the commit is held", async || proxy.held() > 0)
        .await;

    let began = Instant::now();
    other.create(new_tenant()).await.expect("the other goes on");
    let took = began.elapsed();
    println!("the other replica went on after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");

    // The paused one wakes up: its transaction was given up, and it must not believe otherwise, but do it again.
    assert_eq!(other.get(new.id).await.unwrap(), None);
    proxy.set(Mode::Pass);
    let late = creating.await.unwrap().expect("done again");
    let made = other.get(new.id).await.unwrap();
    assert_eq!(made, Some(late.tenant()));
    database.remove().await;
}
