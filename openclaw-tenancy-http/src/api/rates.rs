//! How often things may be tried, and the buckets that count it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::Clock;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::IdentityError;

use super::problem::{Kind, Problem};
use super::refusals::Refusals;
use crate::access::browser::Browser;
use crate::access::familiar::{Familiar, Place};
use crate::access::limit::{Limiter, Rate};
use crate::access::missed::Missed;

/// How often things may be tried.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Any request of one signed-in account but a sign-out.
    pub account: Rate,
    /// Credentials from one address that were refused.
    pub refused: Rate,
    /// Session cookies from one address that are nobody's, and apart from them claims: each costs us a read. Old ones
    /// of many people may come from one address. Beyond it what was never good here is not looked for.
    pub missed: Rate,
    /// Passwords from one address, right or wrong: each costs us a hash. Not those for a name that has signed in from
    /// there or in this browser before: these have [`familiar`](Self::familiar).
    pub password: Rate,
    /// Passwords, right or wrong, for one name from one address, or in one browser, from which it has signed in before.
    /// What others at that address try for other names does not count, and for the same name not what others' browsers
    /// try: behind one address may be many people, and one of them must not be able to keep the others out. The price
    /// is that whoever shares an address with somebody, and has used up what strange names have there, can tell whether
    /// a name signs in from it.
    pub familiar: Rate,
    /// Wrong passwords from one address, for names that have not signed in from there.
    pub address: Rate,
    /// Sign-ins that one address has begun at a provider: each keeps a row for ten minutes.
    pub begun: Rate,
    /// Wrong passwords for one name from one address, apart from those in a browser in which it has signed in before;
    /// and in such a browser.
    pub name_at_address: Rate,
    /// Wrong passwords for one name from anywhere: a bound on what many addresses together can try. An address from
    /// which the name has signed in is not held up by it, so that strangers cannot keep its owner out.
    pub name: Rate,
    /// Creates of one account.
    pub create: Rate,
    /// Bearers made for one account.
    pub token: Rate,
    /// Sign-outs of one account by a provider's bearer. One by a session of ours is never refused.
    pub sign_out: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |burst, millis| Rate::new(burst, Duration::from_millis(millis));
        Self {
            account: rate(200, 50),
            refused: rate(60, 1000),
            missed: rate(200, 50),
            password: rate(60, 1000),
            familiar: rate(60, 1000),
            address: rate(30, 2000),
            begun: rate(30, 2000),
            name_at_address: rate(5, 30_000),
            name: rate(100, 5000),
            create: rate(40, 6000),
            token: rate(10, 6000),
            sign_out: rate(10, 6000),
        }
    }
}

/// The buckets of one process. Replicas count apart: a bound of theirs together is so many times as high.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(super) account: Limiter<AccountId>,
    pub(super) refused: Limiter<IpAddr>,
    pub(crate) sessions: Missed,
    pub(crate) claims: Missed,
    password: Limiter<IpAddr>,
    familiar: Limiter<(String, Place)>,
    address: Limiter<IpAddr>,
    name_at_place: Limiter<(String, Place)>,
    name: Limiter<String>,
    places: Familiar,
    pub(super) refusals: Refusals,
    pub(super) begun: Limiter<IpAddr>,
    pub(super) create: Limiter<AccountId>,
    pub(super) token: Limiter<AccountId>,
    pub(super) sign_out: Limiter<AccountId>,
}

impl Limits {
    pub(super) fn new(rates: &Rates, clock: &Arc<dyn Clock>) -> Self {
        let clock = || Arc::clone(clock);
        Self {
            account: Limiter::new(rates.account, clock()),
            refused: Limiter::new(rates.refused, clock()),
            sessions: Missed::new(rates.missed, clock()),
            claims: Missed::new(rates.missed, clock()),
            password: Limiter::new(rates.password, clock()),
            familiar: Limiter::new(rates.familiar, clock()),
            address: Limiter::new(rates.address, clock()),
            name_at_place: Limiter::new(rates.name_at_address, clock()),
            name: Limiter::new(rates.name, clock()),
            places: Familiar::default(),
            refusals: Refusals::new(clock),
            begun: Limiter::new(rates.begun, clock()),
            create: Limiter::new(rates.create, clock()),
            token: Limiter::new(rates.token, clock()),
            sign_out: Limiter::new(rates.sign_out, clock()),
        }
    }

    /// One try of a password for `name` from `address`, by a browser or a program; [`Self::settle`] says what it came
    /// to.
    ///
    /// It counts as wrong until it is known: of many tries at once none is free. The narrowest bucket comes first, so
    /// that a flood at one name does not use up the wider ones.
    pub(super) fn password(
        &self,
        name: &str,
        address: IpAddr,
        browser: Option<&Browser>,
    ) -> Result<Try, Problem> {
        // The name's spellings are one account; a long one is nobody's.
        let name: String = name
            .trim()
            .chars()
            .take(64)
            .collect::<String>()
            .to_lowercase();
        let browser = browser.map(|browser| Place::Browser(browser.hash()));
        let own = browser.filter(|browser| self.places.knows(&name, *browser));
        let place = own.unwrap_or(Place::Address(address));
        let tried = Try {
            strange: !self.places.knows(&name, place),
            at: (name, place),
            address,
            browser,
        };
        let counted = if tried.strange {
            self.password
                .take(address)
                .and_then(|()| self.count(&tried))
        } else {
            self.familiar
                .take(tried.at.clone())
                .and_then(|()| self.name_at_place.take(tried.at.clone()))
        };
        counted.map_err(too_many)?;
        Ok(tried)
    }

    /// Takes one of each bucket of wrong passwords for strange names, or none.
    fn count(&self, tried: &Try) -> Result<(), Duration> {
        self.name_at_place.take(tried.at.clone())?;
        if let Err(wait) = self.address.take(tried.address) {
            self.name_at_place.give_back(&tried.at);
            return Err(wait);
        }
        if let Err(wait) = self.name.take(tried.at.0.clone()) {
            self.name_at_place.give_back(&tried.at);
            self.address.give_back(&tried.address);
            return Err(wait);
        }
        Ok(())
    }

    /// What a try came to. Only a refused one stays counted: whoever knows the password may sign in as often as they
    /// like, and that we were too busy to look is nobody's fault.
    pub(super) fn settle<T>(&self, tried: &Try, outcome: &Result<T, IdentityError>) {
        match outcome {
            Err(IdentityError::Refused { .. }) => {}
            Err(_) => self.forget(tried),
            Ok(_) => {
                self.forget(tried);
                let places = [Some(Place::Address(tried.address)), tried.browser];
                for place in places.into_iter().flatten() {
                    self.places.keep(tried.at.0.clone(), place);
                }
            }
        }
    }

    /// A try that came to nothing, by no fault of whoever tried: it does not count as wrong.
    pub(super) fn forget(&self, tried: &Try) {
        self.name_at_place.give_back(&tried.at);
        if tried.strange {
            self.address.give_back(&tried.address);
            self.name.give_back(&tried.at.0);
        }
    }
}

/// A password that is being tried, and what is counted for it.
#[derive(Debug)]
#[must_use = "settle it"]
pub(super) struct Try {
    /// The name, and the place that it is counted for.
    at: (String, Place),
    address: IpAddr,
    browser: Option<Place>,
    /// The name has not signed in from here before: it is counted for the address, and for the name from anywhere, too.
    strange: bool,
}

/// The problem of a bucket that is empty for so long.
pub(crate) fn too_many(retry_after: Duration) -> Problem {
    Kind::TooManyRequests { retry_after }.into()
}
