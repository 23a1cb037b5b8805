//! From where names have signed in before.
//!
//! A bound on the guesses for one name from anywhere lets a stranger with many addresses keep its owner out (the
//! denial of service of NIST SP 800-63B §5.2.2 and of OWASP's sheet on authentication). The established way out is
//! not to hold the guesses of others against an address from which the owner has signed in.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Addresses remembered of one name: so many places has a person. There are as many names as have signed in.
const MOST: usize = 8;

/// The latest addresses of each name, since this process began.
#[derive(Default)]
pub(crate) struct Familiar(Mutex<HashMap<String, VecDeque<IpAddr>>>);

impl Familiar {
    /// Whether `name` has signed in from `address` lately.
    pub(crate) fn knows(&self, name: &str, address: IpAddr) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names
            .get(name)
            .is_some_and(|addresses| addresses.contains(&address))
    }

    /// `name` has signed in from `address`.
    pub(crate) fn keep(&self, name: String, address: IpAddr) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = names.entry(name).or_default();
        addresses.retain(|known| *known != address);
        if addresses.len() >= MOST {
            addresses.pop_front();
        }
        addresses.push_back(address);
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
    fn the_latest_addresses_of_a_name_are_known() {
        let familiar = Familiar::default();
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        for last in (0..8).chain([0, 8]) {
            familiar.keep("ada".to_owned(), address(last));
        }
        let known: Vec<u8> = (0..10)
            .filter(|last| familiar.knows("ada", address(*last)))
            .collect();
        assert_eq!(known, [0, 2, 3, 4, 5, 6, 7, 8]);
        assert!(!familiar.knows("bob", address(8)));
    }
}
