//! The store on PostgreSQL: every rule of the two ports, and what a server and the network to it may do
//! (safety.md F16 to F18, F25, F27).
#![cfg(feature = "postgres")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod conflict;
mod conformance;
mod given;
mod kill;
mod kill_commit;
mod kill_history;
mod lease;
mod lost;
#[path = "../support/older.rs"]
mod older;
mod open;
mod outcome;
mod slow;
mod support;
mod take_over;
#[path = "../support/without_tables.rs"]
mod without_tables;
