//! The reference server: configuration, assembly of every part, and the commands of the binary.
//!
//! ```text
//! command line ─► config ─► foundation (database, keys) ─► assemble ─► serve
//!                    └────► doctor, token, password, config
//! ```

pub mod assemble;
pub mod cli;
mod commands;
pub mod config;
pub mod doctor;
pub mod escape;
pub mod first_admin;
pub mod foundation;
pub mod identity;
pub mod keys;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod serve;
pub mod shutdown;
pub mod store;
mod survey;

pub use commands::main;
