//! The cookies of the control plane's own origin.
//!
//! Only `__Host-` names (RFC 6265bis §4.1.3.2): a sibling host can neither set nor shadow them, and a browser
//! drops one without `Secure`. Browsers treat loopback names as secure, so a laptop needs no TLS for it.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The session with the API.
pub const SESSION: &str = "__Host-oct-session";
/// Binds a sign-in at a provider to the browser that began it.
pub const LOGIN: &str = "__Host-oct-login";
/// Carries the first administrator's claim through the sign-in.
pub const CLAIM: &str = "__Host-oct-claim";
/// By what a browser that has signed in before is known again.
pub const BROWSER: &str = "__Host-oct-browser";
/// The language somebody chose.
pub const LANGUAGE: &str = "__Host-oct-lang";
/// What the names of all of ours begin with, here and at instances.
#[cfg(feature = "edge")]
const PREFIX: &str = "__Host-oct-";

/// The value of the cookie `name`, if the request has exactly one of that name.
///
/// Two of one name mean that somebody planted one: then there is none, and whoever it is signs in anew.
#[must_use]
pub fn read<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut found = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(value), None) => Some(value),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

/// A `Set-Cookie` of `name` for `max_age`; `None` if `value` cannot stand in one.
///
/// `SameSite=Lax`: a provider's redirect back and a link from anywhere arrive with it, a foreign form does not.
#[must_use]
pub fn set(name: &str, value: &str, max_age: Duration) -> Option<HeaderValue> {
    let plain = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let text = format!(
        "{name}={value}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Lax",
        max_age.as_secs()
    );
    HeaderValue::try_from(text).ok().filter(|_| plain)
}

/// A `Set-Cookie` that removes `name`.
#[must_use]
pub fn clear(name: &str) -> Option<HeaderValue> {
    set(name, "", Duration::ZERO)
}

/// Name and value of each cookie in a `Cookie` line. One without `=` has no name (RFC 6265bis §5.6).
#[cfg(feature = "edge")]
pub(crate) fn split(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let space = |c| c == ' ' || c == '\t';
    text.split(';')
        .map(move |pair| pair.trim_matches(space))
        .filter(|pair| !pair.is_empty())
        .map(move |pair| {
            let (name, value) = pair.split_once('=').unwrap_or(("", pair));
            (
                name.trim_end_matches(space),
                value.trim_start_matches(space),
            )
        })
}

/// Whether a cookie name is one of ours in any spelling that some browser may take for it.
#[cfg(feature = "edge")]
pub(crate) fn is_ours(name: &str) -> bool {
    name.get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (COOKIE, HeaderValue::from_static(line)))
            .collect()
    }

    #[test]
    fn one_of_its_name_is_read() {
        let cookies = headers(&["a=1; __Host-oct-session=x=y;b=2"]);
        assert_eq!(read(&cookies, SESSION), Some("x=y"));
        assert_eq!(read(&cookies, "c"), None);
        assert_eq!(read(&HeaderMap::new(), SESSION), None);
    }

    #[test]
    fn two_of_one_name_are_none() {
        for lines in [
            &["__Host-oct-session=a; __Host-oct-session=b"][..],
            &["__Host-oct-session=a", "__Host-oct-session=a"],
        ] {
            assert_eq!(read(&headers(lines), SESSION), None, "{lines:?}");
        }
    }

    #[test]
    fn only_the_exact_name_counts() {
        for line in [
            "oct-session=a",
            "__Secure-oct-session=a",
            "__host-oct-session=a",
            "__Host-oct-session =a",
            "x__Host-oct-session=a",
        ] {
            let cookies: HeaderMap = [(COOKIE, HeaderValue::from_static(line))]
                .into_iter()
                .collect();
            assert_eq!(read(&cookies, SESSION), None, "{line}");
        }
    }

    #[test]
    fn a10_cookie_attributes_are_the_strict_ones() {
        let cookie = set(SESSION, "abc", Duration::from_secs(60)).unwrap();
        assert_eq!(
            cookie.to_str().unwrap(),
            "__Host-oct-session=abc; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(set(SESSION, "a; Domain=evil", Duration::ZERO), None);
        assert_eq!(set(SESSION, "a\r\nb", Duration::ZERO), None);
    }
}
