//! Our cookies at an instance's host, and nobody else's by their names.
//!
//! All have the `__Host-` prefix (RFC 6265bis §4.1.3.2): a browser takes them only from this very host, so that
//! another instance's page, which shares the base domain, cannot set them. What it can do is send a second one
//! through an old browser; two of a name therefore count as none.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

pub(super) use crate::access::cookie::is_ours;
use crate::access::cookie::split;
use crate::identity::secret;

/// The browser's session with one instance.
pub(super) const INSTANCE: &str = "__Host-oct-instance";
/// Ties a hand-over to the browser that asked for it.
pub(super) const PRE: &str = "__Host-oct-pre";

/// The value of the only cookie of this name, if it is a secret of ours by its form: 256 bits in base64url.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = pairs(headers)
        .filter(|pair| pair.0 == name)
        .map(|pair| pair.1);
    match (found.next(), found.next()) {
        (Some(value), None) => secret::is_one(value).then_some(value),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

/// The cookies that are the instance's own; `None` when there is none.
pub(super) fn without_ours(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut rest = String::new();
    // One that begins with `=` and has another has two readings, with a name and without; one of `=` alone has none.
    let unclear =
        |(name, value): &(&str, &str)| name.is_empty() && (value.is_empty() || value.contains('='));
    let ours = |(name, value): &(&str, &str)| is_ours(name) || is_ours(value);
    for (name, value) in pairs(headers).filter(|pair| !ours(pair) && !unclear(pair)) {
        if !rest.is_empty() {
            rest.push_str("; ");
        }
        if !name.is_empty() {
            rest.push_str(name);
            rest.push('=');
        }
        rest.push_str(value);
    }
    if rest.is_empty() {
        None
    } else {
        HeaderValue::try_from(rest).ok()
    }
}

/// Name and value of each cookie sent.
///
/// A header that is not ASCII is left out: we cannot say what is in it.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(split)
}

/// A `Set-Cookie` of ours. Without `lasts` it ends with the browser's session.
///
/// `Lax`, not `Strict`: a person arrives here by a link from the console, which is another site.
pub(super) fn set(name: &str, value: &str, lasts: Option<Duration>) -> Option<HeaderValue> {
    let age = lasts
        .map(|lasts| format!("; Max-Age={}", lasts.as_secs()))
        .unwrap_or_default();
    let mut cookie = HeaderValue::try_from(format!(
        "{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{age}"
    ))
    .ok()?;
    cookie.set_sensitive(true);
    Some(cookie)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (header::COOKIE, HeaderValue::from_str(line).unwrap()))
            .collect()
    }

    #[test]
    fn a16_two_cookies_of_one_name_are_none() {
        let one = "A".repeat(43);
        let two = "B".repeat(43);
        let of = |lines: &[String]| {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            only(&headers(&lines), INSTANCE).map(str::to_owned)
        };
        assert_eq!(
            of(&[format!("x=1; {INSTANCE}={one}; y=2")]),
            Some(one.clone())
        );
        assert_eq!(of(&[format!("{INSTANCE}={one}; {INSTANCE}={two}")]), None);
        assert_eq!(
            of(&[format!("{INSTANCE}={one}"), format!("{INSTANCE}={one}")]),
            None
        );
        assert_eq!(of(&[format!("{INSTANCE}=\"{one}\"")]), None);
        assert_eq!(of(&[format!("__host-oct-instance={one}")]), None);
        assert_eq!(of(&[format!("{INSTANCE}={one}x")]), None);
    }

    #[test]
    fn the_instance_gets_its_own_cookies_alone() {
        let of = |lines: &[&str]| {
            without_ours(&headers(lines)).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            of(&["a=1; __Host-oct-instance=x; b=2", "c=3"]).as_deref(),
            Some("a=1; b=2; c=3")
        );
        assert_eq!(of(&["__HOST-OCT-instance=x;__Host-oct-anything=y"]), None);
        assert_eq!(
            of(&["=__Host-oct-instance=x; bare"]).as_deref(),
            Some("bare")
        );
        assert_eq!(of(&["__Host-oct-pre = x; a = 1"]).as_deref(), Some("a=1"));
    }
}
