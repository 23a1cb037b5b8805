//! The whole control plane in a simulation: a manual clock, one seed, every effect with three outcomes, a crash
//! at every await, and the invariants checked after every step.
//!
//! A failure prints the seed or the fault points; `SIMULATION_SEED=<n> cargo test --test simulation replay`
//! runs that one again with its story.

#![expect(
    clippy::disallowed_methods,
    reason = "the rate of schedules is measured in real time"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "a rate is shown, not computed with"
)]

#[path = "simulation/bugs.rs"]
mod bugs;
#[path = "simulation/invariants.rs"]
mod invariants;
#[path = "simulation/story.rs"]
mod story;
#[path = "simulation/world.rs"]
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bugs::Bug;
use openclaw_tenancy::memory::Fault;

/// How many random schedules: a CI run's, unless the long run asks for more.
fn schedules() -> u64 {
    std::env::var("SIMULATION_SCHEDULES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000)
}

/// Does all numbers below `n` on two threads, each seed once.
fn in_parallel(n: u64, each: impl Fn(u64) + Sync) {
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
    let mut schedules = 0_u64;
    for first in 0..calls {
        // Faults shift what follows; half as many calls again cover the longer stories.
        for second in first + 1..calls + calls / 2 {
            for pair in [
                [Fault::HangBefore, Fault::HangBefore],
                [Fault::HangBefore, Fault::HangAfter],
                [Fault::HangAfter, Fault::HangBefore],
                [Fault::HangAfter, Fault::HangAfter],
            ] {
                schedules += 1;
                if let Err(violation) = story::life(&[(first, pair[0]), (second, pair[1])], None) {
                    panic!("{pair:?} at calls {first} and {second}: {violation}");
                }
            }
        }
    }
    println!("pairs of crash points: {schedules} schedules, no violation");
}

#[test]
fn random_schedules() {
    let schedules = schedules();
    for seed in 0..schedules {
        if let Err(violation) = story::random(seed, None, false) {
            panic!("SIMULATION_SEED={seed}: {violation}");
        }
    }
    println!(
        "random schedules: seeds 0 to {}, no violation",
        schedules - 1
    );
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let found = (0..5_000).find_map(|seed| {
            story::random(seed, Some(bug), false)
                .err()
                .map(|violation| (seed, violation))
        });
        let Some((seed, violation)) = found else {
            panic!("{bug:?} was not found")
        };
        println!("{bug:?}: seed {seed}: {violation}");
    }
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
