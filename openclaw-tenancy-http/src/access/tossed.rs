//! Cookies that made a request too large (safety row A16).
//!
//! A page at a sibling host can set cookies for the domains that it shares with us, until every request to us is
//! refused for its size. What it set is ended with the refusal, so that whoever it happened to gets in again.

use http::header::{ACCEPT, ACCEPT_LANGUAGE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::cookie::{is_ours, split};
use super::host::{HostName, without_port};

/// So many cookies are ended with one answer; what is left is ended with the next.
const AT_MOST: usize = 64;
/// And so many bytes of answer are given to it: the names are a stranger's, and long if it likes.
const MAX_BYTES: usize = 32 * 1024;

/// Ends the cookies whose names stand in `head`, as much of a refused one as was read; ours are kept.
///
/// A cookie is ended only by its own domain and path, and a request tells neither. So each is ended for this host alone
/// and for every domain above it, at the root and at every path above the one asked for: those that a browser could
/// have had it from. A browser passes over what is not its to set.
pub(crate) fn end(head: &[u8]) -> Vec<HeaderValue> {
    let head = Refused::read(head);
    let names: Vec<&str> = head.cookies().take(AT_MOST).collect();
    let domains = head.domains();
    let mut left = MAX_BYTES;
    let mut ends = Vec::new();
    for path in head.paths() {
        for name in &names {
            let host_only = format!("{name}=; Path={path}; Max-Age=0; Secure");
            let shared = domains
                .iter()
                .map(|domain| format!("{host_only}; Domain={domain}"));
            for end in shared.chain([host_only.clone()]) {
                let Some(rest) = left.checked_sub(end.len()) else {
                    return ends;
                };
                left = rest;
                ends.extend(HeaderValue::try_from(end).ok());
            }
        }
    }
    ends
}

/// What a refused head says of how its sender wants to be answered, as far as it was read.
pub(crate) fn manners(head: &[u8]) -> HeaderMap {
    const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    let head = Refused::read(head);
    let mut manners = HeaderMap::new();
    for name in [ACCEPT, ACCEPT_LANGUAGE, FETCH_MODE] {
        let value = head.values(name.as_str()).next();
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value.trim()).ok()) {
            manners.insert(name, value);
        }
    }
    manners
}

/// The lines of a head that was refused, and may be anything.
struct Refused(String);

impl Refused {
    fn read(head: &[u8]) -> Self {
        Self(String::from_utf8_lossy(head).into_owned())
    }

    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h str> {
        let lines = self.0.split("\r\n").skip(1);
        let fields = lines.filter_map(|line| line.split_once(':'));
        fields.filter_map(move |(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The names of the cookies; one without a name cannot be told from another.
    fn cookies(&self) -> impl Iterator<Item = &str> {
        let pairs = self.values("cookie").flat_map(split);
        let names = pairs.map(|(name, _)| name);
        names.filter(|name| !name.is_empty() && !is_ours(name) && name.bytes().all(is_plain))
    }

    /// The host and what is above it, as far as a browser lets a cookie be set for it: not for a whole top level, but
    /// for `localhost` perhaps. An address has none above it.
    fn domains(&self) -> Vec<String> {
        let host = self.values("host").next().map(str::trim);
        let Some(HostName::Name(name)) = host.and_then(without_port) else {
            return Vec::new();
        };
        let dots = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
        let above = dots.filter(|name| name.contains('.') || *name == "localhost");
        let above: Vec<String> = above.map(str::to_owned).collect();
        [name].into_iter().chain(above).collect()
    }

    /// `/` and every path that the one asked for begins with (RFC 6265 §5.1.4).
    fn paths(&self) -> Vec<&str> {
        let target = self.0.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let whole = path.starts_with('/') && path.bytes().all(is_plain);
        let path = if whole { path } else { "/" };
        let slashes = path.match_indices('/').skip(1);
        let inner = slashes.flat_map(|(at, _)| [&path[..at], &path[..=at]]);
        let mut paths: Vec<&str> = ["/"].into_iter().chain(inner).chain([path]).collect();
        paths.dedup();
        paths
    }
}

/// Whether a byte may stand in an attribute of a cookie.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b';' && byte != b','
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(head: &str) -> Vec<String> {
        let ends = end(head.as_bytes());
        ends.iter()
            .map(|end| end.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a16_each_is_ended_wherever_it_can_have_been_set() {
        let head = "GET /api/me?x=/y HTTP/1.1\r\nHost: console.example.org:3000\r\n\
                    cookie: a=1; __Host-oct-session=s\r\n";
        assert_eq!(
            ends(head),
            ["/", "/api", "/api/", "/api/me"]
                .iter()
                .flat_map(|path| {
                    let end = format!("a=; Path={path}; Max-Age=0; Secure");
                    [
                        format!("{end}; Domain=console.example.org"),
                        format!("{end}; Domain=example.org"),
                        end,
                    ]
                })
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a16_what_is_no_host_and_no_path_is_not_repeated() {
        for head in [
            "GET / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nCookie: a=1\r\n",
            "GET / HTTP/1.1\r\nHost: a b.c;d.e\r\nCookie: a=1\r\n",
            "GET /x;y HTTP/1.1\r\nCookie: a=1; \u{e9}=2; =3; b",
            "x\r\nCookie: a=1",
        ] {
            assert_eq!(ends(head), ["a=; Path=/; Max-Age=0; Secure"], "{head}");
        }
        let nested = ends("GET / HTTP/1.1\r\nHost: a.b.localhost\r\nCookie: a=1\r\n");
        assert!(
            nested.iter().any(|end| end.ends_with("Domain=localhost")),
            "{nested:?}"
        );
    }

    #[test]
    fn a16_the_answer_stays_short() {
        let cookies: String = (0..200).map(|n| format!("c{n}=1; ")).collect();
        let many = ends(&format!(
            "GET / HTTP/1.1\r\nHost: a.example.org\r\nCookie: {cookies}"
        ));
        assert_eq!(many.len(), AT_MOST * 3);
        let long = format!("{}=1; ", "n".repeat(4000)).repeat(4);
        let path = "/p".repeat(100);
        let long = ends(&format!(
            "GET {path} HTTP/1.1\r\nHost: a.example.org\r\nCookie: {long}"
        ));
        assert!(long.iter().map(String::len).sum::<usize>() <= MAX_BYTES);
        assert!(long.len() > 4);
    }
}
