//! Docker Engine backend for openclaw-tenancy, direct over unix socket, TCP and mutual TLS.

pub mod docker;
mod engine;
