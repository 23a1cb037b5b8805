//! Listens, and ends in good order.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Edge;
use crate::access::ending::close;
use crate::access::places::{Places, shared, turn_away};

/// After an error of accepting, such as no file descriptor left: the next would come at once.
const AFTER_ERROR: Duration = Duration::from_millis(50);

impl Edge {
    /// Serves a listener, and follows the store meanwhile, until `shutdown`. Then no connection is accepted, what is
    /// under way has [`EdgeLimits::drain`](super::EdgeLimits::drain) to finish, and tunnels are closed.
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
            let admission = Admission {
                edge: self,
                port,
                places: self.places(),
                stop: &stop,
                cut: &cut,
                connections: &connections,
            };
            tokio::select! {
                () = admission.accept(&listener) => {}
                () = shutdown => {}
            }
            for (stream, peer) in close(listener) {
                admission.admit(stream, peer);
            }
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

    fn places(&self) -> Places {
        let limits = &self.0.config.limits;
        Places::new(
            limits.connections,
            limits.connections_per_address,
            shared(&self.0.config.trusted_proxies),
        )
    }
}

/// What a listener's connections have in common.
struct Admission<'a> {
    edge: &'a Edge,
    port: u16,
    places: Places,
    stop: &'a CancellationToken,
    cut: &'a CancellationToken,
    connections: &'a TaskTracker,
}

impl Admission<'_> {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    self.edge.0.clock.sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(place) = self.places.take(peer.ip()) else {
            self.edge.0.metrics.turned_away();
            turn_away(&stream);
            return;
        };
        // Small answers must not wait for an acknowledgement (Nagle); a socket that refuses this still works.
        let _ = stream.set_nodelay(true);
        let (edge, port) = (self.edge.clone(), self.port);
        let (stop, cut) = (self.stop.clone(), self.cut.clone());
        self.connections.spawn(async move {
            let _place = place;
            tokio::select! {
                () = edge.serve_connection(stream, peer, Some(port), stop) => {}
                () = cut.cancelled() => {}
            }
        });
    }
}
