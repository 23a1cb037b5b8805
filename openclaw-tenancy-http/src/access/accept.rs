//! Accepting connections, and ending that without a reset for anybody who had asked before.
//!
//! The kernel accepts ahead of the server, and bytes wait in sockets that nobody has read yet: to a client, both are
//! requests under way.

use std::net::SocketAddr;
use std::time::Duration;

use openclaw_tenancy::clock::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// After an error of accepting, such as no file descriptor left: the next would come at once.
const AFTER_ERROR: Duration = Duration::from_millis(50);
/// What lasts is told once in so long.
const TOLD: Duration = Duration::from_secs(10);
/// How long sockets are still read after the end has begun. What had come in by then is found by the first turn of the
/// runtime's driver, and its timers run after one.
const LAST_LOOK: Duration = Duration::from_millis(20);
/// As many as can wait to be accepted: what tokio asks the kernel for (its `TcpListener::bind`).
const BACKLOG: usize = 1024;

/// Gives every connection to `admit` until `end`, and then those that waited to be accepted.
pub(crate) async fn accept(
    listener: TcpListener,
    clock: &dyn Clock,
    end: impl Future<Output = ()> + Send,
    admit: impl Fn(TcpStream, SocketAddr) + Send + Sync,
) {
    let accepting = async {
        let (mut told, mut untold) = (None, 0_u32);
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => admit(stream, peer),
                Err(error) => {
                    let now = clock.now();
                    if told.is_none_or(|told| now.since(told) >= TOLD) {
                        tracing::warn!(%error, untold, "a connection cannot be accepted");
                        (told, untold) = (Some(now), 0);
                    } else {
                        untold = untold.saturating_add(1);
                    }
                    clock.sleep(AFTER_ERROR).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = end => {}
    }
    for (stream, peer) in close(listener) {
        admit(stream, peer);
    }
}

/// Closes the listener; the connections that waited to be accepted.
fn close(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    // By the kernel's word: tokio's listener would ask its driver first, which may not have heard of them.
    let Ok(listener) = listener.into_std() else {
        return Vec::new();
    };
    std::iter::from_fn(|| listener.accept().ok())
        .take(BACKLOG)
        .filter_map(|(stream, peer)| {
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, peer))
        })
        .collect()
}

/// Resolves when connections that rest may be ended: after `stop`, and one last look into their sockets.
pub(crate) async fn may_end(stop: &CancellationToken, clock: &dyn Clock) {
    stop.cancelled().await;
    clock.sleep(LAST_LOOK).await;
}
