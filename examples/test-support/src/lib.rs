//! Doubles and service pools for the tests.

pub mod engine;
pub mod network_namespace;
pub mod ports;
pub mod postgres;
pub mod private_engine;
pub mod processes;
pub mod provider;
pub mod proxy;
pub mod services;
