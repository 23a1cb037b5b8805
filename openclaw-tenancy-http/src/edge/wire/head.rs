//! What a request head may look like: stricter than RFC 9112 allows a server to be, so that nothing before or
//! behind us can see other message boundaries than we do.

use super::{Fault, MAX_HEADERS};

/// Where the body of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// At the last chunk.
    Chunked,
}

/// Checks a whole head, from the method to the empty line.
///
/// Refused although a lenient server forgives it: bare CR and LF, folded lines, a space before the colon,
/// several or signed lengths, a length beside a coding, a coding other than `chunked` alone, and methods that
/// are not upper-case words.
pub(super) fn check(head: &[u8]) -> Result<Framing, Fault> {
    let mut lines = Lines(head);
    let http_11 = request_line(lines.next_line()?)?;
    let mut length = None;
    let mut chunked = false;
    for count in 0.. {
        let line = lines.next_line()?;
        if line.is_empty() {
            break;
        }
        if count == MAX_HEADERS {
            return Err(Fault::TooManyHeaders);
        }
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(content_length(value)?).is_some() {
                return Err(Fault::Malformed("Content-Length is given more than once"));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !http_11 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::Malformed("Transfer-Encoding is not `chunked` alone"));
            }
            chunked = true;
        }
    }
    match (length, chunked) {
        (Some(_), true) => Err(Fault::Malformed(
            "Content-Length stands beside Transfer-Encoding",
        )),
        (None, true) => Ok(Framing::Chunked),
        (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    /// The next line, without its CRLF.
    fn next_line(&mut self) -> Result<&'a [u8], Fault> {
        let wrong = Fault::Malformed("a line does not end with CR LF");
        let end = self.0.iter().position(|&b| b == b'\n').ok_or(wrong)?;
        let line = self.0[..end].strip_suffix(b"\r").ok_or(wrong)?;
        self.0 = &self.0[end + 1..];
        Ok(line)
    }
}

/// Whether the version is 1.1, of a request line that is three words with single spaces between.
fn request_line(line: &[u8]) -> Result<bool, Fault> {
    let mut words = line.split(|&b| b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Fault::Malformed("the request line is not three words"));
    };
    let word = |b: &u8| b.is_ascii_uppercase() || *b == b'-';
    if !(1..=32).contains(&method.len()) || !method.iter().all(word) {
        return Err(Fault::Malformed("the method is not an upper-case word"));
    }
    // A fragment never belongs on the wire, and parsers disagree on what to do with it.
    if target.is_empty() || !target.iter().all(|b| b.is_ascii_graphic() && *b != b'#') {
        return Err(Fault::Malformed(
            "the request target has a byte that no URL has",
        ));
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        _ => Err(Fault::Malformed("the version is not HTTP/1.1")),
    }
}

/// Name and value, without the white space around the value.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let colon = line
        .iter()
        .position(|&b| b == b':')
        .ok_or(Fault::Malformed("a header line has no colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|&b| TOKEN[usize::from(b)]) {
        return Err(Fault::Malformed(
            "a header name has a byte that no name has",
        ));
    }
    // Without an early end: so it is compiled to a few wide compares.
    let text = |ok: bool, &b: &u8| ok & (b == b'\t' || (b >= 0x20 && b != 0x7f));
    if !value.iter().fold(true, text) {
        return Err(Fault::Malformed("a header value has a control character"));
    }
    Ok((name, trim(value)))
}

/// Optional white space is spaces and tabs, nothing else (RFC 9110 §5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn content_length(value: &[u8]) -> Result<u64, Fault> {
    let wrong = Fault::Malformed("Content-Length is not one plain number");
    // Digits alone: `parse` takes a sign. No leading zero: some read that as octal.
    if !value.iter().all(u8::is_ascii_digit) || (value.len() > 1 && value[0] == b'0') {
        return Err(wrong);
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(wrong)
}

/// Which bytes a header name may have.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 128 {
        table[b as usize] = is_token(b);
        b += 1;
    }
    table
};

/// `tchar` of RFC 9110 §5.6.2.
const fn is_token(b: u8) -> bool {
    matches!(b,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
        | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_heads_pass() {
        for (head, framing) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
            ("GET / HTTP/1.0\r\n\r\n", Framing::Length(0)),
            (
                "POST /a?b=[c] HTTP/1.1\r\nContent-Length:\t7 \r\n\r\n",
                Framing::Length(7),
            ),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n",
                Framing::Chunked,
            ),
            (
                "M-SEARCH * HTTP/1.1\r\nX: \u{e9}\r\nempty:\r\n\r\n",
                Framing::Length(0),
            ),
        ] {
            assert_eq!(check(head.as_bytes()), Ok(framing), "{head:?}");
        }
    }

    #[test]
    fn a_hundred_headers_and_not_one_more() {
        let head = |count: usize| {
            let lines = "A: b\r\n".repeat(count);
            check(format!("GET / HTTP/1.1\r\n{lines}\r\n").as_bytes())
        };
        assert_eq!(head(100), Ok(Framing::Length(0)));
        assert_eq!(head(101), Err(Fault::TooManyHeaders));
    }
}
