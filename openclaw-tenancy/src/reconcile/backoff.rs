//! How long a failure waits until it is tried again.

use std::time::Duration;

use super::Pace;
use crate::clock::Entropy;

impl Pace {
    /// The wait after the `attempts`-th failure in a row.
    ///
    /// It doubles with each attempt up to [`backoff_most`](Self::backoff_most), and is anywhere between half of that and
    /// all of it: what failed together, as everything on a host does, does not come back together.
    pub(crate) fn wait(&self, attempts: u32, entropy: &dyn Entropy) -> Duration {
        let doublings = attempts.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let full = self.backoff.saturating_mul(factor).min(self.backoff_most);
        let mut random = [0_u8; 2];
        entropy.fill(&mut random);
        let part = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
        // A float is not exact to the nanosecond, and the bound is.
        (full / 2 + full.mul_f64(part / 2.0)).min(full)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::SeededEntropy;

    /// Gives the same byte for ever.
    #[derive(Debug)]
    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, into: &mut [u8]) {
            into.fill(self.0);
        }
    }

    fn pace(backoff: Duration, backoff_most: Duration) -> Pace {
        Pace {
            backoff,
            backoff_most,
            ..Pace::default()
        }
    }

    /// The whole wait without its jitter, in exact numbers.
    fn whole(pace: &Pace, attempts: u32) -> Duration {
        let mut wait = pace.backoff;
        for _ in 1..attempts {
            if wait >= pace.backoff_most {
                break;
            }
            wait = wait.saturating_mul(2);
        }
        wait.min(pace.backoff_most)
    }

    proptest! {
        #[test]
        fn f07_a_wait_is_at_least_half_and_at_most_the_whole_of_what_doubles_to_its_bound(
            backoff in 1_u64..100_000_000_000,
            most in 1_u64..1_000_000_000_000_000,
            attempts in prop_oneof![0_u32..40, Just(u32::MAX)],
            seed: u64,
        ) {
            let pace = pace(Duration::from_nanos(backoff), Duration::from_nanos(most));
            let wait = pace.wait(attempts, &SeededEntropy::new(seed));
            let whole = whole(&pace, attempts.min(64));
            prop_assert!(wait >= whole / 2, "{:?} of {:?}", wait, whole);
            prop_assert!(wait <= whole, "{:?} of {:?}", wait, whole);
            prop_assert!(wait <= pace.backoff_most);
        }
    }

    #[test]
    fn f07_both_ends_of_the_range_are_met() {
        for (attempts, whole) in [(1, 1), (2, 2), (9, 256), (10, 300), (u32::MAX, 300)] {
            let whole = Duration::from_secs(whole);
            let pace = Pace::default();
            assert_eq!(pace.wait(attempts, &Always(0)), whole / 2);
            assert_eq!(pace.wait(attempts, &Always(255)), whole);
        }
    }

    #[test]
    fn f07_waits_differ_and_fill_the_range() {
        let second = Duration::from_secs(1);
        let seeds = (0..256).map(SeededEntropy::new);
        let of_seeds: Vec<Duration> = seeds
            .map(|seed| pace(second, second).wait(1, &seed))
            .collect();
        let one = SeededEntropy::new(7);
        let of_one: Vec<Duration> = (0..256)
            .map(|_| pace(second, second).wait(1, &one))
            .collect();
        for waits in [of_seeds, of_one] {
            let different: BTreeSet<_> = waits.iter().collect();
            assert!(different.len() > 240, "{} of 256", different.len());
            // Each quarter of the range has about a quarter of them.
            for quarter in 0..4 {
                let from = second / 2 + second / 8 * quarter;
                let within = |wait: &&Duration| (from..from + second / 8).contains(*wait);
                let count = waits.iter().filter(within).count();
                assert!((32..=96).contains(&count), "{count} in quarter {quarter}");
            }
        }
    }
}
