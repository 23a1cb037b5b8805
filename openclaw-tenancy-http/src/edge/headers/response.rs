//! From the instance back to the browser.

use http::{HeaderMap, HeaderValue, header};

use super::remove;
use crate::edge::cookies;

/// Whether an instance must not say this for its host: it would reach beyond its own page.
fn is_refused(name: &str) -> bool {
    matches!(
        name,
        "clear-site-data"
            | "service-worker-allowed"
            | "strict-transport-security"
            | "public-key-pins"
            // Would send the browser to another port or host for this origin.
            | "alt-svc"
            // Would have the browser tell another server what goes on here, long after this page.
            | "nel"
            | "report-to"
            | "reporting-endpoints"
            // An older `Set-Cookie` (RFC 2965), which nothing here has looked at.
            | "set-cookie2"
            // For shared caches that look past Cache-Control, as some do of `NAME-CDN-Cache-Control`; and below for
            // servers before us that would send a file of theirs instead.
            | "surrogate-control"
    ) || name.ends_with("cdn-cache-control")
        || name.starts_with("x-accel-")
        || name.starts_with("x-sendfile")
        || name.starts_with("x-lighttpd-")
        || name.starts_with("x-litespeed-")
}

/// Makes an answer's headers those that a browser may see.
pub(in crate::edge) fn to_browser(headers: &mut HeaderMap) {
    remove(headers, is_refused);
    if headers.contains_key(header::SET_COOKIE) {
        filter_cookies(headers);
    }
    make_private(headers);
}

/// As [`to_browser`], for the answer that opens a WebSocket.
pub(in crate::edge) fn upgrade_to_browser(headers: &mut HeaderMap) {
    to_browser(headers);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

fn filter_cookies(headers: &mut HeaderMap) {
    if let header::Entry::Occupied(cookies) = headers.entry(header::SET_COOKIE) {
        let (name, all) = cookies.remove_entry_mult();
        let kept: Vec<HeaderValue> = all.filter(may_set).collect();
        for cookie in kept {
            headers.append(name.clone(), cookie);
        }
    }
}

/// Whether a cookie is the instance's own business: for its host alone, and not by a name of ours.
fn may_set(cookie: &HeaderValue) -> bool {
    let Ok(text) = cookie.to_str() else {
        return false;
    };
    let mut parts = text.split(';');
    let pair = parts.next().unwrap_or_default();
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    // A browser sends a cookie without a name as its bare value, which then looks like a name.
    let ours = cookies::is_ours(name) || (name.is_empty() && cookies::is_ours(value));
    let wide = parts.any(|attribute| {
        let name = attribute.split('=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case("domain")
    });
    !ours && !wide
}

/// Keeps shared caches from keeping what only the owner may see (RFC 9111 §5.2.2.7).
fn make_private(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(header::CACHE_CONTROL).iter();
    let line = match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        (Some(_), Some(_)) | (None, _) => None,
    };
    let private = match line {
        // A quoted text may hold the letters of any directive, and says none.
        Some(line)
            if !line.contains('"')
                && (has_directive(line, "private") || has_directive(line, "no-store")) =>
        {
            return;
        }
        Some(line) => {
            let kept = line.split(',').map(str::trim).filter(|directive| {
                !is_for_shared(directive) && !directive.eq_ignore_ascii_case("private")
            });
            let kept: Vec<&str> = std::iter::once("private").chain(kept).collect();
            HeaderValue::try_from(kept.join(", ")).ok()
        }
        None => None,
    };
    let private = private.unwrap_or_else(|| HeaderValue::from_static("private"));
    headers.insert(header::CACHE_CONTROL, private);
}

fn has_directive(line: &str, directive: &str) -> bool {
    line.split(',')
        .any(|found| found.trim().eq_ignore_ascii_case(directive))
}

fn is_for_shared(directive: &str) -> bool {
    let name = directive.split('=').next().unwrap_or_default().trim();
    directive.is_empty()
        || ["public", "s-maxage", "proxy-revalidate"]
            .iter()
            .any(|shared| name.eq_ignore_ascii_case(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_of_others_keep_nothing() {
        for (said, heard) in [
            (None, "private"),
            (Some("public, max-age=60"), "private, max-age=60"),
            (
                Some("max-age=1, s-maxage=9, immutable"),
                "private, max-age=1, immutable",
            ),
            (Some("no-store"), "no-store"),
            (Some("Private, max-age=1"), "Private, max-age=1"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(said) = said {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
            }
            to_browser(&mut headers);
            assert_eq!(headers[header::CACHE_CONTROL], heard);
        }
    }
}
