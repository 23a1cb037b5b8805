//! The control plane in memory, as somebody has it who embeds it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and the time that many take is printed"
)]

mod building;
mod faults;
mod faulty;
mod lifecycle;
mod load;
mod runner;
mod support;
mod waiting;
