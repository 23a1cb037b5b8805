//! How often something may be tried: one bucket for each key.
//!
//! The generic cell rate algorithm (ITU-T I.371): a bucket is one point in time, so that a key that has been
//! quiet long enough costs nothing and is forgotten.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_tenancy::clock::{Clock, Timestamp};

/// So many keys are told apart; what comes beyond them shares one bucket.
const MAX_KEYS: usize = 50_000;

/// So many at once, and then one each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once; zero is read as one.
    pub burst: u32,
    /// Then one each.
    pub period: Duration,
}

impl Rate {
    /// `burst` at once and then one each `period`.
    #[must_use]
    pub const fn new(burst: u32, period: Duration) -> Self {
        Self { burst, period }
    }

    /// Takes one from a bucket that is full again at `full_at`, or says how long until there is one.
    fn take(self, full_at: &mut Timestamp, now: Timestamp) -> Result<(), Duration> {
        let latest = now.plus(self.period.saturating_mul(self.burst.max(1)));
        // Later than that it is only where the clock was set back since, nobody knows when. Then it is full: else whoever
        // comes next would be refused for what they did before, for as long as the clock was set back.
        if *full_at > latest {
            *full_at = now;
        }
        let next = (*full_at).max(now).plus(self.period);
        if next > latest {
            return Err(next.since(latest));
        }
        *full_at = next;
        Ok(())
    }
}

/// A bucket of one rate for each key.
pub struct Limiter<K> {
    rate: Rate,
    clock: Arc<dyn Clock>,
    buckets: Mutex<Buckets<K>>,
}

struct Buckets<K> {
    /// When each is full again.
    full_at: HashMap<K, Timestamp>,
    /// Everybody's beyond [`MAX_KEYS`].
    rest_full_at: Timestamp,
}

impl<K: Hash + Eq> Limiter<K> {
    /// Buckets of `rate`, full.
    #[must_use]
    pub fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let buckets = Mutex::new(Buckets {
            full_at: HashMap::new(),
            rest_full_at: clock.now(),
        });
        Self {
            rate,
            clock,
            buckets,
        }
    }

    /// Takes one from the bucket of `key`.
    ///
    /// # Errors
    /// How long to wait until there is one: nothing was taken.
    pub fn take(&self, key: K) -> Result<(), Duration> {
        let now = self.clock.now();
        let mut guard = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets {
            full_at,
            rest_full_at,
        } = &mut *guard;
        if full_at.len() >= MAX_KEYS && !full_at.contains_key(&key) {
            // A full bucket is as good as none.
            full_at.retain(|_, at| *at > now);
            if full_at.len() >= MAX_KEYS {
                return self.rate.take(rest_full_at, now);
            }
        }
        self.rate.take(full_at.entry(key).or_insert(now), now)
    }

    /// Puts one back that [`take`](Self::take) took from the bucket of `key`: what it was for turned out to be
    /// no fault of the key's. A bucket is never more than full.
    pub fn give_back(&self, key: &K) {
        let now = self.clock.now();
        let mut guard = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = guard.full_at.get_mut(key) {
            *full_at = now.plus(full_at.since(now).saturating_sub(self.rate.period));
        }
    }
}

impl<K> fmt::Debug for Limiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::ManualClock;

    use super::*;

    fn limiter(burst: u32, seconds: u64) -> (ManualClock, Limiter<u32>) {
        let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
        let rate = Rate::new(burst, Duration::from_secs(seconds));
        let limiter = Limiter::new(rate, Arc::new(clock.clone()));
        (clock, limiter)
    }

    #[test]
    fn a_burst_then_one_each_period() {
        let (clock, limiter) = limiter(3, 10);
        let taken: Vec<u32> = (0..60)
            .filter(|_| {
                clock.advance(Duration::from_secs(1));
                limiter.take(1).is_ok()
            })
            .collect();
        assert_eq!(taken, [0, 1, 2, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let (clock, limiter) = limiter(2, 10);
        for _ in 0..5 {
            limiter.take(1).unwrap();
            limiter.give_back(&1);
        }
        limiter.give_back(&1);
        limiter.give_back(&7);
        assert!(limiter.take(1).is_ok() && limiter.take(1).is_ok());
        assert_eq!(limiter.take(1), Err(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(100));
        let taken = (0..9).filter(|_| limiter.take(1).is_ok()).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn keys_do_not_share() {
        let (_, limiter) = limiter(1, 10);
        assert!(limiter.take(1).is_ok());
        assert_eq!(limiter.take(1), Err(Duration::from_secs(10)));
        assert!(limiter.take(2).is_ok());
    }

    #[test]
    fn a26_exhaustion_a_flood_of_keys_is_bounded_and_known_keys_keep_theirs() {
        let (clock, limiter) = limiter(2, 10);
        for key in 0..60_000 {
            let _ = limiter.take(key);
        }
        let kept = limiter.buckets.lock().unwrap().full_at.len();
        assert_eq!(kept, MAX_KEYS);
        assert!(limiter.take(7).is_ok(), "a known key has its own");
        assert!(limiter.take(1_000_000).is_err(), "the rest share one");
        clock.advance(Duration::from_secs(60));
        assert!(limiter.take(1_000_000).is_ok());
        assert_eq!(limiter.buckets.lock().unwrap().full_at.len(), 1);
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out() {
        let rate = Rate::new(1, Duration::from_secs(10));
        let mut full_at = Timestamp::from_seconds(1_700_003_600);
        let now = Timestamp::from_seconds(1_700_000_000);
        for (later, taken) in [(0, Ok(())), (9, Err(1)), (10, Ok(())), (11, Err(9))] {
            let now = now.plus(Duration::from_secs(later));
            let taken = taken.map_err(Duration::from_secs);
            assert_eq!(rate.take(&mut full_at, now), taken, "{later} s");
        }
    }
}
