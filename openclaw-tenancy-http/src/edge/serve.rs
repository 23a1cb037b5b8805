//! Listens, and ends in good order.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Edge;
use crate::access::accept::accept;
use crate::access::places::{Places, shared, turn_away};

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
            let limits = &self.0.config.limits;
            let places = Places::new(
                limits.connections,
                limits.connections_per_address,
                shared(&self.0.config.trusted_proxies),
            );
            let admit = |stream: TcpStream, peer: SocketAddr| {
                let Some(place) = places.take(peer.ip()) else {
                    self.0.metrics.turned_away();
                    turn_away(&stream);
                    return;
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
            };
            accept(listener, &*self.0.clock, shutdown, admit).await;
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
}
