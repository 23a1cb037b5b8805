//! What the benches share: turns and their ratios, and child processes.
//!
//! Every bench measures ours beside a raw reference in the same run, in short turns one after the other, and a ratio
//! is the median of the ratios of neighbours: what else the machine does hits both alike.

#![expect(clippy::disallowed_methods, reason = "a bench measures wall time")]

pub mod process;
pub mod turns;
