//! F25: a lease is by the database's clock, whatever a worker's own says.

use std::time::Duration;

use openclaw_tenancy::id::WorkerId;
use openclaw_tenancy::store::{Change, ClaimRequest, StoreError, TenantStore};
use openclaw_tenancy::tenant::{NewTenant, Observed};
use openclaw_tenancy_postgres::PoolOptions;

use crate::given::{LEASE, NOW, claim_request, new_tenant, ready_host, settlement};
use crate::support::database::Database;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A worker whose clock is an hour ahead takes nothing that another has, and one whose clock is an hour behind takes
/// what has run out: every time of theirs that the store is given says so.
#[tokio::test]
async fn f25_a_lease_is_by_the_databases_clock_and_not_by_a_workers() {
    for (ahead, theirs) in [(true, NOW.plus(HOUR)), (false, NOW.minus(HOUR))] {
        let Some(database) = Database::create().await else {
            return;
        };
        let holder = database.store(PoolOptions::default()).await;
        let other = database.store(PoolOptions::default()).await;
        let by_other = || ClaimRequest {
            worker: WorkerId::new("w2").unwrap(),
            ..claim_request(10)
        };
        // The tenant was made by the one whose clock is wrong, too.
        let new = NewTenant {
            created_at: theirs,
            ..new_tenant()
        };
        let tenant = other.create(new).await.unwrap().tenant();
        let host = ready_host(&holder).await;
        database.put_forward(LEASE).await;
        let held = holder.claim_tenants(claim_request(10)).await.unwrap();
        let hosts = holder.claim_hosts(claim_request(10)).await.unwrap();
        assert_eq!((held.len(), hosts.len()), (1, 1));
        assert_eq!(
            (held[0].item.id, &hosts[0].item.id),
            (tenant.id, &host),
            "{ahead}"
        );

        // Whatever the other writes with its own time makes the tenant due, and nobody's but the holder's.
        let change = other.change(tenant.id, None, Change::Restart, theirs);
        change.await.unwrap();
        for moment in [Duration::ZERO, LEASE - Duration::from_secs(60)] {
            database.put_forward(moment).await;
            assert_eq!(other.claim_tenants(by_other()).await.unwrap(), []);
            assert_eq!(other.claim_hosts(by_other()).await.unwrap(), []);
            let id = held[0].item.id;
            let renewed = other.renew(id, held[0].fence, by_other().worker, LEASE);
            assert!(
                matches!(renewed.await, Err(StoreError::Fenced)),
                "of another"
            );
        }
        // The holder's is the holder's until the end.
        let renewed = holder.renew(tenant.id, held[0].fence, claim_request(10).worker, LEASE);
        renewed.await.unwrap();
        database.put_forward(LEASE - Duration::from_secs(60)).await;
        assert_eq!(other.claim_tenants(by_other()).await.unwrap(), []);

        // When the database says that it is over it is, and what the one before brings is late.
        database.put_forward(Duration::from_secs(61)).await;
        let taken = other.claim_tenants(by_other()).await.unwrap();
        assert_eq!(taken.len(), 1, "{ahead}");
        assert!(taken[0].fence > held[0].fence);
        assert_eq!(other.claim_hosts(by_other()).await.unwrap().len(), 1);
        let late = holder.settle(
            tenant.id,
            held[0].fence,
            settlement(Observed::default()),
            theirs.plus(HOUR),
        );
        assert!(matches!(late.await, Err(StoreError::Fenced)));
        holder.close().await;
        other.close().await;
        database.remove().await;
    }
}
