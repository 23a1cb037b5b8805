//! A small instance that imitates OpenClaw 2026.9.6 towards a manager and an edge.
//!
//! It imitates probes, attribution, the page, the WebSocket handshake, identity by trusted proxy, hot reload, shutdown
//! and exit codes, and reads OpenClaw's own configuration files. Everything under `/whoami`, `/echo`, `/_knob/` and
//! `/hostile/`, every `STAND_IN_` variable, the echo of text on an admitted socket and the lock on the data volume
//! exist in the stand-in only.
//!
//! It does not imitate device signatures, stored pairings, the lockout after failed sign-ins, or any RPC method but
//! `health`.

mod app;
mod applet;
mod attribution;
mod auth;
mod clock;
mod config;
mod echo;
mod exit;
mod hostile;
mod knob;
mod log;
mod origin;
mod probe;
mod query;
mod random;
mod reply;
mod routes;
mod server;
mod settings;
mod socket;
mod ui;
mod volume;

use std::process::ExitCode;

use crate::exit::Exit;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if applet::is_cat() {
        return applet::cat(arguments);
    }
    if let Some(argument) = arguments.next()
        && argument == knob::memory::CHILD_ARGUMENT
    {
        return knob::memory::be_the_child(arguments.next().as_deref());
    }
    let exit = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(server::run()),
        Err(error) => Exit::Failed(format!("no runtime: {error}")),
    };
    match &exit {
        Exit::Stopped => log::line("shutdown", &exit.to_string()),
        Exit::Failed(_) | Exit::Configuration(_) | Exit::SecondWriter(_) | Exit::Asked(_) => {
            log::line("gateway", &exit.to_string());
        }
    }
    ExitCode::from(&exit)
}
