//! A history checker: random callers at once, and whether one order of their calls explains every answer.
//!
//! Each call takes effect at one instant between its beginning and its answer (linearizability, Herlihy and
//! Wing 1990); the search is Wing and Gong's with Lowe's memory of states seen. A call that ends in
//! [`StoreError::Unavailable`] may have taken effect at any time later, or never, so histories of a database
//! that is killed meanwhile can be checked too.

mod check;
mod model;
mod record;

use std::fmt;
use std::sync::Arc;

pub use record::{History, record};

use self::model::Operation;
use super::store::StoreFixture;
use crate::clock::Timestamp;
use crate::store::{Change, ClaimRequest, Settlement, StoreError, TenantStore};
use crate::tenant::Power;

/// How many histories a run of the rule checks.
const SEEDS: u64 = 12;
/// How many callers a history has.
const CALLERS: u32 = 4;
/// How many calls each makes.
const CALLS: u32 = 14;

/// Four callers on two replicas: creates, changes, claims, places and settles have one order that explains all.
pub(super) async fn histories_are_linearizable(fixture: &dyn StoreFixture) {
    let stores = [fixture.store(), fixture.replica()];
    for seed in 1..=SEEDS {
        let history = record(&stores, seed, CALLERS, CALLS).await;
        if let Err(violation) = history.check() {
            panic!("{violation}");
        }
        // Claims that nobody settled must not hide the next history's tenants.
        fixture.pass(record::LASTING * 2).await;
        clear(&*stores[0]).await;
    }
}

/// No order of the calls explains the answers.
#[derive(Debug)]
pub struct Violation {
    seed: u64,
    operations: Vec<Operation>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "history {} has no order that explains it:", self.seed)?;
        for operation in &self.operations {
            writeln!(f, "  {operation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}

/// Deletes every tenant.
async fn clear(store: &dyn TenantStore) {
    let request = ClaimRequest {
        worker: crate::id::WorkerId::new("clear").expect("a worker id"),
        limit: 100,
        lease: record::LASTING,
    };
    let page = store.list(None, 100).await.expect("tenants are listed");
    for tenant in page.tenants {
        let deleted = Change::Power(Power::Deleted);
        let change = store.change(tenant.id, None, deleted, Timestamp::default());
        change.await.expect("it is to be deleted");
    }
    for claim in store.claim_tenants(request).await.expect("claimed") {
        let gone = Settlement {
            observed: claim.item.observed,
            pin: None,
            next_due: std::time::Duration::ZERO,
            events: Vec::new(),
            gone: true,
        };
        let settled = store.settle(claim.item.id, claim.fence, gone, Timestamp::default());
        settled.await.expect("it is gone");
    }
}

/// Answers of a store that a caller may get when it works.
fn is_answer(error: &StoreError) -> bool {
    !matches!(error, StoreError::Unavailable { .. })
}

/// The store that caller number `n` uses.
fn store_of(stores: &[Arc<dyn TenantStore>], n: u32) -> Arc<dyn TenantStore> {
    Arc::clone(&stores[n as usize % stores.len()])
}
