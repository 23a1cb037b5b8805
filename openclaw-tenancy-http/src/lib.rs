//! REST API, OIDC sign-in, edge and reference server for openclaw-tenancy.

pub mod access;
pub mod api;
pub mod edge;
pub mod identity;
#[cfg(feature = "server")]
pub mod server;
mod pages;
