//! How often a provider may be asked because somebody presented something unknown.

use std::time::Duration;

use openclaw_tenancy::clock::Timestamp;

/// This many at once: two rotations and a restart in one minute still work, where a flat cool-down would fail them.
const BURST: u32 = 5;
/// Then one each.
const REFILL: Duration = Duration::from_secs(30);

/// A token bucket of 5, refilled by 1 every 30 seconds.
#[derive(Debug)]
pub(in crate::identity) struct Bucket {
    tokens: u32,
    refilled: Timestamp,
}

impl Bucket {
    pub(in crate::identity) const fn full(now: Timestamp) -> Self {
        Self {
            tokens: BURST,
            refilled: now,
        }
    }

    /// Takes a token, or says how long until there is one.
    pub(in crate::identity) fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        // A clock set back must not stop the refill for as long as it was set back.
        if now < self.refilled {
            self.refilled = now;
        }
        let waited = now.since(self.refilled);
        let earned = waited.as_millis() / REFILL.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(BURST);
            self.refilled = if self.tokens == BURST {
                now
            } else {
                self.refilled.plus(REFILL.saturating_mul(earned))
            };
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                // A full bucket earns nothing, so the refill begins when it stops being full.
                if self.tokens == BURST {
                    self.refilled = now;
                }
                self.tokens = left;
                Ok(())
            }
            None => Err(REFILL.saturating_sub(now.since(self.refilled))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000 + seconds)
    }

    #[test]
    fn five_at_once_then_one_each_thirty_seconds() {
        let mut bucket = Bucket::full(at(0));
        let taken: Vec<i64> = (0..120)
            .filter(|second| bucket.take(at(*second)).is_ok())
            .collect();
        assert_eq!(taken, [0, 1, 2, 3, 4, 30, 60, 90]);
    }

    #[test]
    fn a_flood_gets_at_most_six_in_any_minute() {
        let mut bucket = Bucket::full(at(0));
        let taken: Vec<i64> = (0..600)
            .filter(|second| (0..100).any(|_| bucket.take(at(*second)).is_ok()))
            .collect();
        for start in 1..540 {
            let within = taken
                .iter()
                .filter(|s| (start..start + 60).contains(*s))
                .count();
            assert!(within <= 6, "{within} in the minute from second {start}");
        }
    }

    #[test]
    fn a_clock_set_back_does_not_stop_the_refill() {
        let mut bucket = Bucket::full(at(3600));
        (0..5).for_each(|_| bucket.take(at(3600)).unwrap());
        assert!(bucket.take(at(0)).is_err());
        assert!(bucket.take(at(30)).is_ok());
    }

    #[test]
    fn the_wait_is_told() {
        let mut bucket = Bucket::full(at(0));
        (0..5).for_each(|_| bucket.take(at(0)).unwrap());
        assert_eq!(bucket.take(at(10)).unwrap_err(), Duration::from_secs(20));
    }
}
