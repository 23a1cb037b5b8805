//! Our own tokens: each kind with a `typ` and an audience that no other kind has.

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

/// What a token of ours is for. One kind is refused wherever another belongs (RFC 8725 §3.11, §3.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenKind {
    /// The REST API's bearer.
    Api,
    /// The edge's, on the control plane's own host name.
    Edge,
    /// One instance's host name; bound to tenant and generation.
    Instance,
    /// Carries a signed-in browser to an instance's host name; bound to it.
    HandOver,
    /// Gets a new API token.
    Refresh,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Api,
        Self::Edge,
        Self::Instance,
        Self::HandOver,
        Self::Refresh,
    ];

    /// The header's `typ`.
    #[must_use]
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Api => "openclaw-api+jwt",
            Self::Edge => "openclaw-edge+jwt",
            Self::Instance => "openclaw-instance+jwt",
            Self::HandOver => "openclaw-handover+jwt",
            Self::Refresh => "openclaw-refresh+jwt",
        }
    }

    /// The claim `aud`.
    #[must_use]
    pub const fn audience(self) -> &'static str {
        match self {
            Self::Api => "urn:openclaw-tenancy:api",
            Self::Edge => "urn:openclaw-tenancy:edge",
            Self::Instance => "urn:openclaw-tenancy:instance",
            Self::HandOver => "urn:openclaw-tenancy:handover",
            Self::Refresh => "urn:openclaw-tenancy:refresh",
        }
    }

    /// The longest a token of this kind lives; a longer wish is cut to it.
    #[must_use]
    pub const fn longest(self) -> Duration {
        match self {
            Self::Api | Self::Edge | Self::Instance => Duration::from_secs(24 * 3600),
            Self::HandOver => Duration::from_secs(60),
            Self::Refresh => Duration::from_secs(30 * 24 * 3600),
        }
    }
}

/// What a token of ours is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGrant {
    /// Whose it is.
    pub account: AccountId,
    /// The session it lives and dies with: revoking that grant revokes every token of it.
    pub session: SecretHash,
    /// What else it holds for only, such as `{tenant id}/{generation}`; `None` for the whole audience.
    pub bound_to: Option<String>,
    /// How long, at most [`TokenKind::longest`].
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
/// use openclaw_tenancy_http::identity::jwt::{OwnTokens, TokenGrant, TokenKind, TokenSecret};
///
/// let secret = TokenSecret::new("qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5Ti7OoWjUA=".into())?;
/// let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
/// let account = AccountId::generate(&*clock, &*entropy);
/// let tokens = OwnTokens::new("https://tenancy.example", &secret, clock, entropy);
///
/// let grant = TokenGrant {
///     account,
///     session: SecretHash::of("the session's secret"),
///     bound_to: None,
///     lifetime: Duration::from_secs(15 * 60),
/// };
/// let token = tokens.issue(TokenKind::Api, &grant)?;
/// assert_eq!(tokens.verify(TokenKind::Api, &token, None)?.account, account);
/// assert!(tokens.verify(TokenKind::Refresh, &token, None).is_err());
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
    pub fn issue(
        &self,
        kind: TokenKind,
        grant: &TokenGrant,
    ) -> Result<SecretString, jsonwebtoken::errors::Error> {
        let now = self.clock.now();
        let mut id = [0_u8; 16];
        self.entropy.fill(&mut id);
        let header = json!({
            "alg": "HS256",
            "typ": kind.typ(),
            "kid": self.verify.first().and_then(VerifyKey::id),
        });
        let mut claims = json!({
            "iss": self.issuer,
            "aud": kind.audience(),
            "sub": grant.account.to_string(),
            "sid": hex::encode(grant.session.0),
            "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": now.as_seconds(),
            "exp": now.plus(grant.lifetime.min(kind.longest())).as_seconds(),
        });
        if let Some(bound) = &grant.bound_to {
            claims["bnd"] = json!(bound);
        }
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature =
            jsonwebtoken::crypto::sign(token.as_bytes(), &self.sign, Algorithm::Hs256.library())?;
        token.push('.');
        token.push_str(&signature);
        Ok(SecretString::from(token))
    }

    /// Verifies a token of `kind` that is bound to exactly `bound_to`.
    ///
    /// The caller still has to look up the session.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(
        &self,
        kind: TokenKind,
        token: &SecretString,
        bound_to: Option<&str>,
    ) -> Result<OwnClaims, JwtError> {
        let token = UnverifiedToken::parse(token.expose_secret())?;
        let key = self
            .verify
            .iter()
            .find(|key| key.id() == token.key_id())
            .ok_or(JwtError::UnknownKey)?;
        let expect = Expect {
            issuer: &self.issuer,
            audience: kind.audience(),
            profile: Profile::Own { typ: kind.typ() },
        };
        let claims = token.verify(key, &expect, self.clock.now())?;
        if claims.text("bnd") != bound_to {
            return Err(JwtError::Binding);
        }
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
