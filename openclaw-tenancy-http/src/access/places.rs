//! Places for connections: so many in all, and so many for each address (safety row A26).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::net::TcpStream;

use super::address::{TrustedProxies, subscriber};

/// Sent to whom there is no place for, without reading anything.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncache-control: no-store\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// Tells whoever has no place so, and to come back in five seconds.
pub(crate) fn turn_away(stream: &TcpStream) {
    // A fresh socket has room for this; one that has not is closed without a word.
    let _ = stream.try_write(NO_PLACE);
}

/// The networks behind one address of which are many people: this machine's own, where a proxy or a tunnel may
/// end, and listed proxies.
pub(crate) fn shared(proxies: &TrustedProxies) -> Vec<IpNet> {
    let loopback = [
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    ];
    loopback
        .into_iter()
        .chain(proxies.0.iter().copied())
        .collect()
}

/// Places for connections, in all and for each address; a `/64` of IPv6 is one.
#[derive(Debug)]
pub(crate) struct Places {
    taken: Arc<Mutex<Taken>>,
    in_all: usize,
    per_address: usize,
    shared: Vec<IpNet>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    taken: Arc<Mutex<Taken>>,
    address: Option<IpAddr>,
}

impl Places {
    /// `in_all` places, of which one address has at most `per_address`; those in `shared` networks have as many
    /// as there are.
    pub(crate) fn new(in_all: usize, per_address: usize, shared: Vec<IpNet>) -> Self {
        Self {
            taken: Arc::default(),
            in_all,
            per_address,
            shared,
        }
    }

    /// A place for a connection from `peer`, if there is one.
    pub(crate) fn take(&self, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let many = self.shared.iter().any(|net| net.contains(&peer));
        let address = (!many).then(|| subscriber(peer));
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.in_all >= self.in_all {
            return None;
        }
        if let Some(address) = address {
            let of_address = taken.by_address.entry(address).or_default();
            if *of_address >= self.per_address {
                return None;
            }
            *of_address += 1;
        }
        taken.in_all += 1;
        Some(Place {
            taken: Arc::clone(&self.taken),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all -= 1;
        if let Some(address) = self.address
            && let Some(of_address) = taken.by_address.get_mut(&address)
        {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a26_exhaustion_places_are_counted_by_address_and_given_back() {
        let trusted = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]);
        let places = Places::new(5, 2, shared(&trusted));
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("2001:db8::1").unwrap();
        let _second = take("2001:db8::2").unwrap();
        assert!(take("2001:db8::3").is_none(), "one /64 is one subscriber");
        assert!(take("2001:db8:0:1::3").is_some());
        drop(first);
        let _third = take("2001:db8::3").unwrap();
        let _others: Vec<_> = ["10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1"]
            .map(|peer| take(peer).unwrap())
            .into();
        assert!(take("127.0.0.1").is_none(), "five in all");
    }
}
