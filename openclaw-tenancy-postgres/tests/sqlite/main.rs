//! The store on SQLite: every rule of the two ports, and what a disk and another process may do
//! (safety.md F15, F25, F29).
#![cfg(feature = "sqlite")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod conformance;
mod disk;
mod given;
mod kill;
mod locked;
#[path = "../support/older.rs"]
mod older;
mod open;
mod take_over;
#[path = "../support/without_tables.rs"]
mod without_tables;
