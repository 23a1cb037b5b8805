//! Keeps what outsiders wrote from forging or breaking log lines (safety row A27).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use tracing_subscriber::fmt::MakeWriter;

use super::config::LogFormat;

/// The longest line, in bytes. What is longer is cut, and says so.
pub(crate) const MAX_LINE: usize = 16 * 1024;

/// Whether a terminal, a pager or a log collector may take the character for more than text: C0 and C1
/// controls, line and paragraph separators, and what changes the direction of text.
const fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{2028}' | '\u{2029}'
        | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{feff}')
}

/// `text` with every unsafe character written as `\u{1b}`, or as `\u001b` within JSON.
#[must_use]
pub(crate) fn escape(text: &str, format: LogFormat) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match (is_unsafe(c), format) {
            (false, _) => escaped.write_char(c),
            (true, LogFormat::Text) => write!(escaped, "{}", c.escape_default()),
            // Every unsafe character is below U+10000.
            (true, LogFormat::Json) => write!(escaped, "\\u{:04x}", u32::from(c)),
        };
    }
    Cow::Owned(escaped)
}

/// A writer factory whose writers make one safe line of each event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SafeLines<W> {
    inner: W,
    format: LogFormat,
}

impl<W> SafeLines<W> {
    /// Safe lines on what `inner` makes.
    #[must_use]
    pub(crate) const fn new(inner: W, format: LogFormat) -> Self {
        Self { inner, format }
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for SafeLines<W> {
    type Writer = SafeLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        SafeLine {
            inner: self.inner.make_writer(),
            format: self.format,
        }
    }
}

/// Writes one event, which the formatter hands over whole.
#[derive(Debug)]
pub(crate) struct SafeLine<W> {
    inner: W,
    format: LogFormat,
}

impl<W: io::Write> io::Write for SafeLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = safe_line(text.strip_suffix('\n').unwrap_or(&text), self.format);
        self.inner.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn safe_line(text: &str, format: LogFormat) -> String {
    let mut line = escape(text, format).into_owned();
    if line.len() > MAX_LINE {
        let bytes = line.len();
        // Characters are at most 4 bytes, so a boundary is near.
        let start = line.floor_char_boundary(MAX_LINE / 2);
        line = match format {
            LogFormat::Text => format!("{}… ({bytes} bytes in all)", &line[..start]),
            LogFormat::Json => serde_json::json!({
                "level": "WARN",
                "message": "a log line was cut",
                "bytes": bytes,
                "start": &line[..start],
            })
            .to_string(),
        };
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn written(event: &str, format: LogFormat) -> String {
        let mut out = Vec::new();
        SafeLine {
            inner: &mut out,
            format,
        }
        .write_all(event.as_bytes())
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a27_log_injection_makes_no_second_line_and_no_terminal_sequence() {
        let hostile =
            "user=\u{1b}[2Jroot\r\n2026 INFO forged\u{85}\u{2028}\u{202e}txt\u{9b}31m\0end\n";
        assert_eq!(
            written(hostile, LogFormat::Text),
            "user=\\u{1b}[2Jroot\\r\\n2026 INFO forged\\u{85}\\u{2028}\\u{202e}txt\\u{9b}31m\\u{0}end\n"
        );
        let json = written("{\"user\":\"a\u{2028}b\u{9b}c\u{7f}\"}\n", LogFormat::Json);
        assert_eq!(json, "{\"user\":\"a\\u2028b\\u009bc\\u007f\"}\n");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["user"], "a\u{2028}b\u{9b}c\u{7f}");
    }

    #[test]
    fn what_is_harmless_stays_as_it_is() {
        for text in ["plain", "中文 und Umlaute äöü", "tab-free"] {
            assert!(matches!(escape(text, LogFormat::Text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn a_long_line_is_cut_and_stays_what_it_was() {
        let long = format!("{{\"message\":\"{}\"}}\n", "ä".repeat(MAX_LINE));
        let line = written(&long, LogFormat::Json);
        assert!(line.len() < 2 * MAX_LINE);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["bytes"], long.len() - 1);
        let text = written(&"ä".repeat(MAX_LINE), LogFormat::Text);
        assert!(text.ends_with("… (32768 bytes in all)\n"), "{text}");
    }
}
