//! The only place of this binary that asks for the time.
#![expect(
    clippy::disallowed_methods,
    reason = "an instance stands outside the control plane and its clock"
)]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, as OpenClaw stamps its events.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// Measures elapsed time without being moved by the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
