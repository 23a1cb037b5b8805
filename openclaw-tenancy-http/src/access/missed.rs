//! Secrets that were looked for and are nobody's, counted by address.
//!
//! Looking one up costs a read of the store, and whoever invents them can ask for as many as they like. So an address
//! may miss so often, and then what it brings is not looked for, unless this process has found it before: people behind
//! the same address, whose secrets are good, notice nothing.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_tenancy::access::SecretHash;
use openclaw_tenancy::clock::Clock;

use super::limit::{Limiter, Rate};

/// Secrets remembered as good. Beyond them it begins anew: each of them is good for one look more.
const MOST: usize = 50_000;

/// Misses of each address.
pub(crate) struct Missed {
    tried: Limiter<IpAddr>,
    good: Mutex<HashSet<SecretHash>>,
}

/// A secret that is being looked for; it counts as missed until it is known.
#[derive(Debug)]
#[must_use = "say what it came to"]
pub(crate) struct Look {
    address: IpAddr,
    secret: SecretHash,
    /// Taken from the address's bucket; not where that is empty and the secret was good before.
    counted: bool,
}

impl Missed {
    pub(crate) fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        Self {
            tried: Limiter::new(rate, clock),
            good: Mutex::default(),
        }
    }

    /// Begins to look for `secret`, which came from `address`.
    ///
    /// # Errors
    /// How long to wait: the address has missed too often, and the secret was never found here.
    pub(crate) fn look(&self, address: IpAddr, secret: SecretHash) -> Result<Look, Duration> {
        let counted = match self.tried.take(address) {
            Ok(()) => true,
            Err(_) if self.good().contains(&secret) => false,
            Err(wait) => return Err(wait),
        };
        Ok(Look {
            address,
            secret,
            counted,
        })
    }

    /// It was found.
    pub(crate) fn found(&self, look: Look) {
        self.remember(look.secret);
        self.unknown(look);
    }

    /// It is nobody's: that stays counted.
    #[expect(clippy::needless_pass_by_value, reason = "it is over")]
    pub(crate) fn missed(&self, look: Look) {
        self.good().remove(&look.secret);
    }

    /// It could not be looked for, or was found and will not be again: nothing is counted.
    #[expect(clippy::needless_pass_by_value, reason = "it is over")]
    pub(crate) fn unknown(&self, look: Look) {
        if look.counted {
            self.tried.give_back(&look.address);
        }
    }

    /// `secret` has just been made here.
    pub(crate) fn remember(&self, secret: SecretHash) {
        let mut good = self.good();
        if good.len() >= MOST {
            good.clear();
        }
        good.insert(secret);
    }

    fn good(&self) -> std::sync::MutexGuard<'_, HashSet<SecretHash>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Missed")
            .field("tried", &self.tried)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn misses_are_counted_and_what_was_found_is_not_held_up_by_them() {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let rate = Rate::new(2, Duration::from_secs(10));
        let missed = Missed::new(rate, Arc::new(clock.clone()));
        let (here, there) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let secret = |text: &str| SecretHash::of(text);
        for _ in 0..5 {
            missed.found(missed.look(here, secret("good")).unwrap());
            missed.unknown(missed.look(here, secret("not looked for")).unwrap());
        }
        for text in ["a", "b"] {
            missed.missed(missed.look(here, secret(text)).unwrap());
        }
        assert_eq!(
            missed.look(here, secret("c")).unwrap_err(),
            Duration::from_secs(10)
        );
        missed.missed(missed.look(there, secret("c")).unwrap());
        missed.found(missed.look(here, secret("good")).unwrap());
        // One that has ended has no way past the count any more.
        missed.missed(missed.look(here, secret("good")).unwrap());
        assert!(missed.look(here, secret("good")).is_err());
        clock.advance(Duration::from_secs(10));
        missed.found(missed.look(here, secret("c")).unwrap());
    }
}
