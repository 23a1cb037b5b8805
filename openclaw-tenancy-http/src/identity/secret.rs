//! Random secrets, and values derived from them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openclaw_tenancy::clock::Entropy;
use secrecy::SecretString;

/// Characters of one.
const LENGTH: usize = 43;

/// Whether `text` looks like one that was made here.
#[must_use]
pub(crate) fn is_one(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == LENGTH && text.bytes().all(plain)
}

/// 256 random bits as 43 characters of base64url.
#[must_use]
pub fn random(entropy: &dyn Entropy) -> SecretString {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    SecretString::from(URL_SAFE_NO_PAD.encode(bytes))
}
