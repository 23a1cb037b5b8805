//! The built-in edge beside nginx on the same work, as a ratio measured in one run.
//!
//! Both proxy to the same stand-in instance over kept connections, set and take off the same headers, and are loaded
//! by the same clients in turns. nginx checks no session; the edge does. Needs `nginx`, and the stand-in beside this
//! binary (`cargo build --release -p stand-in`).
//!
//! Turns are short and many, and a ratio is the median of the ratios of neighbours: what else the machine does hits
//! both alike. `EDGE_BENCH_MILLIS` (default 500) is how long one turn takes, `EDGE_BENCH_TURNS` (default 15) how many
//! each has.

#![expect(clippy::disallowed_methods, reason = "a bench measures wall time")]

mod edge;
mod instance;
mod load;
mod nginx;

use std::net::SocketAddr;
use std::time::Duration;

use benches::process::Process;
use benches::turns::{from_env, median_ratio};

use crate::load::Turn;

/// Clients at once.
const CLIENTS: usize = 32;

fn main() -> anyhow::Result<()> {
    if std::env::var_os(edge::ROLE).is_some() {
        return edge::serve();
    }
    let lasts = Duration::from_millis(from_env("EDGE_BENCH_MILLIS", 500)?);
    let turns = from_env("EDGE_BENCH_TURNS", 15)?.max(1);
    let instance = instance::Instance::start()?;
    let edge = edge::Edge::start()?;
    let nginx = nginx::Nginx::start(instance.address())?;
    println!("{CLIENTS} clients, {turns} turns of {lasts:?} each; medians");
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
                lasts,
            )?);
            theirs.push(turn(
                nginx.address,
                &nginx.request(path),
                &nginx.process,
                lasts,
            )?);
        }
        let requests = ratio(&ours, &theirs, |turn| turn.per_second);
        let cpu = ratio(&ours, &theirs, |turn| turn.cpu_micros);
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
        println!("{path:<10} ratio  {requests:.2} of nginx's requests/s, {cpu:.2} of its CPU");
    }
    Ok(())
}

fn turn(
    address: SocketAddr,
    request: &str,
    process: &Process,
    lasts: Duration,
) -> anyhow::Result<Turn> {
    let before = process.cpu()?;
    let mut turn = load::run(address, request, CLIENTS, lasts)?;
    turn.cpu_micros = (process.cpu()? - before).as_secs_f64() * 1e6 / turn.requests as f64;
    Ok(turn)
}

fn ratio(ours: &[Turn], theirs: &[Turn], of: impl Fn(&Turn) -> f64) -> f64 {
    let of_all = |turns: &[Turn]| turns.iter().map(&of).collect::<Vec<_>>();
    median_ratio(&of_all(ours), &of_all(theirs))
}
