//! A provider's signature keys, and the verification of its tokens with them.

mod key_set;

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::Clock;
use openclaw_tenancy::error::Source;
use openclaw_tenancy::identity::IdentityError;
use url::Url;

use super::cached::{Cached, Refreshed};
use super::fetch::Fetcher;
use super::jwt::{Algorithm, Claims, Expect, JwtError, UnverifiedToken, VerifyKey};

/// A key that the provider has withdrawn is trusted for at most this long while the provider answers.
const MAX_AGE: Duration = Duration::from_secs(15 * 60);

/// The keys at one `jwks_uri`.
///
/// An unknown `kid` asks the provider again, five times at once and then every 30 seconds, together with
/// everybody else who waits; a provider that is down leaves the last good keys in force.
#[derive(Debug)]
pub struct Jwks {
    url: Url,
    clock: Arc<dyn Clock>,
    keys: Cached<Vec<VerifyKey>>,
}

impl Jwks {
    /// The keys at `url`. Asks nothing yet.
    ///
    /// `rsa` is the algorithm of RSA keys that do not name one.
    #[must_use]
    pub fn new(url: Url, fetcher: Fetcher, clock: Arc<dyn Clock>, rsa: Algorithm) -> Self {
        let address = url.clone();
        let keys = Cached::new(Arc::clone(&clock), MAX_AGE, move || {
            let (fetcher, url) = (fetcher.clone(), address.clone());
            Box::pin(async move {
                let document = fetcher.get(&url, None).await?.ok(&url)?;
                key_set::key_set(&document, rsa).map_err(|error| IdentityError::Unavailable {
                    reason: error.to_string(),
                    source: Some(Source::from(error)),
                })
            })
        });
        Self { url, clock, keys }
    }

    /// Where the keys are.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Verifies `token` with the provider's key that it names.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] for a token that is not valid, [`IdentityError::Unavailable`] when the key
    /// is unknown and the provider does not answer, [`IdentityError::Busy`] when the provider was asked too
    /// often lately to ask it once more.
    pub async fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        expect: &Expect<'_>,
    ) -> Result<Claims, IdentityError> {
        // A symmetric algorithm would make a public key the secret: nothing to look up.
        if token.algorithm() == Algorithm::Hs256 {
            return Err(JwtError::Algorithm.into());
        }
        let keys = self.keys.current().await?;
        let first = choose(&keys, token).and_then(|key| self.check(token, key, expect));
        let may_have_rotated = match first {
            Err(JwtError::UnknownKey) => true,
            // Without a `kid` a rotation shows as a signature that does not verify.
            Err(JwtError::Signature) => token.key_id().is_none(),
            Ok(_) | Err(_) => false,
        };
        if !may_have_rotated {
            return Ok(first?);
        }
        // A load that was under way may have been answered before the rotation; one begun now was not.
        let mut last = first;
        for _ in 0..2 {
            let how = self.keys.refresh().await?;
            let keys = self.keys.current().await?;
            last = choose(&keys, token).and_then(|key| self.check(token, key, expect));
            if last.is_ok() || how == Refreshed::Begun {
                break;
            }
        }
        Ok(last?)
    }

    fn check(
        &self,
        token: &UnverifiedToken<'_>,
        key: &VerifyKey,
        expect: &Expect<'_>,
    ) -> Result<Claims, JwtError> {
        token.verify(key, expect, self.clock.now())
    }
}

/// The one key that the token can mean. A `kid` is compared with what is in memory and is nothing else:
/// no path, no query, no address.
fn choose<'k>(
    keys: &'k [VerifyKey],
    token: &UnverifiedToken<'_>,
) -> Result<&'k VerifyKey, JwtError> {
    let mut named = keys
        .iter()
        .filter(|key| token.key_id().is_none() || key.id() == token.key_id())
        .peekable();
    if named.peek().is_none() {
        return Err(JwtError::UnknownKey);
    }
    let mut fitting = named.filter(|key| key.algorithm() == token.algorithm());
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(JwtError::AmbiguousKey),
        (None, _) => Err(JwtError::Algorithm),
    }
}
