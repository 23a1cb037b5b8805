//! F15, F27: a worker that is known to be gone, beside one that lives.

use std::time::Duration;

use openclaw_tenancy::id::WorkerId;
use openclaw_tenancy::store::{ClaimRequest, StoreError, TenantStore};
use openclaw_tenancy_postgres::PoolOptions;

use crate::given::{LEASE, claim_request, new_tenant, ready_host};
use crate::support::database::Database;

/// The clock is put forward by nine tenths of it; what the calls themselves take is less than the last.
const WAIT: Duration = Duration::from_secs(30);

fn by(worker: &str) -> ClaimRequest {
    ClaimRequest {
        worker: WorkerId::new(worker).unwrap(),
        ..claim_request(1)
    }
}

#[tokio::test]
async fn f15_what_a_worker_that_is_gone_had_claimed_is_had_within_the_wait_and_no_others() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store(PoolOptions::default()).await;
    store.create(new_tenant()).await.unwrap();
    store.create(new_tenant()).await.unwrap();
    ready_host(&store).await;
    database.put_forward(LEASE).await;
    let old = store.claim_tenants(by("killed")).await.unwrap().remove(0);
    let hosts = store.claim_hosts(by("killed")).await.unwrap();
    assert_eq!(hosts.len(), 1);
    let living = store.claim_tenants(by("living")).await.unwrap().remove(0);

    // Again is success, and gives it no longer.
    for moment in [Duration::ZERO, WAIT * 9 / 10] {
        database.put_forward(moment).await;
        let gone = by("killed").worker;
        store.take_over(gone, WAIT).await.unwrap();
        assert_eq!(store.claim_tenants(by("next")).await.unwrap(), []);
        assert_eq!(store.claim_hosts(by("next")).await.unwrap(), []);
    }
    database.put_forward(WAIT / 10).await;
    let taken = store.claim_tenants(by("next")).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].item.id, old.item.id);
    assert_eq!(store.claim_hosts(by("next")).await.unwrap().len(), 1);
    let late = store.renew(old.item.id, old.fence, by("killed").worker, LEASE);
    assert!(matches!(late.await, Err(StoreError::Fenced)));

    database.put_forward(LEASE - Duration::from_secs(60)).await;
    assert_eq!(store.claim_tenants(by("another")).await.unwrap(), []);
    let renewed = store.renew(living.item.id, living.fence, living.worker, LEASE);
    renewed.await.expect("it lives, and is left alone");
    store.close().await;
    database.remove().await;
}
