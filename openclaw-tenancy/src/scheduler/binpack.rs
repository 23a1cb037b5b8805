//! Bin-pack: the fullest host that still has room, so that whole hosts stay free.

use super::{Candidate, Fleet, HostScheduler, Placed, Refusal, Request};

/// Chooses the host with the least memory left, then the least CPU left.
#[derive(Debug, Clone, Copy, Default)]
pub struct BinPack;

/// The order of the fields is the policy; the least wins.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    memory_left: u64,
    cpu_left: u64,
}

impl HostScheduler for BinPack {
    fn place(&self, request: &Request, fleet: &Fleet) -> Result<Placed, Refusal> {
        fleet.best(request, |host: &Candidate| Score {
            memory_left: host.capacity.memory.saturating_sub(host.reserved.memory).0,
            cpu_left: host.capacity.cpu.0.saturating_sub(host.reserved.cpu.0),
        })
    }
}
