//! Rows of the fault table on a real engine: the reconciler with its store, the Docker backend, and instances that
//! misbehave as they are told to.
//!
//! `TENANCY_TEST_DOCKER_HOST` names the engine and `TENANCY_TEST_STAND_IN_IMAGE` the stand-in on it. Without them the
//! tests are skipped, unless `TENANCY_TEST_REQUIRE` says `docker` or `all`. What is true is asked of the engine by its
//! own command line, and of the log that each start of an instance leaves there.
#![cfg(feature = "server")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail the test that calls them"
)]

#[path = "../kill/docker.rs"]
mod docker;
mod f05_storage;
mod f07_start;
mod f09_stop;
#[path = "../kill/given.rs"]
mod given;
mod instance;
mod overlay;
mod world;
