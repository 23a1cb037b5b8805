//! The reference server as its users meet it: the real binary, as processes of the tests' own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod accounts;
mod at_rest;
mod behind;
mod canaries;
mod commands;
mod cookie_tossing;
mod database;
mod deleted_and_made;
mod disk;
mod instances;
mod life;
mod operator;
mod postgres_killed;
mod provider;
mod quarantine;
mod readme;
mod ready_and_killed;
mod renamed_host;
mod server;
mod services;
mod sign_out;
mod slow_store;
mod support;
mod wire;
