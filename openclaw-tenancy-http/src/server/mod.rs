//! The reference server: configuration, assembly of every part, and the commands of the binary.

pub mod config;
pub mod escape;
pub mod logging;
