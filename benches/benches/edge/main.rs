//! The built-in edge beside nginx on the same work, as a ratio measured in one run.
//!
//! Both proxy to the same stand-in instance over kept connections, set and take off the same headers, and are loaded
//! by the same clients in turns. nginx checks no session; the edge does. Needs `nginx`, and the stand-in beside this
//! binary (`cargo build --release -p stand-in`).
//!
//! `EDGE_BENCH_SECONDS` (default 3) is how long one turn takes, `EDGE_BENCH_TURNS` (default 5) how many each has.

#![expect(clippy::disallowed_methods, reason = "a bench measures wall time")]

mod edge;
mod instance;
mod load;
mod nginx;
mod process;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;

use crate::load::Turn;

/// Clients at once.
const CLIENTS: usize = 32;

fn main() -> anyhow::Result<()> {
    if std::env::var_os(edge::ROLE).is_some() {
        return edge::serve();
    }
    let seconds = Duration::from_secs(from_env("EDGE_BENCH_SECONDS", 3)?);
    let turns = from_env("EDGE_BENCH_TURNS", 5)?;
    let instance = instance::Instance::start()?;
    let edge = edge::Edge::start()?;
    let nginx = nginx::Nginx::start(instance.address())?;
    println!("{CLIENTS} clients, {turns} turns of {seconds:?} each; medians");
    println!(
        "{:<10} {:<6} {:>10} {:>9} {:>9} {:>12}",
        "path", "proxy", "requests/s", "p50", "p99", "CPU us/req"
    );
    for path in ["/healthz", "/"] {
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for _ in 0..turns {
            ours.push(turn(
                edge.address,
                &edge.request(path),
                &edge.process,
                seconds,
            )?);
            theirs.push(turn(
                nginx.address,
                &nginx.request(path),
                &nginx.process,
                seconds,
            )?);
        }
        let (ours, theirs) = (Turn::median(ours), Turn::median(theirs));
        for (name, turn) in [("edge", &ours), ("nginx", &theirs)] {
            println!(
                "{path:<10} {name:<6} {:>10.0} {:>7}us {:>7}us {:>12.1}",
                turn.per_second,
                turn.p50.as_micros(),
                turn.p99.as_micros(),
                turn.cpu_micros
            );
        }
        println!(
            "{path:<10} ratio  {:.2} of nginx's requests/s, {:.2} of its CPU",
            ours.per_second / theirs.per_second,
            ours.cpu_micros / theirs.cpu_micros
        );
    }
    Ok(())
}

fn turn(
    address: SocketAddr,
    request: &str,
    process: &process::Process,
    lasts: Duration,
) -> anyhow::Result<Turn> {
    let before = process.cpu()?;
    let mut turn = load::run(address, request, CLIENTS, lasts)?;
    turn.cpu_micros = (process.cpu()? - before).as_secs_f64() * 1e6 / turn.requests as f64;
    Ok(turn)
}

fn from_env(name: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(value) => value
            .parse()
            .with_context(|| format!("{name}={value} is not a number")),
        Err(_) => Ok(default),
    }
}
