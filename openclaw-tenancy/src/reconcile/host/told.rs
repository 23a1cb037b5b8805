//! What was said of a host's leftovers, so that a look every few seconds is no line every few seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::HostId;

/// What goes on is said again after this.
const AGAIN: Duration = Duration::from_secs(60 * 60);

/// What is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Something is left over that was not said lately.
    Left,
    /// Nothing is left over any more.
    Accounted,
}

/// What this process has said of each host, and when. It decides on log lines and nothing else, so that a restart may
/// forget it.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<BTreeMap<HostId, (BTreeSet<String>, Timestamp)>>);

impl Told {
    /// What is to be said of these names on this host, if anything; it counts as said.
    pub(super) fn news(
        &self,
        host: &HostId,
        names: &BTreeSet<String>,
        now: Timestamp,
    ) -> Option<News> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.is_empty() {
            return told.remove(host).map(|_| News::Accounted);
        }
        let lately = told
            .get(host)
            .is_some_and(|(said, at)| said == names && now.since(*at) < AGAIN);
        if lately {
            return None;
        }
        told.insert(host.clone(), (names.clone(), now));
        Some(News::Left)
    }
}
