//! What these tests begin with.

use std::path::Path;

use openclaw_tenancy::clock::{SystemClock, SystemEntropy, Timestamp};
use openclaw_tenancy::container::Image;
use openclaw_tenancy::id::{AccountId, Slug, TenantId};
use openclaw_tenancy::plan::PlanCatalog;
use openclaw_tenancy::tenant::{Desired, NewTenant, Power, Settings};
use openclaw_tenancy_postgres::SqliteStore;

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// A tenant to be made.
pub(crate) fn new_tenant() -> NewTenant {
    let (clock, random) = (SystemClock, SystemEntropy);
    let plans = PlanCatalog::default();
    let plan = plans.iter().next().unwrap();
    NewTenant {
        id: TenantId::generate(&clock, &random),
        slug: Slug::generate(&random),
        owner: AccountId::generate(&clock, &random),
        settings: Settings::default(),
        desired: Desired {
            power: Power::Running,
            plan: plan.name.clone(),
            limits: plan.limits,
            image: Image {
                reference: "openclaw/openclaw".to_owned(),
                digest: None,
            },
            restart_epoch: 0,
        },
        created_at: NOW,
        seats: None,
        idempotency: None,
    }
}

/// The store in the file at `path`, with its tables.
pub(crate) async fn open(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path).await.expect("the file opens");
    store.migrate().await.expect("the tables are made");
    store
}
