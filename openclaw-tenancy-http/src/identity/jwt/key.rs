//! Keys with the one algorithm that each may be used with.

use std::fmt;

use jsonwebtoken::DecodingKey;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A signature algorithm of RFC 7518 §3.1 or RFC 8037 that we verify.
///
/// HS384, HS512 and ES256K are left out on purpose: nobody needs them, and each is one more thing to confuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: what OIDC providers must support.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256: our own tokens only, never from a JWKS.
    Hs256,
}

impl Algorithm {
    /// The algorithm of a header's `alg`, to the letter.
    #[must_use]
    pub fn from_header(alg: &str) -> Option<Self> {
        match alg {
            "RS256" => Some(Self::Rs256),
            "RS384" => Some(Self::Rs384),
            "RS512" => Some(Self::Rs512),
            "PS256" => Some(Self::Ps256),
            "PS384" => Some(Self::Ps384),
            "PS512" => Some(Self::Ps512),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            // RFC 9864 renames it; both names mean this one curve to us.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "HS256" => Some(Self::Hs256),
            _ => None,
        }
    }

    pub(super) const fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }

    /// The left half of the hash that belongs to this algorithm: `at_hash` before its base64url (OIDC Core §3.1.3.6).
    pub(super) fn half_hash(self, text: &str) -> Vec<u8> {
        let mut hash = match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 | Self::Hs256 => Sha256::digest(text).to_vec(),
            Self::Rs384 | Self::Ps384 | Self::Es384 => Sha384::digest(text).to_vec(),
            // Ed25519 hashes with SHA-512 inside, and so do the providers that sign with it.
            Self::Rs512 | Self::Ps512 | Self::EdDsa => Sha512::digest(text).to_vec(),
        };
        hash.truncate(hash.len() / 2);
        hash
    }
}

/// A key that verifies, bound to one algorithm (RFC 8725 §3.1).
#[derive(Clone)]
pub struct VerifyKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyKey {
    pub(in crate::identity) const fn new(
        id: Option<String>,
        algorithm: Algorithm,
        key: DecodingKey,
    ) -> Self {
        Self { id, algorithm, key }
    }

    /// The `kid`, which only ever names an entry of a map in memory.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The one algorithm that this key verifies.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` (base64url) is this key's over `message`.
    pub(super) fn signed(&self, message: &str, signature: &str) -> bool {
        let algorithm = self.algorithm.library();
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, algorithm)
            .unwrap_or(false)
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
