//! From where names have signed in before.
//!
//! A bound on the guesses for one name from anywhere lets a stranger with many addresses keep its owner out (the
//! denial of service of NIST SP 800-63B §5.2.2 and of OWASP's sheet on authentication). The established way out is
//! not to hold the guesses of others against an address, or a browser, from which the owner has signed in.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use openclaw_tenancy::access::SecretHash;

/// Places remembered of one name: so many has a person. There are as many names as have signed in.
const MOST: usize = 16;

/// From where a name is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Its address, or network: nobody's alone.
    Address(IpAddr),
    /// A browser that keeps a secret of ours.
    Browser(SecretHash),
}

/// The latest places of each name, since this process began.
#[derive(Default)]
pub(crate) struct Familiar(Mutex<HashMap<String, VecDeque<Place>>>);

impl Familiar {
    /// Whether `name` has signed in from `place` lately.
    pub(crate) fn knows(&self, name: &str, place: Place) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names
            .get(name)
            .is_some_and(|places| places.contains(&place))
    }

    /// `name` has signed in from `place`.
    pub(crate) fn keep(&self, name: String, place: Place) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = names.entry(name).or_default();
        places.retain(|known| *known != place);
        if places.len() >= MOST {
            places.pop_front();
        }
        places.push_back(place);
    }
}

impl fmt::Debug for Familiar {
    /// Without names and addresses: those are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Familiar").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_places_of_a_name_are_known() {
        let familiar = Familiar::default();
        let address = |last: u8| Place::Address(IpAddr::from([192, 0, 2, last]));
        for last in (0..16).chain([0, 16]) {
            familiar.keep("ada".to_owned(), address(last));
        }
        let known: Vec<u8> = (0..18)
            .filter(|last| familiar.knows("ada", address(*last)))
            .collect();
        let expected: Vec<u8> = [0].into_iter().chain(2..17).collect();
        assert_eq!(known, expected);
        assert!(!familiar.knows("bob", address(16)));
        let browser = |secret| Place::Browser(SecretHash::of(secret));
        familiar.keep("ada".to_owned(), browser("hers"));
        assert!(familiar.knows("ada", browser("hers")));
        assert!(!familiar.knows("ada", browser("another")));
    }
}
