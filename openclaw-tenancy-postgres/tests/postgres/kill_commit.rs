//! F16: the server is killed under a commit, and the call itself says what became of it.

use std::time::Duration;

use openclaw_tenancy::store::{Created, StoreError, TenantStore};
use openclaw_tenancy::tenant::NewTenant;
use openclaw_tenancy_postgres::{PoolOptions, PostgresStore};
use sqlx::{Executor as _, PgConnection};
use test_support::postgres::Server;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::given::{is_unavailable, new_tenant};
use crate::outcome::{AT_THE_GATE, CLOSED, put_gate};
use crate::support::database::outcomes;
use crate::support::server::{
    COMMIT_WAITS, HOLD_COMMITS, RELEASE_COMMITS, connection, is_waiting, run_all,
};

/// A server with our tables, and a store that waits so long for it.
async fn server_and_store(deadline: Duration) -> Option<(Server, PostgresStore)> {
    let server = Server::start()?;
    // It accepts connections before it has started, and refuses what they ask.
    drop(connection(&server).await);
    let options = PoolOptions {
        deadline,
        ..PoolOptions::default()
    };
    let url = server.url(server.address());
    let store = PostgresStore::connect(&url, options).await.unwrap();
    store.migrate().await.unwrap();
    Some((server, store))
}

/// A create that has come to wait so.
async fn create_until(
    store: &PostgresStore,
    admin: &mut PgConnection,
    waiting: &str,
) -> (NewTenant, JoinHandle<Result<Created, StoreError>>) {
    let new = new_tenant();
    let creating = tokio::spawn({
        let (store, new) = (store.clone(), new.clone());
        async move { store.create(new).await }
    });
    assert!(is_waiting(admin, waiting, || creating.is_finished()).await);
    (new, creating)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_a_commit_that_was_done_when_the_server_was_killed_is_answered_as_done() {
    let Some((mut server, store)) = server_and_store(Duration::from_secs(60)).await else {
        return;
    };
    let mut admin = connection(&server).await;
    run_all(&mut admin, HOLD_COMMITS).await;
    let (new, creating) = create_until(&store, &mut admin, COMMIT_WAITS).await;
    server.kill();
    server.run();
    // Commits are held still: what is answered now is so by the first.
    let answer = creating.await.unwrap().unwrap();
    let Created::New(made) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(store.get(new.id).await.unwrap(), Some(made));
    assert_eq!(outcomes(&mut connection(&server).await).await, (1, 0));
    run_all(&mut connection(&server).await, RELEASE_COMMITS).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_a_commit_that_was_not_done_when_the_server_was_killed_is_done_again() {
    let Some((mut server, store)) = server_and_store(Duration::from_secs(60)).await else {
        return;
    };
    let mut admin = connection(&server).await;
    put_gate(&mut admin, "BEFORE").await;
    admin.execute(CLOSED).await.unwrap();
    let (new, creating) = create_until(&store, &mut admin, AT_THE_GATE).await;
    server.kill();
    server.run();
    let answer = creating.await.unwrap().unwrap();
    let Created::New(made) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(store.get(new.id).await.unwrap(), Some(made));
    assert_eq!(store.events(None, 0, 10).await.unwrap().len(), 1, "once");
    assert_eq!(outcomes(&mut connection(&server).await).await, (1, 1));
    store.close().await;
}

/// A server that does not come back in time leaves the outcome open, and the caller is told in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_a_commit_whose_server_stays_away_is_unavailable_within_the_deadline() {
    let deadline = Duration::from_secs(5);
    let Some((mut server, store)) = server_and_store(deadline).await else {
        return;
    };
    let mut admin = connection(&server).await;
    run_all(&mut admin, HOLD_COMMITS).await;
    let began = Instant::now();
    let (new, creating) = create_until(&store, &mut admin, COMMIT_WAITS).await;
    server.kill();
    let answer = creating.await.unwrap();
    let took = began.elapsed();
    assert!(is_unavailable(&answer), "{answer:?}");
    // A busy machine may be late, but not by this much.
    assert!(took < 2 * deadline, "{took:?}");

    server.run();
    run_all(&mut connection(&server).await, RELEASE_COMMITS).await;
    let made = store.get(new.id).await.unwrap();
    assert!(made.is_some(), "it was done");
    assert_eq!(outcomes(&mut connection(&server).await).await, (1, 0));
    store.close().await;
}
