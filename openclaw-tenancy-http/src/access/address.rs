//! Which address a request came from, for limits alone: it proves nothing about anybody.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// The header that a listed proxy appends the address it saw to.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Proxies whose word on the client's address counts. None unless the operator lists them.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    /// The client's network: an IPv4 address, or the `/64` that one IPv6 subscriber has.
    ///
    /// `X-Forwarded-For` is read from the right, as far as listed hops go. Without a known peer everybody is one.
    #[must_use]
    pub fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(Ipv6Addr::UNSPECIFIED.into(), |peer| {
                peer.0.ip().to_canonical()
            });
        let mut client = peer;
        let mut hops = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .collect::<Vec<_>>();
        while self.0.iter().any(|net| net.contains(&client)) {
            let Some(hop) = hops.pop().and_then(|hop| hop.trim().parse::<IpAddr>().ok()) else {
                break;
            };
            client = hop.to_canonical();
        }
        subscriber(client)
    }
}

/// The network that one subscriber has: an IPv4 address, or a `/64` of IPv6. Whoever counts by address counts this.
pub(crate) fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&'static str]) -> String {
        let proxies = TrustedProxies(proxies.iter().map(|net| net.parse().unwrap()).collect());
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let headers = forwarded
            .iter()
            .map(|line| (FORWARDED_FOR.parse().unwrap(), line.parse().unwrap()))
            .collect();
        proxies.client(&extensions, &headers).to_string()
    }

    #[test]
    fn forwarded_addresses_count_from_listed_peers_only() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.9"]), "192.0.2.1");
        let proxies = ["192.0.2.0/24"];
        assert_eq!(
            client(&proxies, "192.0.2.1", &["198.51.100.9"]),
            "198.51.100.9"
        );
        assert_eq!(
            client(&proxies, "203.0.113.5", &["198.51.100.9"]),
            "203.0.113.5"
        );
        // What the client itself wrote stands left of what the proxy appended.
        assert_eq!(
            client(&proxies, "192.0.2.1", &["10.0.0.1, 198.51.100.9"]),
            "198.51.100.9"
        );
        assert_eq!(
            client(
                &proxies,
                "192.0.2.1",
                &["10.0.0.1", "198.51.100.9, 192.0.2.7"]
            ),
            "198.51.100.9"
        );
        assert_eq!(client(&proxies, "192.0.2.1", &["nonsense"]), "192.0.2.1");
        assert_eq!(
            client(&proxies, "::ffff:192.0.2.1", &["198.51.100.9"]),
            "198.51.100.9"
        );
    }

    #[test]
    fn a_v6_subscriber_is_one_client() {
        assert_eq!(client(&[], "2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
    }
}
