//! The tables of the in-memory store, and what reads them.

mod hosts;
mod log;
mod lookup;
mod tenants;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ipnet::Ipv4Net;

use self::log::Log;
use crate::clock::Timestamp;
use crate::host::Host;
use crate::id::{AccountId, Fence, HostId, Slug, TenantId, WorkerId};
use crate::plan::PlanName;
use crate::store::rules::Meanwhile;
use crate::tenant::Tenant;

/// Every table. Whoever has it has it alone.
#[derive(Debug, Default)]
pub(super) struct State {
    tenants: BTreeMap<TenantId, Row>,
    owners: BTreeMap<AccountId, TenantId>,
    slugs: BTreeMap<Slug, TenantId>,
    seats: BTreeMap<PlanName, u64>,
    /// Every tenant by when it is due: a claim looks at what is due, not at what there is.
    due: BTreeSet<(Timestamp, TenantId)>,
    /// Those that wait for a host, in the order they came.
    waiting: BTreeSet<(Timestamp, TenantId)>,
    keys: BTreeMap<(AccountId, String), UsedKey>,
    /// When each key ends, soonest last used first.
    keys_end: VecDeque<(Timestamp, AccountId, String)>,
    /// What a repeated create is still told, while the slug is kept back.
    remains: BTreeMap<TenantId, Tenant>,
    kept_back: BTreeMap<Slug, Timestamp>,
    kept_end: VecDeque<(Timestamp, TenantId)>,
    hosts: BTreeMap<HostId, HostRow>,
    hosts_due: BTreeSet<(Timestamp, HostId)>,
    /// The last fence of each host that was forgotten.
    gone_hosts: BTreeMap<HostId, Fence>,
    log: Log,
}

#[derive(Debug)]
struct Row {
    tenant: Tenant,
    due: Timestamp,
    fence: Fence,
    claim: Option<Open<Meanwhile>>,
    /// Something happened since the claim that its holder cannot know: due at once after the settle.
    again: bool,
}

#[derive(Debug)]
struct HostRow {
    host: Host,
    tenants: BTreeSet<TenantId>,
    subnets: BTreeSet<Ipv4Net>,
    due: Timestamp,
    fence: Fence,
    claim: Option<Open<()>>,
}

/// A claim that was not settled.
#[derive(Debug)]
struct Open<T> {
    worker: WorkerId,
    until: Timestamp,
    at_claim: T,
}

impl<T> Open<T> {
    fn is_held(claim: Option<&Self>, now: Timestamp) -> bool {
        claim.is_some_and(|open| now < open.until)
    }
}

#[derive(Debug)]
struct UsedKey {
    request: String,
    tenant: TenantId,
    until: Timestamp,
}
