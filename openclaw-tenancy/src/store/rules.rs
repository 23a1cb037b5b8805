//! What a store method does to a tenant: pure, so that no two stores can drift apart.
//!
//! A store keeps rows and makes each method one transaction; what stands in the rows afterwards is decided
//! here. An adapter author writes queries, not semantics.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::{Change, PlaceRequest, Settlement, StoreError};
use crate::clock::Timestamp;
use crate::event::{EventKind, NewEvent};
use crate::host::{Host, HostState, Reserved, Shortage};
use crate::id::Revision;
use crate::plan::Limits;
use crate::tenant::{Certainty, Hold, Location, NewTenant, Observed, Power, Settings, Tenant};

/// How long nobody else gets the slug of a tenant that is gone.
pub const SLUG_KEPT_BACK: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long an idempotency key answers for the request it came with.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many events of one tenant are kept: the newest. A crash loop must not fill a disk.
pub const EVENTS_KEPT: u32 = 500;

/// The tenant that a create writes.
#[must_use]
pub fn made(new: NewTenant) -> Tenant {
    Tenant {
        id: new.id,
        slug: new.slug,
        owner: new.owner,
        settings: new.settings,
        desired: new.desired,
        revision: Revision::default().next(),
        observed: Observed::default(),
        created_at: new.created_at,
    }
}

/// The event of a create.
#[must_use]
pub fn requested(tenant: &Tenant) -> NewEvent {
    NewEvent {
        kind: EventKind::Requested,
        detail: format!("plan {}", tenant.desired.plan),
    }
}

/// What a store still tells of a tenant that is gone, to a repeated create. No contact text outlives it.
#[must_use]
pub fn remains(tenant: Tenant) -> Tenant {
    Tenant {
        settings: Settings::default(),
        observed: Observed {
            generation: tenant.observed.generation,
            ..Observed::default()
        },
        ..tenant
    }
}

/// Whether the tenant waits for a host: it is to run, has no place, and nothing else keeps it.
#[must_use]
pub fn waits(tenant: &Tenant) -> bool {
    let observed = &tenant.observed;
    tenant.desired.power == Power::Running
        && observed.locations.is_empty()
        && observed.hold.is_none()
        && observed.failure.is_none()
}

/// Changes what is wanted. `None` when it was wanted already: then nothing is to be written.
///
/// That holds for any `expected`, so that a caller whose answer was lost can ask again.
///
/// # Errors
/// [`StoreError::Deleting`], [`StoreError::StaleRevision`].
pub fn change(
    tenant: &mut Tenant,
    expected: Option<Revision>,
    change: Change,
    now: Timestamp,
) -> Result<Option<NewEvent>, StoreError> {
    let power = tenant.desired.power;
    if change == Change::Power(power) {
        return Ok(None);
    }
    if power == Power::Deleted {
        return Err(StoreError::Deleting);
    }
    if expected.is_some_and(|expected| expected != tenant.revision) {
        return Err(StoreError::StaleRevision {
            current: tenant.revision,
        });
    }
    let detail = match &change {
        Change::Power(Power::Running) => "to run",
        Change::Power(Power::Suspended) => "to be suspended",
        Change::Power(Power::Deleted) => "to be deleted",
        Change::Restart => "to be restarted",
        Change::Settings(_) => "settings",
    };
    match change {
        Change::Power(power) => tenant.desired.power = power,
        Change::Restart => tenant.desired.restart_epoch += 1,
        Change::Settings(settings) => tenant.settings = settings,
    }
    tenant.revision = tenant.revision.next();
    tenant.observed.stir(now);
    Ok(Some(NewEvent {
        kind: EventKind::Changed,
        detail: detail.to_owned(),
    }))
}

/// Ends a hold, as an operator does. `None` when there is none: then nothing is to be written.
pub fn release(observed: &mut Observed) -> Option<(Hold, NewEvent)> {
    let hold = observed.hold.clone()?;
    observed.release();
    let event = NewEvent {
        kind: EventKind::Released,
        detail: hold.message.clone(),
    };
    Some((hold, event))
}

/// Ends a host's quarantine, as an operator does. `false` when there is none: then nothing is to be written.
///
/// The host is as one just made known: its next look gives it a marker and asks what it has. What the operator said
/// of it (labels, cordon) and what is reserved stays.
pub fn release_host(host: &mut Host) -> bool {
    let quarantined = matches!(host.state, HostState::Quarantined { .. });
    if quarantined {
        host.state = HostState::New;
        host.facts = None;
        host.marker = None;
    }
    quarantined
}

/// Whether a host may be forgotten: no tenant has a location on it.
///
/// # Errors
/// [`StoreError::HostInUse`].
pub fn may_forget(host: &Host) -> Result<(), StoreError> {
    match host.reserved.instances {
        0 => Ok(()),
        tenants => Err(StoreError::HostInUse {
            host: host.id.clone(),
            tenants,
        }),
    }
}

/// What happened to a tenant between its claim and its settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meanwhile {
    /// The revision that was claimed.
    pub claimed: Revision,
    /// The hold that an operator ended meanwhile.
    pub released: Option<Hold>,
}

/// Writes what the holder of a claim saw.
///
/// The holder did not know what happened meanwhile, so that is not undone: after a change, what the owner's
/// wish ends stays ended; after a release, the very hold that was released does not come back, but another
/// hold does. The highest generation never falls, because a generation must not be used twice.
pub fn settle(tenant: &mut Tenant, meanwhile: &Meanwhile, settlement: &Settlement, now: Timestamp) {
    let mut observed = settlement.observed.clone();
    observed.generation = observed.generation.max(tenant.observed.generation);
    if tenant.revision != meanwhile.claimed {
        observed.stir(now);
    }
    if meanwhile.released.is_some() && observed.hold == meanwhile.released {
        observed.release();
    }
    tenant.observed = observed;
    if let (None, Some(pin)) = (&tenant.desired.image.digest, &settlement.pin) {
        tenant.desired.image.clone_from(pin);
    }
}

/// Whether this settlement may remove the tenant: only what was to be deleted goes.
///
/// # Errors
/// [`StoreError::Conflict`] for a tenant that is not to be deleted.
pub const fn may_go(tenant: &Tenant) -> Result<(), StoreError> {
    match tenant.desired.power {
        Power::Deleted => Ok(()),
        Power::Running | Power::Suspended => Err(StoreError::Conflict {
            what: "tenant is not to be deleted and",
        }),
    }
}

/// Nothing is due later than this: what is was settled before the store's clock was set back, and a claim makes it
/// due at once. Without that a clock that once ran ahead would keep the fleet from being looked at.
pub const FARTHEST: Duration = Duration::from_secs(15 * 60);

/// When an item is due that a settlement wants to be due after `wait`.
#[must_use]
pub fn due_after(wait: Duration) -> Duration {
    wait.min(FARTHEST)
}

/// The place that a tenant gets on `host`, where the subnets `taken` are in use.
///
/// The location has a new generation of its own, which the store also writes as the highest one used.
///
/// # Errors
/// [`StoreError::NoRoom`].
pub fn place(
    tenant: &Tenant,
    request: &PlaceRequest,
    host: &Host,
    taken: &BTreeSet<Ipv4Net>,
) -> Result<Location, StoreError> {
    let no_room = |shortage| StoreError::NoRoom {
        host: request.host.clone(),
        shortage,
    };
    let not_taking = |reason: String| no_room(Shortage::NotTaking { reason });
    // The scheduler looked at both, but earlier.
    if host.cordoned {
        return Err(not_taking("cordoned".to_owned()));
    }
    if let HostState::Quarantined { reason, .. } = &host.state {
        return Err(not_taking(format!("quarantined: {reason}")));
    }
    let limits = tenant.desired.limits;
    if let Some(lack) = request
        .capacity
        .shortage(&host.reserved, &limits, request.floor)
    {
        return Err(no_room(lack));
    }
    let known = host.facts.as_ref().map_or(&[][..], |facts| &facts.subnets);
    let in_use = |subnet: &Ipv4Net| {
        let mut known = known.iter();
        known.any(|there| there.contains(subnet) || subnet.contains(there))
    };
    // An engine that was killed may hold the subnet of a network that it does not list.
    let refused = |subnet: &Ipv4Net| tenant.observed.was_refused(&request.host, *subnet);
    let free = || {
        (0..)
            .map_while(|n| nth_subnet(request.pool, n))
            .filter(|subnet| !taken.contains(subnet) && !in_use(subnet))
    };
    let subnet = free()
        .find(|subnet| !refused(subnet))
        // Nothing else is left: whoever held it may have let it go.
        .or_else(|| free().next())
        .ok_or_else(|| not_taking(format!("every subnet of {} is in use", request.pool)))?;
    Ok(Location {
        host: request.host.clone(),
        generation: tenant.observed.generation.next(),
        subnet,
        granted: request.capacity.grant(&host.reserved, limits),
        subnet_taken: false,
        certainty: Certainty::Unknown,
        has_data: false,
        container: None,
    })
}

/// The `/29` with this number in a pool, if the pool has it.
#[must_use]
pub fn nth_subnet(pool: Ipv4Net, n: u32) -> Option<Ipv4Net> {
    let size = 1_u32.checked_shl(29_u32.checked_sub(u32::from(pool.prefix_len()))?)?;
    if n >= size {
        return None;
    }
    let network = u32::from(pool.network()).checked_add(n.checked_mul(8)?)?;
    Ipv4Net::new(network.into(), 29).ok()
}

/// Writes a new place into what was observed: nothing waits for a host any more.
pub fn placed(observed: &mut Observed, location: Location) {
    observed.queued = None;
    observed.generation = observed.generation.max(location.generation);
    observed.locations.push(location);
}

/// `reserved` without one instance of `limits`.
#[must_use]
pub const fn without(reserved: Reserved, limits: &Limits) -> Reserved {
    Reserved {
        cpu: crate::quantity::MilliCpus(reserved.cpu.0.saturating_sub(limits.cpu.0)),
        memory: reserved.memory.saturating_sub(limits.memory),
        swap: reserved.swap.saturating_sub(limits.swap),
        instances: reserved.instances.saturating_sub(1),
    }
}
