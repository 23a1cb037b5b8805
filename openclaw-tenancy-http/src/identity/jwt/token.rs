//! The compact form, before anything in it is believed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openclaw_tenancy::clock::Timestamp;
use serde_json::{Map, Value};

use super::claims::{self, Claims, Expect};
use super::{Algorithm, JwtError, VerifyKey};
use crate::json;

/// Longer tokens are refused unread: a header line of 16 KiB could not carry them, and ID tokens with many groups fit.
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// A longer `kid` names no key of anybody's.
const MAX_KEY_ID_BYTES: usize = 256;

/// A token whose form is right and whose signature nobody has looked at.
///
/// It tells which key to look for and nothing else. `jku`, `x5u`, `jwk` and `x5c` in its header are ignored:
/// a token does not bring the key that proves it.
pub struct UnverifiedToken<'t> {
    /// Header and payload with the dot between: what was signed.
    message: &'t str,
    payload: &'t str,
    signature: &'t str,
    algorithm: Algorithm,
    key_id: Option<String>,
    typ: Option<String>,
}

impl<'t> UnverifiedToken<'t> {
    /// Reads the compact form (RFC 7515 §7.1) and the header.
    ///
    /// # Errors
    /// [`JwtError::Malformed`], [`JwtError::Header`], [`JwtError::Algorithm`] or [`JwtError::Critical`].
    pub fn parse(token: &'t str) -> Result<Self, JwtError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JwtError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(JwtError::Malformed)?;
        if payload.contains('.') || strict_base64url(signature)?.is_empty() {
            return Err(JwtError::Malformed);
        }
        strict_base64url(payload)?;
        let header = json::object(&strict_base64url(header)?).map_err(|_| JwtError::Header)?;
        if header.contains_key("crit") {
            return Err(JwtError::Critical);
        }
        let alg = text(&header, "alg")?.ok_or(JwtError::Header)?;
        let algorithm = Algorithm::from_header(alg).ok_or(JwtError::Algorithm)?;
        let key_id = text(&header, "kid")?;
        if key_id.is_some_and(|id| id.is_empty() || id.len() > MAX_KEY_ID_BYTES) {
            return Err(JwtError::Header);
        }
        Ok(Self {
            message,
            payload,
            signature,
            algorithm,
            key_id: key_id.map(str::to_owned),
            typ: text(&header, "typ")?.map(media_type),
        })
    }

    /// The header's `alg`, which must be the key's.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The header's `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Who the token says issued it: good for choosing the provider that will verify it, and for nothing else.
    #[must_use]
    pub fn claimed_issuer(&self) -> Option<String> {
        let payload = json::object(&strict_base64url(self.payload).ok()?).ok()?;
        payload.get("iss")?.as_str().map(str::to_owned)
    }

    /// Verifies the signature with `key`, then every claim that `expect` names, at the time `now`.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(
        &self,
        key: &VerifyKey,
        expect: &Expect<'_>,
        now: Timestamp,
    ) -> Result<Claims, JwtError> {
        if self.algorithm != key.algorithm() {
            return Err(JwtError::Algorithm);
        }
        if !key.signed(self.message, self.signature) {
            return Err(JwtError::Signature);
        }
        expect.profile.accepts_type(self.typ.as_deref())?;
        let payload =
            json::object(&strict_base64url(self.payload)?).map_err(|_| JwtError::Claims)?;
        claims::check(payload, self.algorithm, expect, now)
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    /// Never the token: whoever reads it can use it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .field("typ", &self.typ)
            .finish_non_exhaustive()
    }
}

/// The bytes of `part`: no padding, no other alphabet, no white space, no bits left over, so that a token has
/// exactly one spelling.
fn strict_base64url(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| JwtError::Malformed)
}

fn text<'m>(header: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, JwtError> {
    header
        .get(name)
        .map(|value| value.as_str().ok_or(JwtError::Header))
        .transpose()
}

/// `typ` as RFC 7515 §4.1.9 compares it: a media type, its case and a leading `application/` of no weight.
fn media_type(typ: &str) -> String {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/")
        .map(str::to_owned)
        .unwrap_or(typ)
}
