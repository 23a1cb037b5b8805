//! Whom a provider's bearers have named lately, so that not every request writes to the store.
//!
//! An account of one (issuer, subject) is for good, so an entry is never wrong; it is passed over as soon as
//! the provider says anything else of its person, and the store is brought up to date.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::{Identity, Subject};

/// So many are kept. With more people at once the store is asked more often, and that is all.
const MOST: usize = 10_000;

/// The accounts of identities that were signed in before.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<Subject, (Identity, AccountId)>>);

impl Known {
    /// The account that has been signed in with exactly this identity.
    pub(super) fn find(&self, identity: &Identity) -> Option<AccountId> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, account) = known.get(&identity.who)?;
        (before == identity).then_some(*account)
    }

    /// Remembers that `account` was signed in with this identity.
    pub(super) fn keep(&self, identity: Identity, account: AccountId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(identity.who.clone(), (identity, account));
    }
}

impl fmt::Debug for Known {
    /// Without who: that is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}
