//! The one verifier of JSON Web Tokens: ID tokens, bearer tokens of a provider and our own tokens.
//!
//! `jsonwebtoken` does the cryptography; every other decision is here, because it is what attacks aim at
//! (RFC 8725): the library parses headers leniently, keeps the last of two equal claims, asks the system's
//! clock and takes the algorithm from a list instead of from the key.
//!
//! ```text
//! text ── UnverifiedToken::parse ──► kid, alg ── key from JWKS or our ring ── verify(key, expect, now) ──► Claims
//! ```
//!
//! There are no [`Claims`] but verified ones.

mod claims;
mod key;
mod own;
mod own_secret;
mod token;

pub use claims::{Claims, Expect, LEEWAY, Profile};
pub use key::{Algorithm, VerifyKey};
pub use own::{OwnClaims, OwnTokens, TokenGrant};
pub use own_secret::{TokenSecret, WeakSecret};
pub use token::{MAX_TOKEN_BYTES, UnverifiedToken};

use openclaw_tenancy::identity::IdentityError;

/// Why a token was refused: which rule, never what the token held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason())]
#[non_exhaustive]
pub enum JwtError {
    /// Not three strict base64url parts (RFC 7515 §7.1), too long, or an empty signature.
    Malformed,
    /// The header is not one strict JSON object with an `alg` and a text as `kid`.
    Header,
    /// `alg` is `none`, symmetric where it must not be, or unknown.
    Algorithm,
    /// A critical extension (`crit`, RFC 7515 §4.1.11) that we do not know: we know none.
    Critical,
    /// `typ` is that of another kind of token.
    Type,
    /// No key with this `kid`.
    UnknownKey,
    /// Without a `kid`, or with one that several keys have, there is not exactly one key.
    AmbiguousKey,
    /// The signature does not verify.
    Signature,
    /// The claims are not one strict JSON object, or a registered claim has the wrong type.
    Claims,
    /// `iss` is missing or not ours to the letter.
    Issuer,
    /// `aud` is missing, empty or does not contain us.
    Audience,
    /// `azp` is missing beside several audiences, or names another client.
    AuthorizedParty,
    /// `sub` is missing, empty or longer than 255 bytes.
    Subject,
    /// `exp` is missing or has passed.
    Expired,
    /// `iat` is missing or lies in the future.
    IssuedAt,
    /// `nbf` lies in the future.
    NotYetValid,
    /// `nonce` is missing or not the one sent.
    Nonce,
    /// `at_hash` does not fit the access token.
    AccessTokenHash,
    /// An ID token where an access token belongs.
    IdTokenAsBearer,
}

impl JwtError {
    /// The rule in a few stable words that may be shown to the token's bearer.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "the token is not a signed JWT in compact form",
            Self::Header => "the token's header is not acceptable",
            Self::Algorithm => "the token's algorithm is not acceptable",
            Self::Critical => "the token requires an extension that is not supported",
            Self::Type => "the token is of another type",
            Self::UnknownKey => "the token's key is unknown",
            Self::AmbiguousKey => "the token does not say which key signed it",
            Self::Signature => "the token's signature is not valid",
            Self::Claims => "the token's claims are not acceptable",
            Self::Issuer => "the token is from another issuer",
            Self::Audience => "the token is for another audience",
            Self::AuthorizedParty => "the token was issued to another client",
            Self::Subject => "the token has no usable subject",
            Self::Expired => "the token has no expiry or has expired",
            Self::IssuedAt => "the token has no issue time or one in the future",
            Self::NotYetValid => "the token is not valid yet",
            Self::Nonce => "the token belongs to another sign-in",
            Self::AccessTokenHash => "the token belongs to another access token",
            Self::IdTokenAsBearer => "an ID token is not a bearer token",
        }
    }
}

impl From<JwtError> for IdentityError {
    fn from(error: JwtError) -> Self {
        Self::Refused {
            reason: error.reason(),
        }
    }
}

#[cfg(test)]
mod tests;
