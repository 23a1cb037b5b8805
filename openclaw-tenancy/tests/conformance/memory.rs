//! The in-memory stores keep every rule: they are the reference semantics.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::{ManualClock, Timestamp};
use openclaw_tenancy::conformance::access::AccessFixture;
use openclaw_tenancy::conformance::store::StoreFixture;
use openclaw_tenancy::memory::{MemoryAccess, MemoryStore};
use openclaw_tenancy::store::TenantStore;

#[derive(Debug)]
struct Memory {
    clock: ManualClock,
    store: Arc<MemoryStore>,
}

async fn memory() -> Option<Memory> {
    let clock = ManualClock::new(Timestamp::from_seconds(1_790_000_000));
    let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    Some(Memory { clock, store })
}

#[async_trait]
impl StoreFixture for Memory {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::clone(&self.store) as _
    }

    fn replica(&self) -> Arc<dyn TenantStore> {
        self.store()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn set_back(&self, time: Duration) {
        self.clock.set_back(time);
    }

    async fn finish(&self) {}
}

#[derive(Debug, Default)]
struct Access(Arc<MemoryAccess>);

#[async_trait]
impl AccessFixture for Access {
    fn access(&self) -> Arc<dyn AccessStore> {
        Arc::clone(&self.0) as _
    }

    fn replica(&self) -> Arc<dyn AccessStore> {
        self.access()
    }

    async fn finish(&self) {}
}

mod store {
    use super::memory;

    openclaw_tenancy::conformance_store!(memory());
}

mod access {
    use super::Access;

    openclaw_tenancy::conformance_access!(async { Some(Access::default()) });
}
