//! Burning CPU time, and filling the table of tasks.

use std::hint::black_box;
use std::sync::{Arc, Barrier, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Stopwatch;

/// Linux reports process times in hundredths of a second on every architecture we run on.
const MS_PER_TICK: u64 = 10;

/// Keeps `threads` threads busy for `time`, and says how much CPU time the process was really given.
pub(super) fn burn(threads: u16, time: Duration) -> Value {
    let before = cpu_ms();
    let watch = Stopwatch::start();
    let deadline = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let started = Arc::new(Barrier::new(usize::from(threads) + 1));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let started = Arc::clone(&started);
            thread::spawn(move || {
                started.wait();
                while watch.elapsed_ms() < deadline {
                    for step in 0..20_000_u64 {
                        black_box(step.wrapping_mul(step));
                    }
                }
            })
        })
        .collect();
    started.wait();
    for worker in workers {
        let _ = worker.join();
    }
    let (wall, used) = (watch.elapsed_ms(), cpu_ms().saturating_sub(before));
    json!({
        "threads": threads,
        "wallMs": wall,
        "cpuMs": used,
        "milliCpus": used.saturating_mul(1000).checked_div(wall),
    })
}

/// User and system time of this process in milliseconds.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the process stands in parentheses and may hold anything.
    let after_name = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks * MS_PER_TICK
}

/// Starts up to `count` threads that live at the same time, and returns how many could be started.
pub(super) fn tasks(count: usize) -> usize {
    let done = Arc::new((Mutex::new(false), Condvar::new()));
    let mut running = Vec::new();
    for _ in 0..count {
        let done = Arc::clone(&done);
        let spawned = thread::Builder::new().stack_size(32 * 1024).spawn(move || {
            let (flag, changed) = &*done;
            let guard = flag.lock().unwrap_or_else(PoisonError::into_inner);
            drop(changed.wait_while(guard, |done| !*done));
        });
        match spawned {
            Ok(thread) => running.push(thread),
            Err(_) => break,
        }
    }
    let started = running.len();
    let (flag, changed) = &*done;
    *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
    changed.notify_all();
    for thread in running {
        let _ = thread.join();
    }
    started
}
