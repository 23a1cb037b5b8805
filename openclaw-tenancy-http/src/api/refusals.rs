//! Refused sign-ins: each address has a line a minute with their number, so that they are found later and nobody can
//! fill a disk with them.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_tenancy::clock::Clock;
use openclaw_tenancy::id::AccountId;

use crate::access::limit::{Limiter, Rate};

/// Lines of one address.
const EACH: Rate = Rate::new(1, Duration::from_secs(60));
/// Lines in all: whoever has many addresses has no more.
const ALL: Rate = Rate::new(60, Duration::from_secs(1));
/// Addresses whose refusals are counted until their next line; those of others are not told.
const MOST: usize = 10_000;

/// Counts refused sign-ins.
pub(super) struct Refusals {
    each: Limiter<IpAddr>,
    all: Limiter<()>,
    untold: Mutex<HashMap<IpAddr, u64>>,
    /// Local accounts that have signed in here: there are as many as there are people.
    accounts: Mutex<HashMap<String, AccountId>>,
}

impl Refusals {
    pub(super) fn new(clock: impl Fn() -> Arc<dyn Clock>) -> Self {
        Self {
            each: Limiter::new(EACH, clock()),
            all: Limiter::new(ALL, clock()),
            untold: Mutex::default(),
            accounts: Mutex::default(),
        }
    }

    /// One more from `address`. If it is to have a line: how many there were since its last one, this one included.
    pub(super) fn count(&self, address: IpAddr) -> Option<u64> {
        let has_line = self.each.take(address).is_ok()
            && self
                .all
                .take(())
                .inspect_err(|_| self.each.give_back(&address))
                .is_ok();
        let mut untold = lock(&self.untold);
        if has_line {
            return Some(untold.remove(&address).unwrap_or_default() + 1);
        }
        if untold.len() < MOST || untold.contains_key(&address) {
            *untold.entry(address).or_default() += 1;
        }
        None
    }

    /// The local account `name` has signed in: its refusals are known by `account` from now on.
    pub(super) fn know(&self, name: &str, account: AccountId) {
        let mut accounts = lock(&self.accounts);
        if !accounts.contains_key(name) {
            accounts.insert(name.to_owned(), account);
        }
    }

    /// The account of a local account's name, if it has signed in here.
    pub(super) fn account(&self, name: &str) -> Option<AccountId> {
        lock(&self.accounts).get(name).copied()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Refusals {
    /// Without names and addresses: those are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn a_flood_has_a_line_a_minute_for_each_address_and_so_many_in_all() {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let refusals = Refusals::new(|| Arc::new(clock.clone()));
        let address = |n: u16| {
            let [high, low] = n.to_be_bytes();
            IpAddr::from([10, 0, high, low])
        };
        let told: Vec<_> = (0..100).map(|_| refusals.count(address(0))).collect();
        assert_eq!((told[0], told.iter().flatten().count()), (Some(1), 1));
        clock.advance(Duration::from_secs(60));
        assert_eq!(refusals.count(address(0)), Some(100));
        let lines = (1..=30_000).filter_map(|n| refusals.count(address(n)));
        assert_eq!(lines.count(), 59, "with the one before");
        assert_eq!(lock(&refusals.untold).len(), MOST);
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            refusals.count(address(100)),
            Some(2),
            "it waits for its turn"
        );
    }
}
