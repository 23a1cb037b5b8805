//! One pass over one host: is it there, is it the host it was, and whose objects changed.

mod orphans;
mod told;

pub(crate) use told::Told;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use crate::backend::{BackendError, Scope};
use crate::container::{Inventory, ObjectSpec};
use crate::host::{Host, HostFacts, HostState};
use crate::id::HostId;
use crate::labels::{Role, hex};
use crate::store::{Claim, HostSettlement, StoreError};
use crate::tenant::Tenant;

use super::Context;

/// Looks at a claimed host and settles.
///
/// # Errors
/// [`StoreError`]; nothing is lost by it, the claim runs out.
pub async fn pass(context: &Context, claim: &Claim<Host>) -> Result<(), StoreError> {
    let host = &claim.item;
    let mut settlement = HostSettlement {
        state: host.state.clone(),
        facts: None,
        marker: None,
        next_due: context.pace.host,
        stirred: Vec::new(),
    };
    match visit(context, host, &mut settlement).await {
        Ok(()) => {}
        Err(Visit::Store(error)) => return Err(error),
        Err(Visit::Engine(error)) => {
            let now = context.clock.now();
            let since = match &host.state {
                HostState::Unreachable { since, .. } => *since,
                HostState::New | HostState::Ready | HostState::Quarantined { .. } => now,
            };
            let reason = crate::error::chain(&error);
            if !matches!(host.state, HostState::Unreachable { .. }) {
                tracing::warn!(host = %host.id, error = reason, "host does not answer");
            }
            // A quarantine outlives an outage: an operator ends it.
            if !matches!(host.state, HostState::Quarantined { .. }) {
                settlement.state = HostState::Unreachable { since, reason };
            }
        }
    }
    context
        .store
        .settle_host(host.id.clone(), claim.fence, settlement)
        .await
}

enum Visit {
    Engine(BackendError),
    Store(StoreError),
}

impl From<BackendError> for Visit {
    fn from(error: BackendError) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for Visit {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn visit(
    context: &Context,
    host: &Host,
    settlement: &mut HostSettlement,
) -> Result<(), Visit> {
    let backend = &context.backend;
    let mut facts = bounded(context, host, backend.host(&host.id)).await?;
    if let Err(reason) = identity(context, host, &facts, settlement).await? {
        let since = match &host.state {
            HostState::Quarantined { since, .. } => *since,
            HostState::New | HostState::Ready | HostState::Unreachable { .. } => {
                tracing::error!(host = %host.id, reason, "host is quarantined");
                context.clock.now()
            }
        };
        settlement.state = HostState::Quarantined { since, reason };
        return Ok(());
    }
    remember_swap(context, host, &mut facts).await;
    // The tenants after the list: what was made for one is in its row before it is made.
    let found = bounded(context, host, backend.list(&host.id, Scope::All)).await?;
    let tenants = context.store.tenants_on(host.id.clone()).await?;
    orphans::undo(context, host, &mut facts, &found, &tenants).await?;
    settlement.facts = Some(facts);
    settlement.state = HostState::Ready;
    let returned = !matches!(host.state, HostState::Ready);
    settlement.stirred = tenants
        .iter()
        .filter(|tenant| returned || has_changed(tenant, &found))
        .map(|tenant| tenant.id)
        .collect();
    Ok(())
}

/// Whether the host carries the marker it was given, and alone; a new one is given one.
async fn identity(
    context: &Context,
    host: &Host,
    facts: &HostFacts,
    settlement: &mut HostSettlement,
) -> Result<Result<(), String>, Visit> {
    if let Some(marker) = &host.marker
        && !facts.markers.contains(marker)
    {
        return Ok(Err(format!(
            "its marker {marker} is gone: another machine answers at its address, or its engine lost its data; \
             look at it, correct its address if it is another machine, and release it if it is the right one"
        )));
    }
    // A new host's may have been made by a pass whose settlement was lost, or be another host's.
    if let Some(marker) = host.marker.as_ref().or(facts.markers.first()) {
        if let Some(twin) = twin(context, host, marker).await? {
            return Ok(Err(format!(
                "its marker {marker} is that of host {twin}: both are one engine, or this is a clone of that. Give \
                 each engine one host id, and keep the id it has"
            )));
        }
        settlement.marker = Some(marker.clone());
        return Ok(Ok(()));
    }
    let mut random = [0_u8; 8];
    context.entropy.fill(&mut random);
    let marker = hex(&random);
    let spec = ObjectSpec::HostMarker {
        marker: marker.clone(),
    };
    bounded(context, host, context.backend.create(&host.id, &spec)).await?;
    settlement.marker = Some(marker);
    Ok(Ok(()))
}

/// Another host with this marker, which had it first; of two that were given it at once, the first by id.
async fn twin(context: &Context, host: &Host, marker: &str) -> Result<Option<HostId>, StoreError> {
    let hosts = context.store.hosts().await?;
    let other = hosts.into_iter().find(|other| {
        other.id != host.id
            && other.marker.as_deref() == Some(marker)
            && (host.marker.is_none() || other.id < host.id)
    });
    Ok(other.map(|other| other.id))
}

/// Swap as it was measured lately, or is now: an operator adds some, or takes it away, while the host runs.
async fn remember_swap(context: &Context, host: &Host, facts: &mut HostFacts) {
    let now = context.clock.now();
    let known = host.facts.as_ref().filter(|known| known.swap.is_some());
    let lately = known.filter(|known| {
        let at = known.swap_measured_at.unwrap_or_default();
        // A clock that was set back is no reason to keep it for that much longer.
        let young = at <= now && now.since(at) < context.pace.swap;
        young && known.swap_limit == facts.swap_limit
    });
    if let Some(known) = lately {
        facts.swap = known.swap;
        facts.swap_measured_at = known.swap_measured_at;
        return;
    }
    let measured = measure_swap(context, host, facts).await;
    // What cannot be measured now stays as it was, until the next time.
    facts.swap = measured.or_else(|| known?.swap);
    facts.swap_measured_at = Some(now);
}

/// The swap a container sees. Not knowing it is no reason to turn a host away: it counts as none.
async fn measure_swap(
    context: &Context,
    host: &Host,
    facts: &HostFacts,
) -> Option<crate::quantity::Bytes> {
    if !facts.swap_limit {
        return Some(crate::quantity::Bytes(0));
    }
    let image = &context.blueprint.image;
    let measuring = async {
        let prepared = context.backend.prepare(&host.id, image).await?;
        context
            .backend
            .measure_swap(&host.id, &prepared.image)
            .await
    };
    match bounded(context, host, measuring).await {
        Ok(swap) => Some(swap),
        Err(error @ BackendError::ImageMissing { .. }) => {
            // Every instance would fail by it: that swap is not measured is the lesser part.
            tracing::warn!(
                host = %host.id,
                image = image.reference,
                error = %crate::error::chain(&error),
                "the image of instances is missing: no instance can start on this host; pull it there \
                 (`docker pull`), load it (`docker save` and `docker load`) or build it, or correct image.reference"
            );
            None
        }
        Err(error) => {
            tracing::warn!(host = %host.id, error = %crate::error::chain(&error), "swap not measured");
            None
        }
    }
}

/// Whether what runs differs from what is written to run.
fn has_changed(tenant: &Tenant, found: &Inventory) -> bool {
    let Some(location) = tenant.observed.location() else {
        return false;
    };
    let written = location.container.as_ref();
    let seen = found.containers.iter().find(|container| {
        container.labels.role == Role::Instance
            && container.labels.tenant == Some(tenant.id)
            && container.labels.generation == location.generation
    });
    // One that was cut off from its network runs and is of no use.
    let runs = seen.is_some_and(|container| container.running && container.address.is_some());
    let should = written.is_some_and(|container| container.started_at.is_some());
    runs != should || seen.map(|container| &container.id) != written.map(|container| &container.id)
}

async fn bounded<T: Send>(
    context: &Context,
    host: &Host,
    call: impl Future<Output = Result<T, BackendError>> + Send,
) -> Result<T, BackendError> {
    let limit: Duration = context.pace.call;
    match select(pin!(call), context.clock.sleep(limit)).await {
        Either::Left((done, _)) => done,
        Either::Right(((), _)) => Err(BackendError::Unreachable {
            host: host.id.clone(),
            what: "the call took longer than it may",
            source: None,
        }),
    }
}
