//! Listens, and ends in good order.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Edge;
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
        let limits = &self.0.config.limits;
        let places = Places::new(
            limits.connections,
            limits.connections_per_address,
            shared(&self.0.config.trusted_proxies),
        );
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
