//! Whose page made a request (Fetch Metadata, RFC 6454, RFC 6455 §10.2).
//!
//! All instances share a site, so `SameSite` cookies are no wall between them: a page of one could write to
//! another with the cookie of whoever looks at it. What tells them apart is the origin.

use http::{HeaderMap, HeaderName, Method, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether a person looks at the answer: only then is sign-in offered instead of refused.
pub(super) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    match headers.get(SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|accept| accept.to_str().ok())
            .any(|accept| accept.contains("text/html")),
    }
}

/// Whether a request may pass that is not for a tunnel.
///
/// A write needs the instance's own origin in `Origin`. What reads may come from elsewhere only as a link that
/// somebody followed: not as a frame, a script or an image.
pub(super) fn may_pass(method: &Method, headers: &HeaderMap, own: &str) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let origin_fits = match origin(headers) {
        Origin::Absent => reads,
        Origin::Given(origin) => origin == own,
        Origin::Unclear => false,
    };
    let site_fits = match single(headers, &SEC_FETCH_SITE) {
        Ok(None | Some("same-origin" | "none")) => true,
        Ok(Some("same-site" | "cross-site")) => is_link(method, headers),
        Ok(Some(_)) | Err(Unclear) => false,
    };
    origin_fits && site_fits
}

/// Whether a WebSocket may be opened: by the instance's own pages alone. Without `Origin` it may not.
pub(super) fn may_tunnel(headers: &HeaderMap, own: &str) -> bool {
    matches!(origin(headers), Origin::Given(origin) if origin == own)
}

fn is_link(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && single(headers, &SEC_FETCH_MODE) == Ok(Some("navigate"))
        && single(headers, &SEC_FETCH_DEST) == Ok(Some("document"))
}

enum Origin<'a> {
    Absent,
    Given(&'a str),
    Unclear,
}

fn origin(headers: &HeaderMap) -> Origin<'_> {
    match single(headers, &header::ORIGIN) {
        Ok(Some(origin)) => Origin::Given(origin),
        Ok(None) => Origin::Absent,
        Err(Unclear) => Origin::Unclear,
    }
}

/// Given twice, or not readable.
#[derive(Debug, PartialEq, Eq)]
struct Unclear;

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Unclear> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Unclear),
        (Some(_), Some(_)) => Err(Unclear),
    }
}
