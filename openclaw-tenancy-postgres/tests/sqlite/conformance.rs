//! SQLite keeps every rule of the two ports.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::{ManualClock, Timestamp};
use openclaw_tenancy::conformance::access::AccessFixture;
use openclaw_tenancy::conformance::store::StoreFixture;
use openclaw_tenancy::store::TenantStore;
use openclaw_tenancy_postgres::SqliteStore;
use tempfile::TempDir;

/// A file that is open twice: a second process is no use of it, but must not break it either.
#[derive(Debug)]
struct Sqlite {
    clock: ManualClock,
    stores: [Arc<SqliteStore>; 2],
    _directory: TempDir,
}

async fn sqlite() -> Option<Sqlite> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tenancy.db");
    let clock = ManualClock::new(Timestamp::from_seconds(1_790_000_000));
    let open = async || {
        let store = SqliteStore::open_with(&path, Arc::new(clock.clone())).await;
        let store = store.expect("the file opens");
        store.migrate().await.expect("the tables are made");
        Arc::new(store)
    };
    let stores = [open().await, open().await];
    Some(Sqlite {
        clock,
        stores,
        _directory: directory,
    })
}

impl Sqlite {
    async fn close(&self) {
        for store in &self.stores {
            store.close().await;
        }
    }
}

#[async_trait]
impl StoreFixture for Sqlite {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::clone(&self.stores[0]) as _
    }

    fn replica(&self) -> Arc<dyn TenantStore> {
        Arc::clone(&self.stores[1]) as _
    }

    async fn set_back(&self, time: Duration) {
        self.clock.set_back(time);
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn finish(&self) {
        self.close().await;
    }
}

#[async_trait]
impl AccessFixture for Sqlite {
    fn access(&self) -> Arc<dyn AccessStore> {
        Arc::clone(&self.stores[0]) as _
    }

    fn replica(&self) -> Arc<dyn AccessStore> {
        Arc::clone(&self.stores[1]) as _
    }

    async fn finish(&self) {
        self.close().await;
    }
}

mod store {
    use super::sqlite;

    openclaw_tenancy::conformance_store!(sqlite());
}

mod access {
    use super::sqlite;

    openclaw_tenancy::conformance_access!(sqlite());
}
