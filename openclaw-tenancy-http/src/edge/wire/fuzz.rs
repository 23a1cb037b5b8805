//! What a connection may send: what is handed on has one reading, by whatever pieces it comes, and it is the one that
//! hyper's own parser has of it.

use std::task::Waker;

use fuzzing::Verdict;
use proptest::{prop_assert, prop_assert_eq};

use super::*;

#[test]
fn fuzz_wire_has_one_reading_of_messages() {
    fuzzing::run(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/wire"), check);
}

fn check(input: &[u8]) -> Verdict {
    let whole = handed_on(input, usize::MAX);
    for most in [1, 7, 1024] {
        let pieces = handed_on(input, most);
        prop_assert_eq!(pieces.fault, whole.fault, "in pieces of {}", most);
        prop_assert_eq!(pieces.expect, whole.expect, "in pieces of {}", most);
        if whole.expect == Expect::Broken {
            // What is broken may have gone as far as it was well formed, and no farther.
            let (short, long) = (&whole.bytes, &pieces.bytes);
            prop_assert!(long.starts_with(short) && input.starts_with(long));
        } else {
            prop_assert_eq!(&pieces.bytes, &whole.bytes, "in pieces of {}", most);
        }
    }
    // A refused head, and what follows it, is kept back; ours stands in its place.
    let passed = match whole.bytes.strip_suffix(FAULT_REQUEST) {
        Some(passed) if whole.expect == Expect::Refused => passed,
        _ => &whole.bytes[..],
    };
    prop_assert!(input.starts_with(passed), "something that nobody sent");
    let end = messages(passed).map_err(fuzzing::fails)?;
    match whole.expect {
        Expect::Head => {
            prop_assert_eq!(end, End::BetweenMessages);
            let rest = &input[passed.len()..];
            prop_assert!(!begins_with_a_head(rest), "a whole head is kept back");
        }
        Expect::Refused => prop_assert_eq!(end, End::BetweenMessages),
        Expect::Length(_) | Expect::Chunked(_) => {
            prop_assert_eq!(end, End::InABody);
            prop_assert_eq!(passed.len(), input.len());
        }
        // The fault may stand right behind a head or after a part of the body.
        Expect::Broken => prop_assert_eq!(end, End::InABody),
        Expect::Raw => return Err(fuzzing::fails("nobody asked for a tunnel")),
    }
    Ok(())
}

struct HandedOn {
    bytes: Vec<u8>,
    fault: Option<Fault>,
    expect: Expect,
}

/// What hyper would get of `input` in pieces of at most `most` bytes.
fn handed_on(input: &[u8], most: usize) -> HandedOn {
    let link = Arc::new(Link::default());
    let patience = Patience {
        head: Duration::MAX,
        idle: Duration::MAX,
        stall: Duration::MAX,
    };
    let pieces = Pieces { rest: input, most };
    let mut stream = Strict::new(pieces, Arc::clone(&link), patience);
    let mut bytes = Vec::new();
    let mut room = vec![0; 64 * 1024];
    loop {
        let mut out = ReadBuf::new(&mut room);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut stream).poll_read(&mut context, &mut out) {
            Poll::Ready(Ok(())) if !out.filled().is_empty() => {
                bytes.extend_from_slice(out.filled());
            }
            Poll::Ready(_) | Poll::Pending => break,
        }
    }
    HandedOn {
        bytes,
        fault: link.fault().map(|(fault, _)| fault),
        expect: match stream.expect {
            // How much is still to come is not what hyper sees.
            Expect::Chunked(_) => Expect::Chunked(Chunked::START),
            other => other,
        },
    }
}

/// A client that sends `most` bytes at a time and then closes.
struct Pieces<'i> {
    rest: &'i [u8],
    most: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.rest.len().min(self.most).min(out.remaining());
        let (piece, rest) = self.rest.split_at(count);
        out.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// Where bytes end that are whole messages but for the last body.
#[derive(Debug, PartialEq, Eq)]
enum End {
    BetweenMessages,
    InABody,
}

/// Reads `bytes` as hyper's parser does, and as nobody could read them otherwise.
fn messages(mut bytes: &[u8]) -> Result<End, String> {
    while !bytes.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            other => {
                return Err(format!(
                    "the library says {other:?} of a head: {:?}",
                    &bytes.escape_ascii().to_string()
                ));
            }
        };
        let head = &bytes[..length];
        one_reading(head, &request)?;
        bytes = &bytes[length..];
        match framed(&request)? {
            None => match bytes_of_chunks(bytes)? {
                Some(length) => bytes = &bytes[length..],
                None => return Ok(End::InABody),
            },
            Some(length) if length <= bytes.len() => bytes = &bytes[length..],
            Some(_) => return Ok(End::InABody),
        }
    }
    Ok(End::BetweenMessages)
}

/// Written anew from what the library understood, a head is what it was but for optional white space.
fn one_reading(head: &[u8], request: &httparse::Request<'_, '_>) -> Result<(), String> {
    let version = format!("HTTP/1.{}", request.version.unwrap_or_default());
    let line = [
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
        &version,
    ];
    let mut lines = vec![line.join(" ").into_bytes()];
    for header in &*request.headers {
        lines.push([header.name.as_bytes(), b":", header.value].concat());
    }
    let mut given = Vec::new();
    for line in head.split(|b| *b == b'\n') {
        let Some(line) = line.strip_suffix(b"\r") else {
            break;
        };
        given.push(line);
    }
    // The empty line.
    given.pop();
    let tight = |line: &&[u8]| match line.iter().position(|b| *b == b':') {
        Some(colon)
            if line
                .iter()
                .position(|b| *b == b' ')
                .is_none_or(|space| space > colon) =>
        {
            let (name, value) = line.split_at(colon + 1);
            let value = value.iter().position(|b| !matches!(b, b' ' | b'\t'));
            let value = value.map_or(&[][..], |at| &line[colon + 1 + at..]);
            let end = value.iter().rposition(|b| !matches!(b, b' ' | b'\t'));
            [name, end.map_or(&[][..], |end| &value[..=end])].concat()
        }
        _ => line.to_vec(),
    };
    let given: Vec<Vec<u8>> = given.iter().map(tight).collect();
    if given == lines {
        Ok(())
    } else {
        let text = |lines: &[Vec<u8>]| lines.join(&b"|"[..]).escape_ascii().to_string();
        Err(format!("{} is read as {}", text(&given), text(&lines)))
    }
}

/// The length of the body, `None` for one in chunks: by RFC 9112 §6.3, without what it leaves to judgement.
fn framed(request: &httparse::Request<'_, '_>) -> Result<Option<usize>, String> {
    let all = |name: &str| -> Vec<&[u8]> {
        let named = request.headers.iter();
        let named = named.filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value).collect()
    };
    match (&*all("content-length"), &*all("transfer-encoding")) {
        ([], []) => Ok(Some(0)),
        ([length], []) => std::str::from_utf8(length)
            .ok()
            .filter(|length| length.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|length| length.parse::<u64>().ok())
            .filter(|number| number.to_string().as_bytes() == *length)
            .map(|length| Some(usize::try_from(length).unwrap_or(usize::MAX)))
            .ok_or_else(|| {
                format!(
                    "the length {:?} has several readings",
                    length.escape_ascii().to_string()
                )
            }),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && request.version == Some(1) => {
            Ok(None)
        }
        other => Err(format!("the framing {other:?} has several readings")),
    }
}

/// How long a chunked body is, by the library's reading of its sizes; `None` while it has not ended.
fn bytes_of_chunks(body: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let rest = &body[at.min(body.len())..];
        let (line, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(format!("the library says of a chunk: {error}")),
        };
        let digits = rest[..line].strip_suffix(b"\r\n").unwrap_or_default();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!(
                "more than a size: {:?}",
                digits.escape_ascii().to_string()
            ));
        }
        let Some(data) = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_add(at + line))
        else {
            return Ok(None);
        };
        match body.get(data..data + 2) {
            Some(b"\r\n") if size == 0 => return Ok(Some(data + 2)),
            Some(b"\r\n") => at = data + 2,
            Some(other) => return Err(format!("{other:?} after a chunk")),
            None => return Ok(None),
        }
    }
}

fn begins_with_a_head(bytes: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let parsed = httparse::Request::new(&mut headers).parse(bytes);
    matches!(parsed, Ok(httparse::Status::Complete(_)))
}
