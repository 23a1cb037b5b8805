//! F15, F25: a server that was killed had work in hand, and the next one has the file to itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::{ManualClock, Timestamp};
use openclaw_tenancy::id::{HostId, WorkerId};
use openclaw_tenancy::store::{ClaimRequest, StoreError, TenantStore};
use openclaw_tenancy_postgres::SqliteStore;

use crate::given::{NOW, new_tenant};

const LEASE: Duration = Duration::from_secs(30);
const WAIT: Duration = Duration::from_secs(3);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn by(worker: &str) -> ClaimRequest {
    ClaimRequest {
        worker: WorkerId::new(worker).unwrap(),
        limit: 10,
        lease: LEASE,
    }
}

async fn begun(path: &std::path::Path, at: Timestamp) -> (SqliteStore, ManualClock) {
    let clock = ManualClock::new(at);
    let store = SqliteStore::open_with(path, Arc::new(clock.clone()));
    let store = store.await.unwrap();
    store.migrate().await.unwrap();
    (store, clock)
}

/// Whatever the clock of the one before said.
#[tokio::test]
async fn f25_what_a_process_that_is_gone_had_claimed_is_had_within_the_wait() {
    for ahead in [Duration::ZERO, HOUR] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tenancy.db");
        let (killed, _clock) = begun(&path, NOW.plus(ahead)).await;
        let tenant = killed.create(new_tenant()).await.unwrap().tenant();
        let host = HostId::new("h1").unwrap();
        killed.put_host(host, BTreeMap::new()).await.unwrap();
        let old = killed.claim_tenants(by("killed")).await.unwrap();
        let hosts = killed.claim_hosts(by("killed")).await.unwrap();
        assert_eq!((old.len(), hosts.len()), (1, 1));

        let (next, clock) = begun(&path, NOW).await;
        next.take_over(WAIT).await.unwrap();
        assert_eq!(next.claim_tenants(by("next")).await.unwrap(), []);
        clock.advance(WAIT);
        let claims = next.claim_tenants(by("next")).await.unwrap();
        assert_eq!(claims.len(), 1, "{ahead:?} ahead");
        assert_eq!(claims[0].item.id, tenant.id);
        assert_eq!(next.claim_hosts(by("next")).await.unwrap().len(), 1);
        let late = killed.renew(tenant.id, old[0].fence, by("killed").worker, LEASE);
        assert!(matches!(late.await, Err(StoreError::Fenced)));

        // What it holds itself is its own: a second call is for another process that is gone.
        clock.advance(WAIT);
        assert_eq!(next.claim_tenants(by("another")).await.unwrap(), []);
    }
}
