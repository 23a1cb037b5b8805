//! The authorization response, as it comes out of a URL that anybody can write.

use openclaw_tenancy::identity::IdentityError;
use secrecy::SecretString;

use super::config::{refused, unusable};

/// Longer ones are not read.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// The parameters we know, each at most once (RFC 6749 §3.1).
#[derive(Default)]
pub(super) struct Callback {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Callback {
    pub(super) fn parse(query: &str) -> Result<Self, IdentityError> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(refused("the provider's answer is too long"));
        }
        let mut callback = Self::default();
        let query = query.strip_prefix('?').unwrap_or(query);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "state" => &mut callback.state,
                "code" => &mut callback.code,
                "iss" => &mut callback.iss,
                "error" => &mut callback.error,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(refused("the provider's answer repeats a parameter"));
            }
        }
        Ok(callback)
    }

    pub(super) fn state(&self) -> Result<&str, IdentityError> {
        let state = self.state.as_deref().filter(|state| !state.is_empty());
        state.ok_or(refused("the provider's answer has no state"))
    }

    /// The code, if the answer is `issuer`'s and a success.
    pub(super) fn code(
        self,
        issuer: &str,
        iss_promised: bool,
    ) -> Result<SecretString, IdentityError> {
        // RFC 9207 §2.4, for errors as for successes.
        match self.iss {
            Some(iss) if iss != issuer => {
                return Err(refused("the answer is from another provider"));
            }
            None if iss_promised => {
                return Err(refused("the answer does not name its provider"));
            }
            Some(_) | None => {}
        }
        match self.error.as_deref() {
            None => {}
            Some("access_denied") => {
                return Err(refused("the sign-in was cancelled at the provider"));
            }
            Some("server_error" | "temporarily_unavailable") => {
                return Err(unusable("the provider reports a fault of its own"));
            }
            // The provider's own text stays out: it is anybody's to write into a URL.
            Some(_) => return Err(refused("the provider refused the sign-in")),
        }
        let code = self.code.filter(|code| !code.is_empty());
        code.map(SecretString::from)
            .ok_or(refused("the provider's answer has no code"))
    }
}
