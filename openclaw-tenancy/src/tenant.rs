//! A tenant: what is wanted of it and what was seen of it.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::container::{EngineId, Image};
use crate::id::{AccountId, Generation, HostId, Revision, Slug, TenantId};
use crate::plan::{Limits, PlanName};

/// Whether the instance is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It is to run.
    Running,
    /// It is to be stopped, its data kept.
    Suspended,
    /// Everything of it is to go. Never taken back.
    Deleted,
}

/// What is wanted. Written before anything is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Whether it is to run.
    pub power: Power,
    /// The plan's name.
    pub plan: PlanName,
    /// The plan's limits when it was given: an edit of the catalogue changes no tenant.
    pub limits: Limits,
    /// The image. It is pinned, with its digest, at the first preparation, and only an upgrade changes it then; until
    /// then it is whatever instances are made from.
    pub image: Image,
    /// Counts up with each restart that was asked for.
    pub restart_epoch: u64,
}

/// A tenant's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Contact text, never an identity.
    #[serde(default)]
    pub email: Option<String>,
    /// The time zone, `TZ` in the instance.
    #[serde(default)]
    pub timezone: Option<String>,
}

/// A tenant as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its host-name label.
    pub slug: Slug,
    /// Whose it is.
    pub owner: AccountId,
    /// Its settings.
    pub settings: Settings,
    /// What is wanted.
    pub desired: Desired,
    /// Counts up with each change of `desired`.
    pub revision: Revision,
    /// What was seen.
    pub observed: Observed,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// What was seen of a tenant. Written by the reconciler alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Everywhere that something of the tenant is, may be, or has a place reserved.
    pub locations: Vec<Location>,
    /// The highest generation ever used.
    pub generation: Generation,
    /// What failed last, while it has not been got over.
    pub failure: Option<Failure>,
    /// What keeps the reconciler from acting.
    pub hold: Option<Hold>,
    /// What it waits for, while it waits: a host with room, or its image on its host.
    #[serde(default)]
    pub queued: Option<String>,
    /// The desired revision that was last made so.
    pub converged: Option<Revision>,
    /// When the work towards what is wanted began anew: with a change of it, a place, another container. Deadlines
    /// run from here; `None` is since the tenant was asked for.
    #[serde(default)]
    pub begun_at: Option<Timestamp>,
    /// Subnets that engines refused for it since it last ran, the newest last: no list need show who holds them.
    #[serde(default)]
    pub refused_subnets: Vec<RefusedSubnet>,
}

/// A subnet that a host's engine refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedSubnet {
    /// The host.
    pub host: HostId,
    /// The subnet.
    pub subnet: Ipv4Net,
}

/// So many refused subnets are remembered: more than an engine that is killed again and again leaves.
const REFUSED_KEPT: usize = 64;

impl Observed {
    /// The one location, where there is one. Two exist only during a move.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        self.locations.first()
    }

    /// Whether the subnet of `location` was not refused before, and there is room to remember that it was.
    pub(crate) fn may_pass_over(&self, location: &Location) -> bool {
        self.refused_subnets.len() < REFUSED_KEPT
            && !self.was_refused(&location.host, location.subnet)
    }

    /// Remembers that the engine of `location` refused its subnet: the next place there has another.
    pub(crate) fn refused(&mut self, location: &Location) {
        if self.was_refused(&location.host, location.subnet) {
            return;
        }
        let excess = (self.refused_subnets.len() + 1).saturating_sub(REFUSED_KEPT);
        self.refused_subnets.drain(..excess);
        self.refused_subnets.push(RefusedSubnet {
            host: location.host.clone(),
            subnet: location.subnet,
        });
    }

    /// Whether the engine of `host` refused `subnet`.
    pub(crate) fn was_refused(&self, host: &HostId, subnet: Ipv4Net) -> bool {
        let mut refused = self.refused_subnets.iter();
        refused.any(|there| there.host == *host && there.subnet == subnet)
    }

    /// What every claim writes before any call: from here on something may happen that is never written.
    pub fn mark_unknown(&mut self) {
        for location in &mut self.locations {
            if location.certainty == Certainty::Known {
                location.certainty = Certainty::Unknown;
            }
        }
    }

    /// What every change of what is wanted does: deadlines begin anew, the wait for a retry ends, and a hold that
    /// is the owner's to release.
    pub fn stir(&mut self, now: Timestamp) {
        self.begun_at = Some(now);
        if let Some(failure) = &mut self.failure {
            failure.retry_at = failure.retry_at.min(now);
        }
        if self
            .hold
            .as_ref()
            .is_some_and(|hold| hold.reason == HoldReason::Configuration)
        {
            self.hold = None;
        }
    }

    /// What an operator's release does: they have looked at the host, and what they found is taken as it is.
    pub fn release(&mut self) {
        self.hold = None;
        self.failure = None;
        for location in &mut self.locations {
            if location.certainty == Certainty::GhostSuspected {
                location.certainty = Certainty::Known;
            }
            location.has_data = false;
        }
    }
}

/// A host that holds, may hold, or is reserved for something of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The host.
    pub host: HostId,
    /// The generation of the container here.
    pub generation: Generation,
    /// The `/29` reserved here.
    pub subnet: Ipv4Net,
    /// The limits reserved and granted here: the plan's, with no more swap than the host has.
    pub granted: Limits,
    /// Whether the engine refused the subnet, since another network holds it: another place is looked for.
    #[serde(default)]
    pub subnet_taken: bool,
    /// How sure we are of what is here.
    pub certainty: Certainty,
    /// Whether an instance has ever run on the data volume here: from then on its absence is an alarm.
    pub has_data: bool,
    /// What is known of the container here.
    pub container: Option<ContainerRecord>,
}

/// How sure we are of what is at a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// What is written is what was last seen, and nothing was begun since.
    Known,
    /// A call may be under way or may have been lost: written by every claim before any call.
    Unknown,
    /// A start may have been asked for and its answer lost: whatever the engine says, a process may live, until
    /// starting again tells. Written before every start but that of a container made in the same pass.
    StartLost,
    /// A process of the container may live that the engine does not know.
    GhostSuspected,
}

/// What is known of a container, beyond what the engine tells at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Its full id.
    pub id: EngineId,
    /// The digest of the config last put into it.
    pub config: Option<String>,
    /// The restart epoch it was last started for.
    pub restart_epoch: u64,
    /// When it was last started, by our clock.
    pub started_at: Option<Timestamp>,
    /// When it was first found ready since.
    pub ready_at: Option<Timestamp>,
    /// When it was asked to end, while it has not.
    pub stop_asked_at: Option<Timestamp>,
    /// Whether the engine said that it can never start and that nothing of it runs.
    #[serde(default)]
    pub broken: bool,
    /// Whether it is to be replaced by a new one once it has ended, since it cannot be brought to what it needs.
    #[serde(default)]
    pub unfit: bool,
    /// The newest kill for memory that its owner was told of, by the engine's clock.
    #[serde(default)]
    pub oom_told: Option<Timestamp>,
    /// When a process of it was last found killed for memory while it ran on, by our clock; none since its start.
    #[serde(default)]
    pub oom_at: Option<Timestamp>,
}

impl ContainerRecord {
    /// A container just made.
    #[must_use]
    pub const fn new(id: EngineId) -> Self {
        Self {
            id,
            config: None,
            restart_epoch: 0,
            started_at: None,
            ready_at: None,
            stop_asked_at: None,
            broken: false,
            unfit: false,
            oom_told: None,
            oom_at: None,
        }
    }
}

/// Why the last attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub reason: FailureReason,
    /// In words for the owner, without secrets.
    pub message: String,
    /// How many in a row.
    pub attempts: u32,
    /// Since when.
    pub since: Timestamp,
    /// Not before this is it tried again.
    pub retry_at: Timestamp,
}

/// Kinds of failure: what the owner or the operator would do differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The host does not answer.
    HostUnreachable,
    /// The engine failed.
    Engine,
    /// The image cannot be had.
    Image,
    /// The disk or a pool is full.
    Capacity,
    /// A volume exists with other options.
    Storage,
    /// The kernel killed the instance for memory: a larger plan helps.
    OutOfMemory,
    /// The instance ended by itself.
    Crashed,
    /// The instance did not become ready in time.
    StartTimeout,
    /// The configuration is not one that `OpenClaw` starts with (exit code 78).
    Configuration,
}

/// Why nothing goes on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What kind.
    pub reason: HoldReason,
    /// In words, with what ends it, and with host and container id where they matter.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// Kinds of hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// A process may run unseen: an operator who can see processes releases it
    /// ([`Tenancy::release`](crate::Tenancy::release)).
    GhostSuspected,
    /// The host is not the one it was: it ends when an operator releases the host
    /// ([`Tenancy::release_host`](crate::Tenancy::release_host)), or the host is the one again.
    HostQuarantined,
    /// An object of our name is not ours or not what it should be: an operator releases it, as above.
    Conflict,
    /// The tenant's configuration does not start: its owner changes it and restarts
    /// ([`Tenancy::restart`](crate::Tenancy::restart)).
    Configuration,
}

/// A tenant to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenant {
    /// Its id.
    pub id: TenantId,
    /// Its host-name label.
    pub slug: Slug,
    /// Whose it is.
    pub owner: AccountId,
    /// Its settings.
    pub settings: Settings,
    /// What is wanted.
    pub desired: Desired,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// At most this many tenants may have the plan at once.
    pub seats: Option<u64>,
    /// The caller's idempotency key and the digest of the request, if it gave one.
    pub idempotency: Option<IdempotencyKey>,
}

/// An idempotency key, scoped to its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey {
    /// The key, as the caller gave it.
    pub key: String,
    /// The SHA-256 of what was asked, in hexadecimal: the same key with another request is refused.
    pub request: String,
}

/// The environment of a tenant's instance, made by one pure function.
pub type Environment = BTreeMap<String, String>;
