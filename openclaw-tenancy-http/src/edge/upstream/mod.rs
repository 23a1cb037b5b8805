//! Connections to instances.
//!
//! Each making of an instance has a [`Backend`] of its own with its own idle connections: when an address goes to
//! another instance, no connection goes with it. A connection is driven by the task that uses it, without a task
//! and a channel of its own: on the way of each byte that is one wake-up less.

mod body;
mod connection;
mod paced;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use openclaw_tenancy::routes::Upstream;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(super) use self::body::{BodyFault, RelayedBody, RequestBody};
use self::connection::Connection;
pub(super) use self::connection::{Lease, MAX_HEAD, ended_early};
pub(super) use self::paced::Paced;

/// A connection that is idle at two reapings is closed, so within 2 s. Node closes its side after 5 s, or sooner as
/// the edge sees it: while its event loop is busy it reads no request, and then its timers come first.
const REAP_EVERY: Duration = Duration::from_secs(1);
/// More idle connections to one instance are not kept.
const MAX_IDLE: usize = 64;

/// One making of an instance, at one address.
#[derive(Debug)]
pub(super) struct Backend {
    upstream: Upstream,
    idle: Mutex<Vec<Idle>>,
    reaping: AtomicBool,
    in_flight: AtomicUsize,
    retired: CancellationToken,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    /// It was here at the last reaping already.
    old: bool,
}

/// Why there is no connection to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DialError {
    /// Nothing accepts there.
    #[error("the instance does not accept a connection")]
    Refused,
    /// As many requests as may be are under way.
    #[error("the instance has as many requests under way as it may")]
    Busy,
}

impl Backend {
    pub(super) fn new(upstream: Upstream) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            idle: Mutex::default(),
            reaping: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            retired: CancellationToken::new(),
        })
    }

    pub(super) const fn upstream(&self) -> Upstream {
        self.upstream
    }

    /// No request comes here any more, and those under way end.
    pub(super) fn retire(&self) {
        self.retired.cancel();
        self.lock_idle().clear();
    }

    /// Cancelled once the instance is no longer what it was.
    pub(super) const fn retired(&self) -> &CancellationToken {
        &self.retired
    }

    /// A connection for one request, one that was used before where there is one. The instance may be about to close
    /// that: only what may be sent again goes over it.
    pub(super) async fn lease(
        self: &Arc<Self>,
        limits: &UpstreamLimits,
    ) -> Result<Lease, DialError> {
        let place = Place::take(self, limits.requests)?;
        while let Some(idle) = self.pop_idle() {
            if let Some(connection) = idle.connection.still_usable() {
                return Ok(Lease::new(connection, place, true));
            }
        }
        self.connect(place, limits).await
    }

    /// A connection for one request that nothing was sent on before.
    pub(super) async fn lease_fresh(
        self: &Arc<Self>,
        limits: &UpstreamLimits,
    ) -> Result<Lease, DialError> {
        self.connect(Place::take(self, limits.requests)?, limits)
            .await
    }

    async fn connect(&self, place: Place, limits: &UpstreamLimits) -> Result<Lease, DialError> {
        let connection = Connection::open(self.dial(limits).await?).await?;
        Ok(Lease::new(Box::new(connection), place, false))
    }

    /// A fresh connection, not pooled.
    pub(super) async fn dial(&self, limits: &UpstreamLimits) -> Result<TcpStream, DialError> {
        // A request may have come here long ago and be sent again now: the address may be another instance's since.
        if self.retired.is_cancelled() {
            return Err(DialError::Refused);
        }
        let stream = timeout(limits.connect, TcpStream::connect(self.address()))
            .await
            .map_err(|_| DialError::Refused)?
            .map_err(|_| DialError::Refused)?;
        // Small answers must not wait for an acknowledgement (Nagle); a socket that refuses this still works.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    const fn address(&self) -> SocketAddr {
        match self.upstream {
            Upstream::Direct(address) => address,
        }
    }

    fn pop_idle(&self) -> Option<Idle> {
        self.lock_idle().pop()
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(self: &Arc<Self>, connection: Box<Connection>) {
        {
            let mut idle = self.lock_idle();
            // Asked under the lock: retiring empties the list under it.
            if self.retired.is_cancelled() || idle.len() >= MAX_IDLE {
                return;
            }
            idle.push(Idle {
                connection,
                old: false,
            });
        }
        if !self.reaping.swap(true, Ordering::AcqRel) {
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }
}

/// Closes connections that nobody used; ends once there are none.
async fn reap(backend: Weak<Backend>) {
    loop {
        tokio::time::sleep(REAP_EVERY).await;
        let Some(backend) = backend.upgrade() else {
            return;
        };
        let mut idle = backend.lock_idle();
        idle.retain(|idle| !idle.old);
        idle.iter_mut().for_each(|idle| idle.old = true);
        if idle.is_empty() {
            backend.reaping.store(false, Ordering::Release);
            return;
        }
    }
}

/// What an instance is given and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Requests under way at one instance; tunnels count. It is one person's: many times what their browsers hold open,
    /// and a small part of [`EdgeLimits::connections`](super::EdgeLimits::connections), or one of them takes all.
    pub requests: usize,
    /// From dialling to a connection.
    pub connect: Duration,
    /// From the request to the head of its answer. A model's answer may take minutes.
    pub first_byte: Duration,
    /// What one upload may have, in bytes.
    pub upload: u64,
}

/// One of the places for requests that an instance has; given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Backend>);

impl Place {
    pub(super) fn take(backend: &Arc<Backend>, limit: usize) -> Result<Self, DialError> {
        let taken = backend.in_flight.fetch_add(1, Ordering::AcqRel);
        let place = Self(Arc::clone(backend));
        if taken < limit {
            Ok(place)
        } else {
            Err(DialError::Busy)
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
