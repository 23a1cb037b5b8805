//! F29: another process holds the file.

use std::time::Duration;

use openclaw_tenancy::store::{StoreError, TenantStore};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tokio::time::Instant;

use crate::given::{new_tenant, open};

/// A write that cannot have its turn says why, in time; reads go on; the next write succeeds.
#[tokio::test]
async fn f29_a_locked_file_is_a_clear_error_and_heals() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tenancy.db");
    let store = open(&path).await;
    let tenant = store.create(new_tenant()).await.unwrap().tenant();

    let mut other = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let began = Instant::now();
    let answer = store.create(new_tenant()).await;
    let Err(StoreError::Unavailable { what, .. }) = answer else {
        panic!("unavailable: {answer:?}");
    };
    assert_eq!(what, "the database file is locked by another process");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let read = store.get(tenant.id).await.unwrap();
    assert_eq!(read, Some(tenant), "a writer does not stop readers");

    other.execute("ROLLBACK").await.unwrap();
    store.create(new_tenant()).await.expect("it heals at once");
}

/// A caller that goes away in the middle does not keep the writer's turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f29_calls_that_are_dropped_leave_the_writer_free() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("tenancy.db")).await;
    let mut kept = 0;
    for polls in 0..60_u64 {
        let new = new_tenant();
        let creating =
            tokio::time::timeout(Duration::from_micros(polls * 50), store.create(new.clone()));
        let answered = creating.await.is_ok_and(|answer| answer.is_ok());
        let there = store.get(new.id).await.unwrap().is_some();
        assert!(there || !answered, "what was answered is there");
        kept += usize::from(store.create(new_tenant()).await.is_ok());
    }
    assert_eq!(kept, 60);
    // All of it or nothing: each tenant has its event and its number.
    let tenants = store.list(None, 1000).await.unwrap().tenants;
    let events = store.events(None, 0, 1000).await.unwrap();
    let changes = store.changed_since(0, 1000).await.unwrap();
    assert_eq!(
        (events.len(), changes.tenants.len()),
        (tenants.len(), tenants.len())
    );
}
