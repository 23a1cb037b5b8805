//! Identifiers in the form of a version 4 UUID, as OpenClaw's nonces and connection ids have.

use std::fmt::Write as _;

/// A fresh random identifier.
#[expect(clippy::disallowed_methods, reason = "a double has no Entropy")]
pub(crate) fn identifier() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without the kernel's randomness a time is still unique enough for a double.
        bytes[..8].copy_from_slice(&crate::clock::unix_ms().to_be_bytes());
    }
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}
