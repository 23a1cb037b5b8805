//! Doubles and service pools for the tests.

pub mod engine;
pub mod postgres;
pub mod provider;
pub mod proxy;
pub mod services;
