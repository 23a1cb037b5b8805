//! What every request and socket of this instance shares.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::clock::Stopwatch;
use crate::config::Config;
use crate::settings::Settings;
use crate::volume::Volume;

/// The version that is imitated.
pub(crate) const VERSION: &str = "2026.9.6";

/// Names this build to its page; a page of another one is told to reload.
pub(crate) const BUILD_ID: &str = concat!("2026.9.6-stand-in-", env!("CARGO_PKG_VERSION"));

/// Sockets of one client that have not said `connect` yet; OpenClaw's own bound.
const MAX_PREAUTH_PER_CLIENT: usize = 32;

/// Where in its life the instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Started,
    /// Asked to stop; still serving what is open.
    Draining,
    /// Sockets are being closed.
    Closing,
}

/// The shared state of one instance.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) settings: Arc<Settings>,
    pub(crate) volume: Volume,
    pub(crate) config: watch::Receiver<Arc<Config>>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) uptime: Stopwatch,
    pub(crate) boot_id: String,
    pub(crate) handshake_timeout: Duration,
    pub(crate) sessions: TaskTracker,
    /// Memory that a knob holds.
    pub(crate) ballast: Mutex<Vec<Vec<u8>>>,
    preauth: Mutex<HashMap<IpAddr, usize>>,
}

impl App {
    pub(crate) fn new(
        settings: Arc<Settings>,
        volume: Volume,
        config: watch::Receiver<Arc<Config>>,
        phase: watch::Receiver<Phase>,
        handshake_timeout: Duration,
    ) -> Self {
        Self {
            settings,
            volume,
            config,
            phase,
            uptime: Stopwatch::start(),
            boot_id: crate::random::identifier(),
            handshake_timeout,
            sessions: TaskTracker::new(),
            ballast: Mutex::new(Vec::new()),
            preauth: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// A place among the client's unauthenticated sockets, or none when it holds too many.
    pub(crate) fn preauth_place(self: &Arc<Self>, client: IpAddr) -> Option<PreauthPlace> {
        let mut places = self.preauth.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = places.entry(client).or_default();
        if MAX_PREAUTH_PER_CLIENT <= *taken {
            return None;
        }
        *taken += 1;
        Some(PreauthPlace {
            app: Arc::clone(self),
            client,
        })
    }
}

/// Counts one unauthenticated socket for as long as it is held.
#[derive(Debug)]
pub(crate) struct PreauthPlace {
    app: Arc<App>,
    client: IpAddr,
}

impl Drop for PreauthPlace {
    fn drop(&mut self) {
        let mut places = self
            .app
            .preauth
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = places.get_mut(&self.client) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.client);
            }
        }
    }
}
