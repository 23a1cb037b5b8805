//! Headers on their way through: what must not pass is taken off before ours are set.

mod request;
mod response;

use http::{HeaderMap, HeaderName, header};

pub(super) use self::request::{Forwarding, to_instance, upgrade_to_instance};
pub(super) use self::response::{to_browser, upgrade_to_browser};

/// Headers of one hop (RFC 9110 §7.6.1, and those that were in use before it).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes the headers of the hop that ends here, those that `Connection` lists among them.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let plain = |value: &http::HeaderValue| {
        value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || value.as_bytes().eq_ignore_ascii_case(b"close")
    };
    let mut lines = headers.get_all(header::CONNECTION).iter();
    // Nearly every request says `keep-alive` alone, or nothing.
    let listed = match (lines.next(), lines.next()) {
        (None, _) => Vec::new(),
        (Some(only), None) if plain(only) => Vec::new(),
        (Some(_), _) => listed_by_connection(headers),
    };
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn listed_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

/// Whether `Connection` lists `token`.
pub(super) fn connection_lists(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
