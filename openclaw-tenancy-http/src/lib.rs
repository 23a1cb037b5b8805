//! REST API, OIDC sign-in, edge and reference server for openclaw-tenancy.

pub mod identity;
