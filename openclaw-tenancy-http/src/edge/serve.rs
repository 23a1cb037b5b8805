//! Listens, and ends in good order.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Edge, EdgeLimits};
use crate::access::address::{TrustedProxies, subscriber};

/// Sent to whom there is no place for, without reading anything.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncache-control: no-store\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";
/// After an error of accepting, such as no file descriptor left: the next would come at once.
const AFTER_ERROR: Duration = Duration::from_millis(50);

impl Edge {
    /// Serves a listener, and follows the store meanwhile, until `shutdown`. Then no connection is accepted, what is
    /// under way has [`EdgeLimits::drain`] to finish, and tunnels are closed.
    ///
    /// # Errors
    /// When the listener has no address.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let port = listener.local_addr()?.port();
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let connections = TaskTracker::new();
        let accepting = async {
            tokio::select! {
                () = self.accept(&listener, port, &stop, &cut, &connections) => {}
                () = shutdown => {}
            }
            drop(listener);
            stop.cancel();
            self.0.closing.cancel();
            connections.close();
            self.0.tunnels.close();
            let ended = async { tokio::join!(connections.wait(), self.0.tunnels.wait()) };
            tokio::select! {
                _ = ended => {}
                () = self.0.clock.sleep(self.0.config.limits.drain) => {
                    tracing::warn!(connections = connections.len(), "connections are cut: they did not end in time");
                    cut.cancel();
                    connections.wait().await;
                }
            }
        };
        let (mut accepting, mut following) = (pin!(accepting), pin!(self.follow()));
        tokio::select! {
            () = &mut accepting => Ok(()),
            () = &mut following => Ok(()),
        }
    }

    async fn accept(
        &self,
        listener: &TcpListener,
        port: u16,
        stop: &CancellationToken,
        cut: &CancellationToken,
        connections: &TaskTracker,
    ) {
        let places = Places::new(&self.0.config.limits, &self.0.config.trusted_proxies);
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    self.0.clock.sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            let Some(place) = places.take(peer.ip()) else {
                self.0.metrics.turned_away();
                turn_away(&stream);
                continue;
            };
            // Small answers must not wait for an acknowledgement (Nagle); a socket that refuses this still works.
            let _ = stream.set_nodelay(true);
            let (edge, stop, cut) = (self.clone(), stop.clone(), cut.clone());
            connections.spawn(async move {
                let _place = place;
                tokio::select! {
                    () = edge.serve_connection(stream, peer, Some(port), stop) => {}
                    () = cut.cancelled() => {}
                }
            });
        }
    }
}

fn turn_away(stream: &TcpStream) {
    // A fresh socket has room for this; one that has not is closed without a word.
    let _ = stream.try_write(NO_PLACE);
}

/// Places for connections, in all and for each address.
#[derive(Debug)]
struct Places {
    taken: Arc<Mutex<Taken>>,
    in_all: usize,
    per_address: usize,
    trusted: TrustedProxies,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place; given back when dropped.
#[derive(Debug)]
struct Place {
    taken: Arc<Mutex<Taken>>,
    address: Option<IpAddr>,
}

impl Places {
    fn new(limits: &EdgeLimits, trusted: &TrustedProxies) -> Self {
        Self {
            taken: Arc::default(),
            in_all: limits.connections,
            per_address: limits.connections_per_address,
            trusted: trusted.clone(),
        }
    }

    fn take(&self, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let many = peer.is_loopback() || self.trusted.0.iter().any(|net| net.contains(&peer));
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
        let limits = EdgeLimits {
            connections: 5,
            connections_per_address: 2,
            ..EdgeLimits::default()
        };
        let places = Places::new(
            &limits,
            &TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]),
        );
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("2001:db8::1").unwrap();
        let _second = take("2001:db8::2").unwrap();
        assert!(take("2001:db8::3").is_none(), "one /64 is one subscriber");
        assert!(take("2001:db8:0:1::3").is_some());
        drop(first);
        let _third = take("2001:db8::3").unwrap();
        let _others: Vec<_> = ["10.0.0.1", "10.0.0.1", "127.0.0.1"]
            .map(|peer| take(peer).unwrap())
            .into();
        assert!(take("127.0.0.1").is_none(), "five in all");
    }
}
