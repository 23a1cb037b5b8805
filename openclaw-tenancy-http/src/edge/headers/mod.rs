//! Headers on their way through: what must not pass is taken off before ours are set.

#[cfg(test)]
mod fuzz;
mod request;
mod response;

use http::{HeaderMap, HeaderName, header};

pub(super) use self::request::{Forwarding, to_instance, upgrade_to_instance};
pub(super) use self::response::{to_browser, upgrade_to_browser};

/// Whether a header is of one hop (RFC 9110 §7.6.1, and those that were in use before it).
fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        // No header, though one may be sent under the name of this option.
        "close"
            | "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Removes the headers of the hop that ends here, those that `Connection` lists among them, and those `refused`.
fn remove(headers: &mut HeaderMap, refused: impl Fn(&str) -> bool) {
    let listed = listed_by_connection(headers);
    // Collected: a map cannot be changed while it is walked. There are two or three of them.
    let removed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            is_of_one_hop(name.as_str()) || refused(name.as_str()) || listed.contains(name)
        })
        .cloned()
        .collect();
    for name in removed {
        headers.remove(name);
    }
}

fn listed_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let common = |listed: &[u8]| {
        listed.eq_ignore_ascii_case(b"keep-alive") || listed.eq_ignore_ascii_case(b"close")
    };
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .map(<[u8]>::trim_ascii)
        // Nearly every request says `keep-alive` alone, or nothing; neither names a header that could pass.
        .filter(|listed| !common(listed))
        .filter_map(|listed| HeaderName::from_bytes(listed).ok())
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
