//! Our own tokens, the bearers of the REST API: with a `typ` and an audience that no other token has.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use openclaw_tenancy::access::SecretHash;
use openclaw_tenancy::clock::{Clock, Entropy, Timestamp};
use openclaw_tenancy::id::AccountId;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{
    Algorithm, Claims, Expect, JwtError, Profile, TokenSecret, UnverifiedToken, VerifyKey,
};

/// The header's `typ`. Anything else signed with the same secret is refused by it, and by [`AUDIENCE`] alone too
/// (RFC 8725 §3.11, §3.12).
const TYP: &str = "openclaw-api+jwt";
/// The claim `aud`.
const AUDIENCE: &str = "urn:openclaw-tenancy:api";

/// What a token of ours is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGrant {
    /// Whose it is.
    pub account: AccountId,
    /// The session it lives and dies with: revoking that grant revokes every token of it.
    pub session: SecretHash,
    /// How long, at most [`OwnTokens::LONGEST`].
    pub lifetime: Duration,
}

/// What a verified token of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnClaims {
    /// Whose it is.
    pub account: AccountId,
    /// The session to look up before anything is done: only the store knows whether it was revoked.
    pub session: SecretHash,
    /// The token's own id (`jti`), such as for single use.
    pub id: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Signs and verifies our own tokens: HS256 with one secret, and the one before it while they rotate.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use openclaw_tenancy::access::SecretHash;
/// use openclaw_tenancy::clock::{SystemClock, SystemEntropy};
/// use openclaw_tenancy::id::AccountId;
/// use openclaw_tenancy_http::identity::jwt::{OwnTokens, TokenGrant, TokenSecret};
///
/// let secret = TokenSecret::new("qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5Ti7OoWjUA=".into())?;
/// let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
/// let account = AccountId::generate(&*clock, &*entropy);
/// let tokens = OwnTokens::new("https://tenancy.example", &secret, clock, entropy);
///
/// let grant = TokenGrant {
///     account,
///     session: SecretHash::of("the session's secret"),
///     lifetime: Duration::from_secs(15 * 60),
/// };
/// let token = tokens.issue(&grant)?;
/// assert_eq!(tokens.verify(&token)?.account, account);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OwnTokens {
    issuer: String,
    sign: EncodingKey,
    /// The current key first.
    verify: Vec<VerifyKey>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl OwnTokens {
    /// The longest a token lives; a longer wish is cut to it.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// Tokens of `issuer`, the deployment's public URL, signed with `secret`.
    #[must_use]
    pub fn new(
        issuer: impl Into<String>,
        secret: &TokenSecret,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            sign: EncodingKey::from_secret(secret.bytes()),
            verify: vec![verify_key(secret)],
            clock,
            entropy,
        }
    }

    /// Still accepts what `previous` signed.
    #[must_use]
    pub fn with_previous(mut self, previous: &TokenSecret) -> Self {
        self.verify.push(verify_key(previous));
        self
    }

    /// The issuer in every token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A new token.
    ///
    /// # Errors
    /// What the cryptographic library reports; with a key of ours there is no known reason for one.
    pub fn issue(&self, grant: &TokenGrant) -> Result<SecretString, jsonwebtoken::errors::Error> {
        let now = self.clock.now();
        let mut id = [0_u8; 16];
        self.entropy.fill(&mut id);
        let header = json!({
            "alg": "HS256",
            "typ": TYP,
            "kid": self.verify.first().and_then(VerifyKey::id),
        });
        let claims = json!({
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": grant.account.to_string(),
            "sid": hex::encode(grant.session.0),
            "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": now.as_seconds(),
            "exp": now.plus(grant.lifetime.min(Self::LONGEST)).as_seconds(),
        });
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature =
            jsonwebtoken::crypto::sign(token.as_bytes(), &self.sign, Algorithm::Hs256.library())?;
        token.push('.');
        token.push_str(&signature);
        Ok(SecretString::from(token))
    }

    /// Verifies a token of ours.
    ///
    /// The caller still has to look up the session.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(&self, token: &SecretString) -> Result<OwnClaims, JwtError> {
        let token = UnverifiedToken::parse(token.expose_secret())?;
        let key = self
            .verify
            .iter()
            .find(|key| key.id() == token.key_id())
            .ok_or(JwtError::UnknownKey)?;
        let expect = Expect {
            issuer: &self.issuer,
            audience: AUDIENCE,
            profile: Profile::Own { typ: TYP },
        };
        let claims = token.verify(key, &expect, self.clock.now())?;
        own(&claims).ok_or(JwtError::Claims)
    }
}

impl fmt::Debug for OwnTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnTokens")
            .field("issuer", &self.issuer)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

fn own(claims: &Claims) -> Option<OwnClaims> {
    let mut session = [0_u8; 32];
    hex::decode_to_slice(claims.text("sid")?, &mut session).ok()?;
    Some(OwnClaims {
        account: claims.subject.parse().ok()?,
        session: SecretHash(session),
        id: claims.text("jti")?.to_owned(),
        expires_at: claims.expires_at,
    })
}

/// The key's id is a hash of the secret under a label of its own, so every replica names it alike.
fn verify_key(secret: &TokenSecret) -> VerifyKey {
    use sha2::{Digest as _, Sha256};

    let digest = Sha256::new()
        .chain_update(b"openclaw-tenancy key id\0")
        .chain_update(secret.bytes())
        .finalize();
    let id = hex::encode(&digest[..8]);
    VerifyKey::new(
        Some(id),
        Algorithm::Hs256,
        DecodingKey::from_secret(secret.bytes()),
    )
}
