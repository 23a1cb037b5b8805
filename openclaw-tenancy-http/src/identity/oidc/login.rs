//! The authorization request, and the state that ties its answer to one browser.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use openclaw_tenancy::identity::IdentityError;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use url::Url;

use super::config::{OidcConfig, refused};
use openclaw_tenancy::access::SecretHash;

/// How long somebody may take at the provider.
pub const LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A pre-login cookie with less than 128 bits (22 characters of base64) binds nothing.
const MIN_BROWSER_BYTES: usize = 22;

/// What the store keeps about a sign-in under way, under the hash of its `state`. No secret is in it.
#[derive(Serialize, Deserialize)]
pub(super) struct LoginState {
    issuer: String,
    /// Hash of the pre-login cookie's value.
    browser: String,
    return_to: String,
}

impl LoginState {
    pub(super) fn new(
        issuer: &str,
        browser: &SecretString,
        return_to: String,
    ) -> Result<Self, IdentityError> {
        if browser.expose_secret().len() < MIN_BROWSER_BYTES {
            return Err(refused("the browser sent no pre-login cookie"));
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            browser: hash(browser),
            return_to,
        })
    }

    /// The path to return to, if this sign-in was begun at `issuer` by this browser.
    pub(super) fn matching(
        self,
        issuer: &str,
        browser: &SecretString,
    ) -> Result<String, IdentityError> {
        if self.issuer != issuer {
            return Err(refused("the sign-in was begun at another provider"));
        }
        let same: bool = self
            .browser
            .as_bytes()
            .ct_eq(hash(browser).as_bytes())
            .into();
        if !same {
            return Err(refused("the sign-in was begun in another browser"));
        }
        Ok(self.return_to)
    }
}

fn hash(secret: &SecretString) -> String {
    hex::encode(SecretHash::of(secret.expose_secret()).0)
}

/// `nonce` and PKCE's `code_verifier` of one sign-in.
///
/// Both are derived from the cookie and the `state` instead of being stored: whoever reads the store, or the
/// callback's URL in a log, cannot make them.
pub(super) struct LoginSecrets {
    pub(super) nonce: SecretString,
    pub(super) verifier: SecretString,
}

impl LoginSecrets {
    pub(super) fn of(browser: &SecretString, state: &str) -> Result<Self, IdentityError> {
        let derive = |label: &[u8]| -> Result<SecretString, IdentityError> {
            let mut mac = Hmac::<Sha256>::new_from_slice(browser.expose_secret().as_bytes())
                .map_err(|_| refused("the browser sent no pre-login cookie"))?;
            mac.update(label);
            mac.update(state.as_bytes());
            Ok(SecretString::from(
                URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()),
            ))
        };
        Ok(Self {
            nonce: derive(b"nonce\0")?,
            verifier: derive(b"pkce\0")?,
        })
    }

    /// PKCE's `S256` (RFC 7636 §4.2).
    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose_secret()))
    }
}

/// The authorization request (RFC 6749 §4.1.1, OIDC Core §3.1.2.1) as a URL for the browser.
pub(super) fn authorization_url(
    endpoint: &Url,
    config: &OidcConfig,
    state: &SecretString,
    secrets: &LoginSecrets,
) -> String {
    let mut scope = "openid".to_owned();
    for wanted in config.scopes.iter().filter(|scope| *scope != "openid") {
        scope.push(' ');
        scope.push_str(wanted);
    }
    let mut url = endpoint.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &config.client_id)
        .append_pair("redirect_uri", config.redirect_uri.as_str())
        .append_pair("scope", &scope)
        .append_pair("state", state.expose_secret())
        .append_pair("nonce", secrets.nonce.expose_secret())
        .append_pair("code_challenge", &secrets.challenge())
        .append_pair("code_challenge_method", "S256");
    url.into()
}
