//! What a verified token must claim, and what it then says.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openclaw_tenancy::clock::Timestamp;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use super::{Algorithm, JwtError, OwnTokens};

/// How far a provider's clock may be from ours.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// 9999-12-31T23:59:59Z in seconds: a date past it is not a date.
const LAST_DATE: i64 = 253_402_300_799;

/// What a token must be to be accepted.
#[derive(Clone, Copy)]
pub struct Expect<'a> {
    /// `iss`, to the letter: no normalisation, no trailing slash forgiven.
    pub issuer: &'a str,
    /// What `aud` must contain.
    pub audience: &'a str,
    /// Which kind of token.
    pub profile: Profile<'a>,
}

impl fmt::Debug for Expect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expect")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Kinds of tokens. A token of one kind is none of another, whoever signed it.
#[derive(Clone, Copy)]
pub enum Profile<'a> {
    /// An ID token of the code flow (OIDC Core §3.1.3.7); the audience is our client id.
    IdToken {
        /// The nonce that this sign-in sent.
        nonce: &'a str,
        /// The access token that came with it, for `at_hash`.
        access_token: &'a str,
    },
    /// A JWT access token of a provider (RFC 9068, or the older habit with `typ: JWT`).
    AccessToken,
    /// One of our own, by its `typ`.
    Own {
        /// The `typ`, which no other kind has.
        typ: &'static str,
    },
}

impl fmt::Debug for Profile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdToken { .. } => f.write_str("IdToken"),
            Self::AccessToken => f.write_str("AccessToken"),
            Self::Own { typ } => f.debug_struct("Own").field("typ", typ).finish(),
        }
    }
}

impl Profile<'_> {
    /// Whether the header's `typ` (in lower case, without `application/`) is this kind's.
    pub(super) fn accepts_type(self, typ: Option<&str>) -> Result<(), JwtError> {
        let fits = match self {
            Self::IdToken { .. } => matches!(typ, None | Some("jwt")),
            Self::AccessToken => matches!(typ, None | Some("jwt" | "at+jwt")),
            Self::Own { typ: own } => typ == Some(own),
        };
        if fits { Ok(()) } else { Err(JwtError::Type) }
    }

    /// Our own clock and key made our own tokens: their end is their end.
    const fn expiry_leeway(self) -> Duration {
        match self {
            Self::IdToken { .. } | Self::AccessToken => LEEWAY,
            Self::Own { .. } => Duration::ZERO,
        }
    }

    /// How far ahead of now it may have been issued. Our own clock dates our own tokens, and may have been set back
    /// since: that ends none of them (safety row F25).
    const fn issue_leeway(self) -> Duration {
        match self {
            Self::IdToken { .. } | Self::AccessToken => LEEWAY,
            Self::Own { .. } => OwnTokens::LONGEST,
        }
    }
}

/// The claims of a token that was verified whole.
#[derive(Clone)]
pub struct Claims {
    /// `iss`.
    pub issuer: String,
    /// `sub`, 1 to 255 characters of ASCII without controls.
    pub subject: String,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `iat`.
    pub issued_at: Timestamp,
    /// Every claim, these four included.
    pub all: Map<String, Value>,
}

impl Claims {
    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name)?.as_str()
    }
}

impl fmt::Debug for Claims {
    /// Without the rest: claims are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

pub(super) fn check(
    all: Map<String, Value>,
    algorithm: Algorithm,
    expect: &Expect<'_>,
    now: Timestamp,
) -> Result<Claims, JwtError> {
    let issuer = text(&all, "iss")?.ok_or(JwtError::Issuer)?;
    if issuer != expect.issuer {
        return Err(JwtError::Issuer);
    }
    let subject = text(&all, "sub")?.ok_or(JwtError::Subject)?;
    // OIDC Core §2: at most 255 ASCII characters. Controls are nobody's id, and would be in a log line.
    let plain = subject.bytes().all(|b| matches!(b, b' '..=b'~'));
    if subject.is_empty() || subject.len() > 255 || !plain {
        return Err(JwtError::Subject);
    }
    let audiences = audiences(&all)?;
    if !audiences.contains(&expect.audience) {
        return Err(JwtError::Audience);
    }

    let expires_at = date(&all, "exp")?.ok_or(JwtError::Expired)?;
    if expires_at.plus(expect.profile.expiry_leeway()) <= now {
        return Err(JwtError::Expired);
    }
    let issued_at = date(&all, "iat")?.ok_or(JwtError::IssuedAt)?;
    if issued_at > now.plus(expect.profile.issue_leeway()) {
        return Err(JwtError::IssuedAt);
    }
    if date(&all, "nbf")?.is_some_and(|from| from > now.plus(LEEWAY)) {
        return Err(JwtError::NotYetValid);
    }

    match expect.profile {
        Profile::IdToken {
            nonce,
            access_token,
        } => {
            authorized_party(&all, audiences.len(), expect.audience)?;
            if !text(&all, "nonce")?.is_some_and(|claimed| same(claimed, nonce)) {
                return Err(JwtError::Nonce);
            }
            if let Some(claimed) = text(&all, "at_hash")? {
                let hash = URL_SAFE_NO_PAD.encode(algorithm.half_hash(access_token));
                if !same(claimed, &hash) {
                    return Err(JwtError::AccessTokenHash);
                }
            }
        }
        Profile::AccessToken => {
            // An access token has no use for these; a provider that marks neither kind by `typ` shows by them.
            if ["nonce", "at_hash", "c_hash"]
                .iter()
                .any(|claim| all.contains_key(*claim))
            {
                return Err(JwtError::IdTokenAsBearer);
            }
        }
        Profile::Own { .. } => {}
    }
    Ok(Claims {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        expires_at,
        issued_at,
        all,
    })
}

/// `azp`: required beside several audiences, and ours wherever it stands (OIDC Core §3.1.3.7, 4 and 5).
fn authorized_party(
    all: &Map<String, Value>,
    audiences: usize,
    client: &str,
) -> Result<(), JwtError> {
    match text(all, "azp")? {
        Some(party) if party == client => Ok(()),
        None if audiences == 1 => Ok(()),
        Some(_) | None => Err(JwtError::AuthorizedParty),
    }
}

fn text<'m>(all: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, JwtError> {
    all.get(name)
        .map(|value| value.as_str().ok_or(JwtError::Claims))
        .transpose()
}

/// A `NumericDate`. RFC 7519 would allow fractions; nobody needs them, and an exact integer has one meaning.
fn date(all: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, JwtError> {
    all.get(name)
        .map(|value| {
            value
                .as_i64()
                .filter(|seconds| (0..=LAST_DATE).contains(seconds))
                .map(Timestamp::from_seconds)
                .ok_or(JwtError::Claims)
        })
        .transpose()
}

fn audiences(all: &Map<String, Value>) -> Result<Vec<&str>, JwtError> {
    match all.get("aud") {
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(several)) => several
            .iter()
            .map(|value| value.as_str().ok_or(JwtError::Audience))
            .collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
            Err(JwtError::Audience)
        }
    }
}

/// In constant time for texts of one length.
fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
