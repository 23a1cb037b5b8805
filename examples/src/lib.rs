//! The examples stand beside this file; `cargo run --package examples --example NAME` runs one.
