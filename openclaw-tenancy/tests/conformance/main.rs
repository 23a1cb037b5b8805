//! The conformance kit: what is in memory keeps every rule, and what breaks one is caught by it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod bench;
mod broken;
mod catches;
mod catches_backend;
mod caught;
mod memory;
mod probe;
#[path = "../control_plane/support/mod.rs"]
mod support;
mod tokens;
