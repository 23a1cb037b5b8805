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

/// What the end of a rule that held does with its fixture.
type Finish<F> = for<'a> fn(&'a F) -> futures::future::BoxFuture<'a, ()>;

/// Holds the implementation behind a fixture to the rule of this name; without a fixture there is nothing to hold.
///
/// # Panics
/// When the implementation does not keep the rule.
#[doc(hidden)]
pub async fn hold<F: ?Sized + Sync>(
    rules: &[Rule<F>],
    name: &str,
    fixture: Option<Box<F>>,
    finish: Finish<F>,
) {
    let rule = rules.iter().find(|rule| rule.name == name);
    let rule = rule.expect("the table is made of the same list as the tests");
    if let Some(fixture) = fixture {
        (rule.check)(&fixture).await;
        finish(&fixture).await;
    }
}

/// Expands to one `#[tokio::test]` for each rule of a port: the end of its macro.
///
/// The rules are reached by their table, so that they are compiled with the kit and not once more for each fixture.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($port:ident $of:ident [$fixture:expr] $($rule:ident)*) => {
        type KitFixture = ::std::boxed::Box<dyn $crate::conformance::$port::$of>;

        fn fixture_for_one_rule() -> ::std::pin::Pin<
            ::std::boxed::Box<dyn ::std::future::Future<Output = ::std::option::Option<KitFixture>>>,
        > {
            ::std::boxed::Box::pin(async {
                let fixture = $fixture.await?;
                ::std::option::Option::Some(::std::boxed::Box::new(fixture) as KitFixture)
            })
        }

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                $crate::conformance::hold(
                    $crate::conformance::$port::RULES,
                    stringify!($rule),
                    fixture_for_one_rule().await,
                    |fixture| $crate::conformance::$port::$of::finish(fixture),
                )
                .await;
            }
        )*
    };
}
