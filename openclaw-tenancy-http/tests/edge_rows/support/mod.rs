//! An edge over in-memory stores, with instances of our own behind it.

mod client;
mod outage;
mod upstream;
mod world;

pub(crate) use client::{Answer, Connection, get};
pub(crate) use outage::Outage;
pub(crate) use upstream::Instance;
pub(crate) use world::{Tenant, World, secret};

use std::time::Duration;

/// Waits for a condition; fails with what was waited for.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    within: Duration,
    condition: impl Fn() -> F,
) {
    let waited = tokio::time::timeout(within, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(
        waited.await.is_ok(),
        "{what} did not happen within {within:?}"
    );
}
