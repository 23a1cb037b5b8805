//! Doubles and service pools for the tests.

pub mod engine;
pub mod provider;
pub mod proxy;
