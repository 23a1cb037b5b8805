//! The whole control plane in a simulation: a manual clock, one seed, every effect with three outcomes, a crash
//! at every await, and the invariants checked after every step: before each call that follows one, and when a pass
//! ends.
//!
//! `cargo test --profile simulation -p simulation --test simulation` runs it, and `--test simulation replay` with
//! `SIMULATION_SEED=<n>` in the environment the schedule of a seed, with its story. A failure prints the seed or the fault
//! points.

#![expect(
    clippy::disallowed_methods,
    reason = "the rate of schedules is measured in real time"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::cast_precision_loss,
    reason = "a rate is shown, not computed with"
)]

mod bugs;
mod invariants;
mod machine;
mod rest;
mod scene;
mod story;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bugs::Bug;
use openclaw_tenancy::memory::Fault;

/// How many random schedules: a CI run's, unless the long run asks for more.
fn schedules() -> u64 {
    std::env::var("SIMULATION_SCHEDULES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000)
}

/// Does all numbers below `n` on two threads, each seed once, and gives the time it took.
///
/// One such work after the other, whatever else the test runner does at once: so a rate is what the machine does.
fn in_parallel(n: u64, each: impl Fn(u64) + Sync) -> Duration {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let mine = next.fetch_add(1, Ordering::Relaxed);
                    if mine >= n {
                        break;
                    }
                    each(mine);
                }
            });
        }
    });
    began.elapsed()
}

const OUTCOMES: [Fault; 4] = [
    Fault::Fail,
    Fault::LoseAnswer,
    Fault::HangBefore,
    Fault::HangAfter,
];

#[test]
fn every_single_fault_point() {
    let calls = story::life(&[], None).expect("no fault, no violation");
    let mut schedules = 0;
    for call in 0..calls {
        for fault in OUTCOMES {
            schedules += 1;
            if let Err(violation) = story::life(&[(call, fault)], None) {
                panic!("{fault:?} at call {call}: {violation}");
            }
        }
    }
    println!("single fault points: {schedules} schedules over {calls} calls, no violation");
}

#[test]
fn every_pair_of_crash_points() {
    let calls = story::life(&[], None).expect("no fault, no violation");
    let schedules = AtomicU64::new(0);
    let took = in_parallel(calls, |first| {
        // Before a call is after the one before it: two points for the first crash are enough.
        for fault in [Fault::HangBefore, Fault::HangAfter] {
            // Until the end of the life with that crash: what is done again makes it longer.
            let end = story::life(&[(first, fault)], None)
                .unwrap_or_else(|violation| panic!("{fault:?} at call {first}: {violation}"));
            for second in first + 1..end {
                let pair = [(first, fault), (second, Fault::HangAfter)];
                if let Err(violation) = story::life(&pair, None) {
                    panic!("{pair:?}: {violation}");
                }
            }
            schedules.fetch_add(end.saturating_sub(first + 1), Ordering::Relaxed);
        }
    });
    let schedules = schedules.into_inner();
    let rate = schedules as f64 / took.as_secs_f64();
    println!("pairs of crash points: {schedules} schedules, no violation, {rate:.0}/s");
}

#[test]
fn random_schedules() {
    let schedules = schedules();
    let took = in_parallel(schedules, |seed| {
        if let Err(violation) = story::random(seed, None) {
            panic!("SIMULATION_SEED={seed}: {violation}");
        }
    });
    let rate = schedules as f64 / took.as_secs_f64();
    println!("random schedules: {schedules} seeds, no violation, {rate:.0}/s");
}

#[test]
fn every_planted_bug_is_found_by_its_recorded_seed() {
    let mut stale = Vec::new();
    for bug in Bug::ALL {
        let seed = bug.recorded_seed();
        match story::random(seed, Some(bug)) {
            Err(violation) => println!("{bug:?}: seed {seed}: {violation}"),
            Ok(()) => stale.push(bug),
        }
    }
    if stale.is_empty() {
        return;
    }
    // Stories change with the simulation: these are the seeds to record then.
    in_parallel(stale.len() as u64, |n| {
        let bug = stale[usize::try_from(n).unwrap()];
        let found = (0..schedules()).find_map(|seed| {
            let violation = story::random(seed, Some(bug)).err()?;
            Some((seed, violation))
        });
        println!("{bug:?} is found anew: {found:?}");
    });
    panic!("nothing is found by the recorded seeds of {stale:?}");
}

#[test]
fn replay() {
    let Some(seed) = std::env::var("SIMULATION_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
    else {
        // Without a seed: the same seed gives the same story, which is what a replay rests on.
        assert_eq!(story::tell(7), story::tell(7));
        return;
    };
    println!("{}", story::tell(seed));
}
