//! Who has signed out in this process: what the store said of their sessions before holds no more.
//!
//! Time cannot order a sign-out and a look-up that are under way together; a count of the sign-outs can. Each
//! session remembers the count from before it was asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use openclaw_tenancy::id::AccountId;

/// Accounts told apart; beyond them every session is asked for once more.
const MOST: usize = 10_000;

/// Sign-outs, counted.
#[derive(Debug, Default)]
pub(super) struct SignedOut {
    count: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    of: HashMap<AccountId, u64>,
    /// The last of anybody who is not among them.
    of_others: u64,
}

impl SignedOut {
    /// How many there have been.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// `account` has signed out, and the store knows.
    pub(super) fn note(&self, account: AccountId) {
        let mut last = self.last();
        let count = self.count() + 1;
        if last.of.len() >= MOST {
            last.of.clear();
            last.of_others = count;
        }
        last.of.insert(account, count);
        self.count.store(count, Ordering::Release);
    }

    /// Whether `account` has signed out since `known`, the count from before its session was asked for. If not,
    /// `known` is brought up to date, so that the next time costs nothing.
    pub(super) fn since(&self, account: AccountId, known: &AtomicU64) -> bool {
        let before = known.load(Ordering::Acquire);
        if before == self.count() {
            return false;
        }
        let last = self.last();
        let latest = last.of.get(&account).copied().unwrap_or(last.of_others);
        if latest > before {
            return true;
        }
        known.store(self.count(), Ordering::Release);
        false
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::{SystemClock, SystemEntropy};

    use super::*;

    #[test]
    fn a_sign_out_is_one_accounts_whatever_else_happens() {
        let id = || AccountId::generate(&SystemClock, &SystemEntropy);
        let (ada, bob) = (id(), id());
        let signed_out = SignedOut::default();
        let (of_ada, of_bob) = (AtomicU64::new(0), AtomicU64::new(0));
        signed_out.note(ada);
        for _ in 0..2 {
            assert!(signed_out.since(ada, &of_ada), "until it is asked again");
            assert!(!signed_out.since(bob, &of_bob));
        }
        assert_eq!(of_bob.load(Ordering::Relaxed), 1);
        of_ada.store(signed_out.count(), Ordering::Relaxed);
        assert!(!signed_out.since(ada, &of_ada));
        // More than are told apart: nobody's is missed.
        for _ in 0..=MOST {
            signed_out.note(id());
        }
        assert!(signed_out.last().of.len() <= MOST);
        assert!(signed_out.since(ada, &of_ada) && signed_out.since(bob, &of_bob));
    }
}
