//! How often things may be tried, and the buckets that count it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::Clock;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::IdentityError;

use super::problem::{Kind, Problem};
use crate::access::limit::{Limiter, Rate};

/// How often things may be tried.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Any request of one signed-in account.
    pub account: Rate,
    /// Credentials from one address that were refused.
    pub refused: Rate,
    /// Sign-ins from one address, and sign-ins begun at a provider: each keeps a row for ten minutes.
    pub address: Rate,
    /// Passwords for one name from one address.
    pub name_at_address: Rate,
    /// Passwords for one name from anywhere: so high that nobody can lock somebody else out by it, and still a
    /// bound on what many addresses together can try.
    pub name: Rate,
    /// Creates of one account.
    pub create: Rate,
    /// Bearers made for one account.
    pub token: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |burst, millis| Rate::new(burst, Duration::from_millis(millis));
        Self {
            account: rate(200, 50),
            refused: rate(60, 1000),
            address: rate(30, 2000),
            name_at_address: rate(5, 30_000),
            name: rate(100, 5000),
            create: rate(40, 6000),
            token: rate(10, 6000),
        }
    }
}

/// The buckets of one process. Replicas count apart: a bound of theirs together is so many times as high.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) account: Limiter<AccountId>,
    pub(super) refused: Limiter<IpAddr>,
    pub(super) address: Limiter<IpAddr>,
    name_at_address: Limiter<(String, IpAddr)>,
    name: Limiter<String>,
    pub(super) create: Limiter<AccountId>,
    pub(super) token: Limiter<AccountId>,
}

impl Limits {
    pub(super) fn new(rates: &Rates, clock: &Arc<dyn Clock>) -> Self {
        let clock = || Arc::clone(clock);
        Self {
            account: Limiter::new(rates.account, clock()),
            refused: Limiter::new(rates.refused, clock()),
            address: Limiter::new(rates.address, clock()),
            name_at_address: Limiter::new(rates.name_at_address, clock()),
            name: Limiter::new(rates.name, clock()),
            create: Limiter::new(rates.create, clock()),
            token: Limiter::new(rates.token, clock()),
        }
    }

    /// One try of a password for `name` from `address`: the narrowest bucket first, so that a flood at one name
    /// does not use up the wider ones.
    pub(super) fn password(&self, name: &str, address: IpAddr) -> Result<(), Problem> {
        // The name's spellings are one account; a long one is nobody's.
        let name: String = name
            .trim()
            .chars()
            .take(64)
            .collect::<String>()
            .to_lowercase();
        self.name_at_address
            .take((name.clone(), address))
            .and_then(|()| self.address.take(address))
            .and_then(|()| self.name.take(name))
            .map_err(too_many)
    }

    /// What a sign-in at a provider came to. One that failed because we are misconfigured does not count against
    /// whoever tried: they would be told to come less often when they should be told to see the operator.
    pub(super) fn of_sign_in<T>(
        &self,
        address: IpAddr,
        outcome: Result<T, IdentityError>,
    ) -> Result<T, Problem> {
        if let Err(IdentityError::Misconfigured { .. }) = &outcome {
            self.address.give_back(&address);
        }
        outcome
            .map_err(|error| Problem::of_provider(error, |reason| Kind::SignInRefused { reason }))
    }
}

/// The problem of a bucket that is empty for so long.
pub(super) fn too_many(retry_after: Duration) -> Problem {
    Kind::TooManyRequests { retry_after }.into()
}
