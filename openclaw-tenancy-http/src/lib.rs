//! REST API, OIDC sign-in, edge and reference server for openclaw-tenancy.

#[cfg(feature = "api")]
pub mod access;
#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "oidc")]
mod echo;
#[cfg(feature = "edge")]
pub mod edge;
#[cfg(feature = "oidc")]
pub mod identity;
#[cfg(feature = "oidc")]
pub mod json;
#[cfg(feature = "api")]
mod pages;
#[cfg(feature = "server")]
pub mod server;
