//! Spread: the emptiest host first, so that a lost host takes the fewest with it.

use std::cmp::Reverse;

use super::{Candidate, Fleet, HostScheduler, Placed, Refusal, Request};

/// Chooses the host with the most memory left, then the most CPU left, then the fewest instances.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spread;

/// The order of the fields is the policy; the least wins.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    memory_left: Reverse<u64>,
    cpu_left: Reverse<u64>,
    instances: u64,
}

impl HostScheduler for Spread {
    fn place(&self, request: &Request, fleet: &Fleet) -> Result<Placed, Refusal> {
        fleet.best(request, |host: &Candidate| Score {
            memory_left: Reverse(host.capacity.memory.saturating_sub(host.reserved.memory).0),
            cpu_left: Reverse(host.capacity.cpu.0.saturating_sub(host.reserved.cpu.0)),
            instances: host.reserved.instances,
        })
    }
}
