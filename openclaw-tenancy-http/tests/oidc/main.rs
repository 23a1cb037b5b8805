//! Sign-in against a hostile provider, three of other people's making, and our own accounts.
//!
//! One binary: each module would otherwise link the whole server again.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod code;
mod conformance;
mod csrf;
mod keys;
mod local;
mod mix_up;
mod providers;
mod relying_party;
mod ssrf;
mod support;
mod tokens;
