//! Open files: how many the system lets this process have, and which listener gets how many of them.
//!
//! A connection is one, and whoever opens connections must not take those that the database, the engines and the other
//! listeners need: a process without any accepts nobody and reaches nothing (safety row A26).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the database, engines, providers, logs, and what has just been closed and not given back.
const OWN: u64 = 512;
/// What goes through the edge has a connection to its instance as well.
const EACH_AT_EDGE: u64 = 2;

/// Where there is room for all, so many at once, and so many of one address, of one `/64` for IPv6: nobody alone takes
/// the places of all.
const EDGE: Share = Share::new(12_000, 512);
const API: Share = Share::new(4_096, 256);
const METRICS: Share = Share::new(512, 64);

/// Fewer are no listener.
const LEAST: usize = 8;

/// How many connections a listener may have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// In all.
    pub(crate) in_all: usize,
    /// Of one address.
    pub(crate) per_address: usize,
}

impl Share {
    const fn new(in_all: usize, per_address: usize) -> Self {
        Self {
            in_all,
            per_address,
        }
    }

    /// The part of it that leaves the others theirs, where there is room for `has` of `needs`.
    fn part(self, has: u64, needs: u64) -> Self {
        let in_all = u64::try_from(self.in_all).unwrap_or(u64::MAX);
        let part = in_all.saturating_mul(has) / needs.max(1);
        let in_all = usize::try_from(part).unwrap_or(usize::MAX);
        let in_all = in_all.clamp(LEAST.min(self.in_all), self.in_all);
        Self {
            in_all,
            per_address: self.per_address.min(in_all.div_ceil(4)),
        }
    }
}

/// What each listener gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) edge: Share,
    pub(crate) api: Share,
    pub(crate) metrics: Share,
}

impl Shares {
    /// Out of `limit` open files; `None` is as many as one likes.
    pub(crate) fn of(limit: Option<u64>) -> Self {
        let has = limit.unwrap_or(u64::MAX).saturating_sub(OWN);
        let needs = needed() - OWN;
        Self {
            edge: EDGE.part(has.min(needs), needs),
            api: API.part(has.min(needs), needs),
            metrics: METRICS.part(has.min(needs), needs),
        }
    }
}

/// So many open files give every listener all its places.
pub(crate) fn needed() -> u64 {
    let places = |share: Share| u64::try_from(share.in_all).unwrap_or(u64::MAX);
    OWN + EACH_AT_EDGE * places(EDGE) + places(API) + places(METRICS)
}

/// How many this process may have once [raised](raise); `None` is as many as it likes.
pub(crate) fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises what this process may have to what it is allowed to raise it to; answers how many that is.
///
/// Shells and service managers give 1,024 for the sake of programs that use select(2), and much more to whoever asks.
pub(crate) fn raise() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    // Where that is refused, it is as it was.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(shares: &Shares) -> u64 {
        let places = |share: Share| u64::try_from(share.in_all).unwrap();
        EACH_AT_EDGE * places(shares.edge) + places(shares.api) + places(shares.metrics)
    }

    #[test]
    fn a26_exhaustion_listeners_together_leave_the_server_its_own() {
        for limit in [1_024, 1_500, 4_096, 20_000, needed() - 1, needed(), 1 << 30] {
            let shares = Shares::of(Some(limit));
            assert!(taken(&shares) + OWN <= limit, "{limit}: {shares:?}");
            for share in [shares.edge, shares.api, shares.metrics] {
                assert!(share.in_all >= LEAST, "{limit}: {shares:?}");
                assert!(share.per_address * 2 <= share.in_all, "{limit}: {shares:?}");
            }
        }
    }

    #[test]
    fn where_there_is_room_everybody_has_all() {
        let (edge, api, metrics) = (EDGE, API, METRICS);
        let all = Shares { edge, api, metrics };
        for limit in [Some(needed()), Some(u64::MAX), None] {
            assert_eq!(Shares::of(limit), all);
        }
        assert_ne!(Shares::of(Some(needed() - 100)), all);
        let least = Share::new(LEAST, 2);
        assert_eq!(Shares::of(Some(0)).metrics, least);
    }

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        assert_eq!(raise(), most());
    }
}
