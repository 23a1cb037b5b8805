//! Encryption of the server's own keys under a key file.

use std::fmt;
use std::io;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;

/// The least a key file holds, in bytes.
const MIN_FILE: usize = 32;
/// The most that is read of one, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Encrypts values under a key file: AES-256-GCM with a random nonce, the value's name bound to it.
pub(super) struct Seal(RandomizedNonceKey);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal([redacted])")
    }
}

/// What was sealed under another key, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotOpened;

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        AES_256_GCM.key_len()
    }
}

impl Seal {
    /// The seal of the file at `path`.
    pub(super) fn from_file(path: &Path) -> io::Result<Self> {
        if std::fs::metadata(path)?.len() > MAX_FILE {
            return Err(io::Error::other("it holds more than 64 KiB"));
        }
        let content = Zeroizing::new(std::fs::read(path)?);
        if content.len() < MIN_FILE {
            return Err(io::Error::other(format!(
                "it holds {} bytes and needs at least {MIN_FILE} random ones; make it with `openssl rand -out FILE 32`",
                content.len()
            )));
        }
        Self::new(&content).map_err(|()| io::Error::other("no key can be made of it"))
    }

    /// The seal of `material`. The file may hold text or more bytes than a key has: a key is derived.
    fn new(material: &[u8]) -> Result<Self, ()> {
        let mut key = Zeroizing::new([0_u8; 32]);
        let prk = Salt::new(HKDF_SHA256, b"openclaw-tenancy").extract(material);
        prk.expand(&[b"server keys v1"], Length)
            .and_then(|okm| okm.fill(&mut *key))
            .and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, &*key))
            .map(Self)
            .map_err(|_| ())
    }

    /// `value` encrypted: base64 of nonce, text and tag.
    pub(super) fn seal(&self, name: &str, value: &[u8]) -> Result<String, NotOpened> {
        let mut text = value.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut text)
            .map_err(|_| NotOpened)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Ok(STANDARD.encode(sealed))
    }

    /// What [`seal`](Self::seal) encrypted under the same file and name.
    pub(super) fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let bytes = STANDARD.decode(sealed).map_err(|_| NotOpened)?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN).ok_or(NotOpened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOpened)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut text)
            .map_err(|_| NotOpened)?
            .len();
        text.truncate(opened);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_file_and_name_open_it() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let sealed = seal.seal("a", b"secret").unwrap();
        assert_ne!(
            sealed,
            seal.seal("a", b"secret").unwrap(),
            "a nonce of its own"
        );
        assert_eq!(&**seal.open("a", &sealed).unwrap(), b"secret");
        assert_eq!(seal.open("b", &sealed).unwrap_err(), NotOpened);
        assert_eq!(
            Seal::new(&[8; 32]).unwrap().open("a", &sealed).unwrap_err(),
            NotOpened
        );
        let mut changed = STANDARD.decode(&sealed).unwrap();
        for at in 0..changed.len() {
            changed[at] ^= 1;
            assert!(
                seal.open("a", &STANDARD.encode(&changed)).is_err(),
                "byte {at}"
            );
            changed[at] ^= 1;
        }
        assert!(seal.open("a", "AAAA").is_err());
    }

    #[test]
    fn a_file_that_is_too_short_says_how_to_make_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "short").unwrap();
        let text = Seal::from_file(file.path()).unwrap_err().to_string();
        assert!(text.contains("openssl rand"), "{text}");
    }
}
