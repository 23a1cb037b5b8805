//! The reference server: configuration, assembly of every part, and the commands of the binary.
//!
//! ```text
//! command line ─► config ─► foundation (database, keys) ─► assemble ─► serve
//!                    └────► doctor, token, password, account, config
//! ```

mod account_list;
mod accounts;
mod assemble;
mod cli;
mod commands;
mod config;
mod connection;
mod descriptors;
mod doctor;
mod edge_threads;
mod escape;
mod first_admin;
mod foundation;
mod identity;
mod keys;
mod listen;
mod logging;
mod metrics;
mod plain;
mod seat;
mod serve;
mod shutdown;
mod store;
mod survey;

pub use commands::main;
