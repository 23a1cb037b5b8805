//! The secret that signs our own tokens: long enough, and not out of somebody's documentation.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// RFC 7518 §3.2: a key of at least the hash's size.
const MIN_BYTES: usize = 32;

/// Random bytes in any text form have more different characters than this; `aaaa…` and `0101…` have not.
const MIN_DIFFERENT: usize = 10;

/// What only secrets copied from an example contain. In lower case, and each long enough that a random
/// base64 text of 44 characters contains one less than once in a million times.
const EXAMPLES: &[&str] = &[
    "0123456789",
    "1234567890",
    "abcdefghij",
    "256-bit",
    "256_bit",
    "example",
    "change-me",
    "change_me",
    "changeme",
    "change-in-production",
    "change-this",
    "change_this",
    "changethis",
    "default-",
    "jwt-secret",
    "jwt_secret",
    "jwtsecret",
    "my-secret",
    "my_secret",
    "openclaw",
    "password",
    "placeholder",
    "replace",
    "secret-key",
    "secret_key",
    "secretkey",
    "super-secret",
    "supersecret",
    "test-secret",
    "your-",
    "your_",
];

/// A secret that is fit to sign our own tokens (HS256).
#[derive(Clone)]
pub struct TokenSecret(SecretString);

impl TokenSecret {
    /// Checks and wraps `secret`.
    ///
    /// # Errors
    /// [`WeakSecret`] for one shorter than 32 bytes, of fewer than 10 different characters, or that looks
    /// like an example of somebody's documentation.
    pub fn new(secret: SecretString) -> Result<Self, WeakSecret> {
        let text = secret.expose_secret();
        if text.len() < MIN_BYTES {
            return Err(WeakSecret::Short { bytes: text.len() });
        }
        let mut different: Vec<u8> = text.bytes().collect();
        different.sort_unstable();
        different.dedup();
        if different.len() < MIN_DIFFERENT {
            return Err(WeakSecret::Monotonous);
        }
        let lower = text.to_ascii_lowercase();
        if let Some(found) = EXAMPLES
            .iter()
            .copied()
            .find(|example| lower.contains(*example))
        {
            return Err(WeakSecret::Example { found });
        }
        Ok(Self(secret))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret([redacted])")
    }
}

/// Why a secret must not sign tokens. Says how to make a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// Too short.
    #[error(
        "JWT_SECRET has {bytes} bytes and needs at least 32; make one with `openssl rand -base64 48`"
    )]
    Short {
        /// Its length.
        bytes: usize,
    },
    /// Hardly any different characters.
    #[error("JWT_SECRET repeats a few characters; make one with `openssl rand -base64 48`")]
    Monotonous,
    /// Out of an example.
    #[error(
        "JWT_SECRET contains `{found}`, as examples in documentation do; \
         make one with `openssl rand -base64 48`"
    )]
    Example {
        /// Which part gave it away; a word of ours, not of the secret's.
        found: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a09_token_confusion_weak_secrets_are_refused() {
        for (secret, why) in [
            ("", WeakSecret::Short { bytes: 0 }),
            (
                "kB7!xq_0Zr9Lw2Tn4Vf6Yh8Jd1Ms3Pc",
                WeakSecret::Short { bytes: 31 },
            ),
            (
                "a-string-secret-at-least-256-bits-long",
                WeakSecret::Example { found: "256-bit" },
            ),
            (
                "your-super-secret-jwt-key-change-me",
                WeakSecret::Example { found: "change-me" },
            ),
            (
                "YOUR-256-BIT-SECRET-YOUR-256-BIT-SECRET",
                WeakSecret::Example { found: "256-bit" },
            ),
            (
                "openclaw-tenancy-local-development-key",
                WeakSecret::Example { found: "openclaw" },
            ),
            (
                "0123456789abcdef0123456789abcdef",
                WeakSecret::Example {
                    found: "0123456789",
                },
            ),
            (
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                WeakSecret::Monotonous,
            ),
            (
                "abababcdcdcdabababcdcdcdabababcdcdcd",
                WeakSecret::Monotonous,
            ),
        ] {
            let refused = TokenSecret::new(SecretString::from(secret)).unwrap_err();
            assert_eq!(refused, why, "{secret}");
        }
    }

    #[test]
    fn a_random_secret_is_fit_and_never_shown() {
        let secret = "qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5Ti7OoWjUA=";
        let fit = TokenSecret::new(SecretString::from(secret)).unwrap();
        assert!(!format!("{fit:?}").contains("qvJ0"));
    }
}
