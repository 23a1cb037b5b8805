//! The two commands: `cargo xtask up` and `cargo xtask test`.
#![expect(
    clippy::disallowed_methods,
    reason = "a tool for the terminal measures real time; nothing here decides by it"
)]

mod engine;
mod http;
mod image;
mod platform;
mod run;
mod stand_in;
mod term;
mod test;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use image::Kind;

/// Development and first-run commands of openclaw-tenancy.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Bring everything up: engine, image, server; then open it in a browser.
    Up(up::Options),
    /// Set up what the tests need and run everything, skipping nothing.
    Test(test::Options),
    /// Get an image for instances onto the engine: pulled, or made from public packages.
    Image {
        /// Which one.
        #[arg(value_enum, default_value_t = Kind::Openclaw)]
        kind: Kind,
    },
}

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The whole chain on one line each, and never a backtrace: what to do is in the words.
            eprintln!("\n\x1b[31merror:\x1b[0m {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Up(options) => up::perform(&options),
        Task::Test(options) => test::perform(&options),
        Task::Image { kind } => {
            println!("{}", kind.ensure(&engine::ensure()?)?);
            Ok(())
        }
    }
}
