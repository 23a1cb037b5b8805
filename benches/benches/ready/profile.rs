//! Where the time of a turn goes: every call, how often and how long, and how long none was under way.

use std::collections::BTreeMap;
use std::time::Duration;

use benches::turns::median;

use crate::raw::{RawTurn, shape};
use crate::relay::Exchange;
use crate::stack::Turn;

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    count: usize,
    millis: f64,
}

/// Prints the recorded turn of ours beside the medians of the raw ones.
pub(crate) fn print(turn: &Turn, exchanges: &[Exchange], raw: &[RawTurn]) {
    let ended = turn.began + turn.ready;
    let within: Vec<&Exchange> = exchanges
        .iter()
        .filter(|exchange| exchange.began >= turn.began && exchange.ended <= ended)
        .collect();
    let mut calls: BTreeMap<String, (Sum, Sum)> = BTreeMap::new();
    for exchange in &within {
        let Some(call) = shape(exchange) else {
            continue;
        };
        let ours = &mut calls.entry(call).or_default().0;
        ours.count += 1;
        ours.millis += millis(exchange.ended - exchange.began);
    }
    for (at, (call, _)) in raw
        .first()
        .into_iter()
        .flat_map(|turn| &turn.calls)
        .enumerate()
    {
        let all: Vec<f64> = raw.iter().map(|turn| millis(turn.calls[at].1)).collect();
        let theirs = &mut calls.entry(call.clone()).or_default().1;
        theirs.count += 1;
        theirs.millis += median(&all);
    }
    println!("one turn of ours through a relay, and the medians of the raw turns");
    println!(
        "{:<34} {:>5} {:>9} {:>5} {:>9}",
        "call", "ours", "ms", "raw", "ms"
    );
    for (call, (ours, theirs)) in &calls {
        println!(
            "{call:<34} {:>5} {:>9.1} {:>5} {:>9.1}",
            ours.count, ours.millis, theirs.count, theirs.millis
        );
    }
    let total = |of: fn(&(Sum, Sum)) -> Sum| {
        calls.values().map(of).fold(Sum::default(), |sum, one| Sum {
            count: sum.count + one.count,
            millis: sum.millis + one.millis,
        })
    };
    let (ours, theirs) = (total(|both| both.0), total(|both| both.1));
    println!(
        "{:<34} {:>5} {:>9.1} {:>5} {:>9.1}",
        "all calls", ours.count, ours.millis, theirs.count, theirs.millis
    );
    let started = within
        .iter()
        .find(|exchange| shape(exchange).is_some_and(|call| call.ends_with("/start")))
        .map_or(ended, |exchange| exchange.ended);
    let first = within.first().map_or(ended, |exchange| exchange.began);
    println!(
        "{:.1} ms to the first call; {:.1} ms to the start's answer, {:.1} ms of them without a call; {:.1} ms to ready",
        millis(first - turn.began),
        millis(started - first),
        idle(&within, first, started),
        millis(ended - started)
    );
    println!();
}

/// Milliseconds between `from` and `to` in which no call is under way.
fn idle(within: &[&Exchange], from: std::time::Instant, to: std::time::Instant) -> f64 {
    let mut busy_until = from;
    let mut idle = Duration::ZERO;
    // In the order in which they began.
    for exchange in within.iter().filter(|exchange| exchange.began < to) {
        idle += exchange.began.saturating_duration_since(busy_until);
        busy_until = busy_until.max(exchange.ended);
    }
    millis(idle)
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
