//! A browser that has signed in before is known again by a secret that it keeps.
//!
//! Behind one address may be a whole office, and guesses of a colleague's name from there must not keep them out: what
//! is tried from a browser of theirs is counted for that browser (OWASP, "Slow down online guessing attacks with device
//! cookies"). It lets nobody in, and outlives a sign-out: that is what it is for.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use openclaw_tenancy::access::SecretHash;
use openclaw_tenancy::clock::Entropy;
use secrecy::{ExposeSecret as _, SecretString};

use super::cookie;
use crate::identity::secret;

/// Browsers keep no cookie for longer (RFC 6265bis §5.5).
const LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Whoever asks, as a browser.
#[derive(Debug)]
pub(crate) struct Browser {
    secret: SecretString,
    is_new: bool,
}

impl Browser {
    /// The one that sent these headers; one without a secret of ours gets a new one.
    pub(crate) fn of(headers: &HeaderMap, entropy: &dyn Entropy) -> Self {
        match cookie::read(headers, cookie::BROWSER).filter(|found| secret::is_one(found)) {
            Some(found) => Self {
                secret: found.into(),
                is_new: false,
            },
            None => Self {
                secret: secret::random(entropy),
                is_new: true,
            },
        }
    }

    /// What it is remembered by.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(self.secret.expose_secret())
    }

    /// The `Set-Cookie` for one that has none yet.
    pub(crate) fn cookie(&self) -> Option<HeaderValue> {
        let secret = self.secret.expose_secret();
        cookie::set(cookie::BROWSER, secret, LIFETIME).filter(|_| self.is_new)
    }
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::SeededEntropy;

    use super::*;

    #[test]
    fn one_that_brings_its_secret_is_the_same_and_anything_else_is_new() {
        let entropy = SeededEntropy::new(1);
        let first = Browser::of(&HeaderMap::new(), &entropy);
        let set = first.cookie().unwrap();
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let with = |cookie: &str| {
            let line = HeaderValue::from_str(cookie).unwrap();
            let headers: HeaderMap = [(http::header::COOKIE, line)].into_iter().collect();
            Browser::of(&headers, &entropy)
        };
        let again = with(&pair);
        assert_eq!((again.hash(), again.cookie()), (first.hash(), None));
        for other in ["__Host-oct-browser=short", &format!("{pair}; {pair}")] {
            let new = with(other);
            assert!(new.cookie().is_some(), "{other}");
            assert_ne!(new.hash(), first.hash());
        }
    }
}
