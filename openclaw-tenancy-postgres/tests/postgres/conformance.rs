//! PostgreSQL keeps every rule of the two ports.
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::conformance::access::AccessFixture;
use openclaw_tenancy::conformance::store::StoreFixture;
use openclaw_tenancy::store::TenantStore;
use openclaw_tenancy_postgres::{PoolOptions, PostgresStore};

use crate::support::database::Database;

/// Two replicas on one database.
#[derive(Debug)]
struct Postgres {
    database: Database,
    replicas: [Arc<PostgresStore>; 2],
}

async fn postgres() -> Option<Postgres> {
    let database = Database::create().await?;
    // Races make 32 callers share these: a call waits for a connection, and for others' locks.
    let options = PoolOptions {
        max_connections: 6,
        deadline: Duration::from_secs(30),
        ..PoolOptions::default()
    };
    let replicas = [
        Arc::new(database.store(options).await),
        Arc::new(database.store(options).await),
    ];
    Some(Postgres { database, replicas })
}

impl Postgres {
    async fn remove(&self) {
        for replica in &self.replicas {
            replica.close().await;
        }
        self.database.remove().await;
    }
}

#[async_trait]
impl StoreFixture for Postgres {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::clone(&self.replicas[0]) as _
    }

    fn replica(&self) -> Arc<dyn TenantStore> {
        Arc::clone(&self.replicas[1]) as _
    }

    async fn pass(&self, time: Duration) {
        self.database.put_forward(time).await;
    }

    async fn set_back(&self, time: Duration) {
        self.database
            .move_clock(-i64::try_from(time.as_millis()).unwrap())
            .await;
    }

    async fn finish(&self) {
        self.remove().await;
    }
}

#[async_trait]
impl AccessFixture for Postgres {
    fn access(&self) -> Arc<dyn AccessStore> {
        Arc::clone(&self.replicas[0]) as _
    }

    fn replica(&self) -> Arc<dyn AccessStore> {
        Arc::clone(&self.replicas[1]) as _
    }

    async fn finish(&self) {
        self.remove().await;
    }
}

mod store {
    use super::postgres;

    openclaw_tenancy::conformance_store!(postgres());
}

mod access {
    use super::postgres;

    openclaw_tenancy::conformance_access!(postgres());
}
