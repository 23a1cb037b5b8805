//! Worker hosts: what they have, and what is known of them.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::HostId;
use crate::plan::Limits;
use crate::quantity::{Bytes, MilliCpus};

/// What an engine says of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Processors, in milli-CPUs.
    pub cpu: MilliCpus,
    /// Memory, in bytes.
    pub memory: Bytes,
    /// Swap, in bytes, measured from inside a container; `None` until measured.
    pub swap: Option<Bytes>,
    /// When that was; a backend says none.
    #[serde(default)]
    pub swap_measured_at: Option<Timestamp>,
    /// Whether the kernel enforces swap limits.
    pub swap_limit: bool,
    /// How the data volume's size is enforced.
    pub storage_quota: StorageQuota,
    /// The engine's version, such as `20.10.24`.
    pub engine_version: String,
    /// The API version in use, such as `1.41`.
    pub api_version: String,
    /// The operating system, as the engine names it.
    pub operating_system: String,
    /// The markers of ours found on it: names of labelled volumes, without the prefix.
    pub markers: Vec<String>,
    /// Subnets of the engine's networks, ours and foreign. Of a host in a store only those that no instance is
    /// given: what [`place`](crate::store::TenantStore::place) must not give out.
    #[serde(default)]
    pub subnets: Vec<Ipv4Net>,
    /// Containers and volumes of ours on it that no tenant accounts for, as its last look found them. A backend says
    /// none: it knows no tenants.
    #[serde(default)]
    pub unaccounted: u64,
}

/// How the size of a data volume is enforced on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageQuota {
    /// It is not.
    None,
}

/// Whether a host answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum HostState {
    /// Not asked yet.
    New,
    /// It answers, and it is the host it was.
    Ready,
    /// It does not answer. Nothing is concluded about what runs on it.
    Unreachable {
        /// Since when.
        since: Timestamp,
        /// Why, in words for an operator, the cause included. Not for tenants: an engine's own words may be in it.
        reason: String,
    },
    /// It answers, but it is not the host it was: nothing on it is touched until it is the one again, or an operator
    /// releases it ([`Tenancy::release_host`](crate::Tenancy::release_host)).
    Quarantined {
        /// Since when.
        since: Timestamp,
        /// Why, in words for an operator.
        reason: String,
    },
}

/// A host as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The operator's name for it.
    pub id: HostId,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
    /// No new instances, if set.
    pub cordoned: bool,
    /// Whether it answers.
    pub state: HostState,
    /// What it has, once known.
    pub facts: Option<HostFacts>,
    /// The marker it was given.
    pub marker: Option<String>,
    /// What is reserved on it.
    pub reserved: Reserved,
}

/// The sum of what tenants on a host may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reserved {
    /// CPU, in milli-CPUs.
    pub cpu: MilliCpus,
    /// Memory, in bytes.
    pub memory: Bytes,
    /// Swap, in bytes.
    pub swap: Bytes,
    /// How many instances.
    pub instances: u64,
}

impl Reserved {
    /// This with one instance of `limits` more.
    #[must_use]
    pub const fn with(self, limits: &Limits) -> Self {
        Self {
            cpu: MilliCpus(self.cpu.0.saturating_add(limits.cpu.0)),
            memory: self.memory.saturating_add(limits.memory),
            swap: self.swap.saturating_add(limits.swap),
            instances: self.instances + 1,
        }
    }
}

/// How far a host may be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overcommit {
    /// CPU limits may add up to this many percent of the processors.
    pub cpu_percent: u64,
    /// Memory limits may add up to this many percent of the memory that is not held back.
    pub memory_percent: u64,
    /// Memory held back for the host itself, in bytes.
    pub memory_reserve: Bytes,
}

impl Default for Overcommit {
    /// Four times the CPU, the memory once, 1 GiB held back.
    fn default() -> Self {
        Self {
            cpu_percent: 400,
            memory_percent: 100,
            memory_reserve: Bytes::gib(1),
        }
    }
}

impl Overcommit {
    /// What limits may add up to on a host with `facts`.
    #[must_use]
    pub fn capacity(&self, facts: &HostFacts) -> Capacity {
        let percent = |amount: u64, percent: u64| {
            u64::try_from(u128::from(amount) * u128::from(percent) / 100).unwrap_or(u64::MAX)
        };
        let memory = facts.memory.saturating_sub(self.memory_reserve);
        Capacity {
            cpu_per_instance: facts.cpu,
            cpu: MilliCpus(percent(facts.cpu.0, self.cpu_percent)),
            memory: Bytes(percent(memory.0, self.memory_percent)),
            swap: facts.swap.unwrap_or_default(),
        }
    }
}

/// What limits may add up to on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capacity {
    /// The most one instance may have: an engine refuses `NanoCpus` above the host's processors.
    pub cpu_per_instance: MilliCpus,
    /// CPU, in milli-CPUs.
    pub cpu: MilliCpus,
    /// Memory, in bytes.
    pub memory: Bytes,
    /// Swap, in bytes.
    pub swap: Bytes,
}

/// What keeps an instance off a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Shortage {
    /// More CPU than one container may have here.
    #[error("{needed} for one instance, the host has {available}")]
    CpuPerInstance {
        /// Needed.
        needed: MilliCpus,
        /// There.
        available: MilliCpus,
    },
    /// Not enough CPU left.
    #[error("{needed} needed, {available} left")]
    Cpu {
        /// Needed.
        needed: MilliCpus,
        /// Left.
        available: MilliCpus,
    },
    /// Not enough memory left.
    #[error("{needed} of memory needed, {available} left")]
    Memory {
        /// Needed.
        needed: Bytes,
        /// Left.
        available: Bytes,
    },
    /// Not enough memory and swap together for what the image needs.
    #[error(
        "the image needs {needed} of memory and swap together, here the plan gives {available}"
    )]
    ImageFloor {
        /// Needed.
        needed: Bytes,
        /// Given, with the swap that this host has.
        available: Bytes,
    },
    /// The host takes no new instances now.
    #[error("the host takes no new instances: {reason}")]
    NotTaking {
        /// Why.
        reason: String,
    },
}

impl Capacity {
    /// What keeps an instance of `limits` from being added to `reserved`, if anything does.
    ///
    /// Swap is no reason: where a host lacks it the allowance is not granted, and [`Shortage::ImageFloor`]
    /// decides whether the image can do without.
    #[must_use]
    pub fn shortage(&self, reserved: &Reserved, limits: &Limits, floor: Bytes) -> Option<Shortage> {
        if limits.cpu > self.cpu_per_instance {
            return Some(Shortage::CpuPerInstance {
                needed: limits.cpu,
                available: self.cpu_per_instance,
            });
        }
        let swap_left = self.swap.saturating_sub(reserved.swap);
        let swap = limits.swap.min(swap_left);
        if limits.memory.saturating_add(swap) < floor {
            return Some(Shortage::ImageFloor {
                needed: floor,
                available: limits.memory.saturating_add(swap),
            });
        }
        let cpu_left = MilliCpus(self.cpu.0.saturating_sub(reserved.cpu.0));
        if limits.cpu > cpu_left {
            return Some(Shortage::Cpu {
                needed: limits.cpu,
                available: cpu_left,
            });
        }
        let memory_left = self.memory.saturating_sub(reserved.memory);
        if limits.memory > memory_left {
            return Some(Shortage::Memory {
                needed: limits.memory,
                available: memory_left,
            });
        }
        None
    }

    /// The limits as they can be granted here: no more swap than the host has left.
    #[must_use]
    pub fn grant(&self, reserved: &Reserved, limits: Limits) -> Limits {
        let swap_left = self.swap.saturating_sub(reserved.swap);
        Limits {
            swap: limits.swap.min(swap_left),
            ..limits
        }
    }
}
