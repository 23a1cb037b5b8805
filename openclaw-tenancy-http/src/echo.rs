//! What came from outside, as it may be shown to whoever sent it and written to a log.

/// Echoed values are cut to this many characters.
pub(crate) const MAX_VALUE_CHARS: usize = 80;

/// `text` as it may be echoed: cut, and without what a terminal or a log would obey.
pub(crate) fn echo(text: &str) -> String {
    text.chars()
        .take(MAX_VALUE_CHARS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
