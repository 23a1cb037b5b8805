//! The rows of the fault table that a deployment in memory can show, one test each; the numbers are the table's.
//!
//! Rows that need a real process, engine or database are tested where those are; the simulation tries what
//! nobody thought of.

mod create;
mod ending;
mod late;
mod overlay;
mod quarantine;
mod server;
mod start;
mod suspended;
