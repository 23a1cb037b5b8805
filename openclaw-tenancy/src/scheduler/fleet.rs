//! The hosts as a scheduler sees them.

use std::collections::BTreeMap;

use crate::host::{Capacity, Host, HostState, Overcommit, Reserved, Shortage};
use crate::id::HostId;
use crate::plan::Limits;
use crate::quantity::Bytes;

/// What is to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it may use.
    pub limits: Limits,
    /// What its image needs of memory and swap together, in bytes.
    pub floor: Bytes,
    /// Only hosts with all of these labels. The facade asks for none so far.
    pub labels: BTreeMap<String, String>,
}

/// A host that takes instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The host.
    pub id: HostId,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
    /// What limits may add up to.
    pub capacity: Capacity,
    /// What they add up to now.
    pub reserved: Reserved,
}

/// Every host: those that take instances, and those that do not with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) closed: Vec<(HostId, Shortage)>,
}

/// A choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The host.
    pub host: HostId,
    /// What the choice was made on; the store checks it again.
    pub capacity: Capacity,
}

/// Why no host takes it, host by host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no host has room")]
pub struct Refusal {
    /// Each host with what it lacks.
    pub hosts: Vec<(HostId, Shortage)>,
    /// Whether no host could take it even if it were empty.
    pub hopeless: bool,
}

impl Fleet {
    /// The fleet of `hosts` under a policy of overcommit.
    #[must_use]
    pub fn new(hosts: &[Host], overcommit: &Overcommit) -> Self {
        let mut fleet = Self::default();
        for host in hosts {
            let closed = |reason: String| (host.id.clone(), Shortage::NotTaking { reason });
            match (&host.state, &host.facts) {
                _ if host.cordoned => fleet.closed.push(closed("cordoned".to_owned())),
                (HostState::Ready, Some(facts)) => fleet.candidates.push(Candidate {
                    id: host.id.clone(),
                    labels: host.labels.clone(),
                    capacity: overcommit.capacity(facts),
                    reserved: host.reserved,
                }),
                (HostState::New | HostState::Ready, _) => {
                    fleet.closed.push(closed("not looked at yet".to_owned()));
                }
                // Why is an operator's to read, at the host: what is told here, whoever waits for room reads.
                (HostState::Unreachable { .. }, _) => {
                    fleet.closed.push(closed("unreachable".to_owned()));
                }
                (HostState::Quarantined { reason, .. }, _) => {
                    fleet.closed.push(closed(format!("quarantined: {reason}")));
                }
            }
        }
        fleet
    }

    /// The hosts that take instances, for a policy that looks at several at once. One of them that
    /// [lacks](Candidate::lacks) nothing may be chosen.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The best host by `score`, the least wins; ties go to the least id.
    ///
    /// # Errors
    /// [`Refusal`] when no host can take it now.
    pub fn best<S: Ord>(
        &self,
        request: &Request,
        score: impl Fn(&Candidate) -> S,
    ) -> Result<Placed, Refusal> {
        self.candidates
            .iter()
            .filter(|candidate| candidate.lacks(request).is_none())
            .min_by_key(|candidate| (score(candidate), &candidate.id))
            .map(|candidate| Placed {
                host: candidate.id.clone(),
                capacity: candidate.capacity,
            })
            .ok_or_else(|| self.refuse(request))
    }

    fn refuse(&self, request: &Request) -> Refusal {
        // Reasons are worked out only here: a placement that succeeds does not pay for them.
        let mut hosts = self.closed.clone();
        let lacking = |c: &Candidate| c.lacks(request).map(|lack| (c.id.clone(), lack));
        hosts.extend(self.candidates.iter().filter_map(lacking));
        hosts.sort_by(|a, b| a.0.cmp(&b.0));
        let hopeless = !self.candidates.is_empty()
            && self.closed.is_empty()
            && self.candidates.iter().all(|candidate| {
                let empty = Candidate {
                    reserved: Reserved::default(),
                    ..candidate.clone()
                };
                empty.lacks(request).is_some()
            });
        Refusal { hosts, hopeless }
    }
}

impl Candidate {
    /// What it lacks for `request`; `None` where it can take it now.
    #[must_use]
    pub fn lacks(&self, request: &Request) -> Option<Shortage> {
        for (key, value) in &request.labels {
            if self.labels.get(key) != Some(value) {
                return Some(Shortage::NotTaking {
                    reason: format!("label {key} is not {value}"),
                });
            }
        }
        self.capacity
            .shortage(&self.reserved, &request.limits, request.floor)
    }
}
