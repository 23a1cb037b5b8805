//! Which address a request comes from, as the instance hears of it.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use crate::access::address::TrustedProxies;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Stands for a client on this very machine: `OpenClaw` refuses a loopback address as a proxy's client. From the
/// block for documentation (RFC 5737), so nobody has it.
const THIS_MACHINE: &str = "192.0.2.1";

/// The client's address: the peer, or what listed proxies say of it, read from the right.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.0.iter().any(|net| net.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    let hops = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    for hop in hops.collect::<Vec<_>>().into_iter().rev() {
        let Ok(hop) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        client = hop.to_canonical();
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// How the instance is told.
pub(super) fn header(address: IpAddr) -> HeaderValue {
    let told = if address.is_loopback() {
        None
    } else {
        HeaderValue::try_from(address.to_string()).ok()
    };
    told.unwrap_or_else(|| HeaderValue::from_static(THIS_MACHINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_believed_from_listed_proxies_alone() {
        let trusted = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]);
        let of = |peer: &str, lines: &[&str]| {
            let headers: HeaderMap = lines
                .iter()
                .map(|line| {
                    (
                        X_FORWARDED_FOR.parse().unwrap(),
                        HeaderValue::from_str(line).unwrap(),
                    )
                })
                .collect();
            address(peer.parse().unwrap(), &headers, &trusted).to_string()
        };
        assert_eq!(of("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(of("10.1.1.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            of("::ffff:10.1.1.1", &["1.1.1.1, 198.51.100.1", "10.2.2.2"]),
            "198.51.100.1"
        );
        assert_eq!(of("10.1.1.1", &["1.1.1.1, nonsense"]), "10.1.1.1");
        assert_eq!(of("10.1.1.1", &[]), "10.1.1.1");
    }

    #[test]
    fn a_loopback_client_has_an_address_that_is_nobodys() {
        assert_eq!(header("127.0.0.1".parse().unwrap()), "192.0.2.1");
        assert_eq!(header("::1".parse().unwrap()), "192.0.2.1");
        assert_eq!(header("198.51.100.1".parse().unwrap()), "198.51.100.1");
    }
}
