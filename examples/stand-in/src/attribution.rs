//! Whose request this is, by OpenClaw's rules for proxies.
//!
//! An address of `gateway.trustedProxies` must say who its client is; any other address must not claim to be a proxy.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::config::Config;

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ingress {
    /// Loopback, without any forwarding header.
    Local,
    /// From a trusted proxy, which named its client.
    Proxied,
    /// From anywhere else, without any forwarding header.
    Direct,
}

/// A request that can be attributed to a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) ingress: Ingress,
}

/// The peer and our own end of a connection, in their plain forms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) peer: IpAddr,
    pub(crate) local: IpAddr,
}

impl Connection {
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            peer: peer.ip().to_canonical(),
            local: local.ip().to_canonical(),
        }
    }
}

/// Names the client, or `None`: OpenClaw's `proxy_attribution_required`.
pub(crate) fn attribute(
    headers: &HeaderMap,
    connection: Connection,
    config: &Config,
) -> Option<Client> {
    let peer = connection.peer;
    let forwarded = headers.keys().any(|name| {
        let name = name.as_str();
        name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-")
    });
    if peer.is_loopback() && !forwarded {
        return Some(Client {
            address: peer,
            ingress: Ingress::Local,
        });
    }
    if config.trusts(peer) {
        let address = forwarded_client(headers, config)?;
        return (!address.is_loopback()).then_some(Client {
            address,
            ingress: Ingress::Proxied,
        });
    }
    (!forwarded).then_some(Client {
        address: peer,
        ingress: Ingress::Direct,
    })
}

/// The last hop that is neither loopback nor itself a trusted proxy.
fn forwarded_client(headers: &HeaderMap, config: &Config) -> Option<IpAddr> {
    let chain = header(headers, "x-forwarded-for").unwrap_or_default();
    let client = chain
        .split(',')
        .rev()
        .filter_map(address)
        .find(|hop| !hop.is_loopback() && !config.trusts(*hop));
    match client {
        Some(client) => Some(client),
        None if config.gateway.allow_real_ip_fallback => {
            header(headers, "x-real-ip").as_deref().and_then(address)
        }
        None => None,
    }
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map(|(ip, _)| ip);
    bare.unwrap_or(text)
        .parse::<IpAddr>()
        .ok()
        .or_else(|| {
            text.parse::<SocketAddr>()
                .ok()
                .map(|with_port| with_port.ip())
        })
        .map(|ip| ip.to_canonical())
}

/// A header's value; several fields of one name are joined, as Node joins them.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut joined: Option<String> = None;
    for value in headers.get_all(name) {
        let value = String::from_utf8_lossy(value.as_bytes());
        match &mut joined {
            None => joined = Some(value.into_owned()),
            Some(joined) => {
                joined.push_str(", ");
                joined.push_str(&value);
            }
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sample;

    fn client(peer: &str, headers: &[(&'static str, &'static str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let connection = Connection {
            peer: peer.parse().unwrap(),
            local: "10.0.0.2".parse().unwrap(),
        };
        let config = sample(r#"{"trustedProxies":["10.0.0.1","127.0.0.1"]}"#);
        attribute(&map, connection, &config)
            .map(|client| format!("{:?} {}", client.ingress, client.address))
    }

    #[test]
    fn a_trusted_proxy_must_name_its_client() {
        assert_eq!(client("10.0.0.1", &[]), None);
        assert_eq!(
            client("10.0.0.1", &[("x-forwarded-for", "127.0.0.1")]),
            None
        );
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "10.0.0.1")]), None);
        assert_eq!(client("10.0.0.1", &[("x-real-ip", "203.0.113.7")]), None);
        assert_eq!(
            client(
                "10.0.0.1",
                &[("x-forwarded-for", "198.51.100.1, 203.0.113.7:99, 10.0.0.1")]
            ),
            Some("Proxied 203.0.113.7".to_owned())
        );
        assert_eq!(
            client("10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:99")]),
            Some("Proxied 2001:db8::1".to_owned())
        );
    }

    #[test]
    fn nobody_else_may_claim_to_be_one() {
        assert_eq!(client("10.0.0.9", &[]), Some("Direct 10.0.0.9".to_owned()));
        assert_eq!(
            client("10.0.0.9", &[("x-forwarded-for", "203.0.113.7")]),
            None
        );
        assert_eq!(
            client("10.0.0.9", &[("forwarded", "for=203.0.113.7")]),
            None
        );
        assert_eq!(client("10.0.0.9", &[("x-forwarded-proto", "https")]), None);
        assert_eq!(client("127.0.0.1", &[]), Some("Local 127.0.0.1".to_owned()));
    }
}
