//! The conformance kit: one named test for each rule that a port's documentation states.
//!
//! Implement a port's fixture and expand its macro in a test file; every rule becomes a `#[tokio::test]` of
//! its own, so a failure has a name:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! use openclaw_tenancy::clock::{ManualClock, Timestamp};
//! use openclaw_tenancy::conformance::store::StoreFixture;
//! use openclaw_tenancy::memory::MemoryStore;
//! use openclaw_tenancy::store::TenantStore;
//!
//! #[derive(Debug)]
//! struct Fixture(ManualClock, Arc<MemoryStore>);
//!
//! #[async_trait::async_trait]
//! impl StoreFixture for Fixture {
//!     fn store(&self) -> Arc<dyn TenantStore> {
//!         Arc::clone(&self.1) as _
//!     }
//!     fn replica(&self) -> Arc<dyn TenantStore> {
//!         self.store()
//!     }
//!     async fn pass(&self, time: Duration) {
//!         self.0.advance(time);
//!     }
//!     async fn set_back(&self, time: Duration) {
//!         self.0.set_back(time);
//!     }
//!     async fn finish(&self) {}
//! }
//!
//! async fn fixture() -> Option<Fixture> {
//!     let clock = ManualClock::new(Timestamp::default());
//!     let store = MemoryStore::new(Arc::new(clock.clone()));
//!     Some(Fixture(clock, Arc::new(store)))
//! }
//!
//! openclaw_tenancy::conformance_store!(fixture());
//! # fn main() {}
//! ```
//!
//! Needs the feature `conformance`, and `tokio` among the caller's dev-dependencies. It is no stable
//! interface: a rule that a port gains is a test that its implementations gain.

#![expect(clippy::expect_used, reason = "a rule fails by panicking")]

pub mod access;
pub mod backend;
pub mod history;
pub mod identity;
pub mod probe;
pub mod scheduler;
pub mod store;

mod race;

/// A rule of a port, by its name.
#[derive(Debug, Clone, Copy)]
pub struct Rule<F: ?Sized + 'static> {
    /// The name: what holds.
    pub name: &'static str,
    /// Panics when the implementation behind the fixture does not keep the rule.
    pub check: for<'a> fn(&'a F) -> futures::future::BoxFuture<'a, ()>,
}
