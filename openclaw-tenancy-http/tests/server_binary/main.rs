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
#[path = "../kill/docker.rs"]
mod docker;
#[path = "../kill/holdings.rs"]
mod holdings;
mod instances;
mod killed_on_postgres;
#[path = "../kill/left.rs"]
mod left;
mod life;
#[path = "../kill/of_server.rs"]
mod of_server;
mod open_files;
mod operator;
mod postgres_killed;
#[path = "../kill/processes.rs"]
mod processes;
mod provider;
mod quarantine;
mod readme;
mod ready_and_killed;
mod renamed_host;
mod replicas;
mod restored;
mod server;
mod services;
mod sign_out;
#[path = "../kill/signals.rs"]
mod signals;
mod slow_store;
mod support;
mod tls_host;
mod wire;
