//! A scheduler with one bug.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};

use openclaw_tenancy::host::Capacity;
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::scheduler::{Fleet, HostScheduler, Placed, Refusal, Request, Spread};

/// What a scheduler does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    TakesTurns,
    Overfills,
    AsksTwiceTheRoom,
    TakesClosedHosts,
    GreatestId,
    ForgetsLabels,
    InventsCapacity,
    NamesOne,
    AlwaysHopes,
}

#[derive(Debug)]
pub(crate) struct Broken {
    bug: Bug,
    turn: AtomicU64,
}

impl Broken {
    pub(crate) fn new(bug: Bug) -> Self {
        Self {
            bug,
            turn: AtomicU64::default(),
        }
    }
}

impl HostScheduler for Broken {
    fn place(&self, request: &Request, fleet: &Fleet) -> Result<Placed, Refusal> {
        let mut asked = request.clone();
        match self.bug {
            Bug::Overfills => {
                asked.limits.memory = Bytes(0);
                asked.limits.cpu = MilliCpus(0);
                asked.floor = Bytes(0);
            }
            Bug::AsksTwiceTheRoom => asked.limits.memory = Bytes(request.limits.memory.0 * 9),
            Bug::ForgetsLabels => asked.labels.clear(),
            _ => {}
        }
        let mut placed = match self.bug {
            Bug::GreatestId => fleet.best(&asked, |host| Reverse(host.id.clone())),
            Bug::TakesTurns => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                fleet.best(&asked, |host| {
                    Reverse(u64::from(host.id.as_str().as_bytes()[1]) * (turn % 2))
                })
            }
            _ => Spread.place(&asked, fleet),
        };
        match (&mut placed, self.bug) {
            (Ok(placed), Bug::InventsCapacity) => placed.capacity = Capacity::default(),
            (Ok(placed), Bug::TakesClosedHosts) => {
                placed.host = HostId::new("closed-0").unwrap();
            }
            (Err(refusal), Bug::NamesOne) => refusal.hosts.truncate(1),
            (Err(refusal), Bug::AlwaysHopes) => refusal.hopeless = false,
            (_, _) => {}
        }
        placed
    }
}
