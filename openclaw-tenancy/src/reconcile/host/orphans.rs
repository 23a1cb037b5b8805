//! Objects of ours that no tenant accounts for: what a call left that landed after its claim had passed on.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;

use super::told::News;
use super::{Visit, bounded};
use crate::backend::BackendError;
use crate::container::{Inventory, ObjectRef, SeenNetwork};
use crate::host::{Host, HostFacts};
use crate::id::TenantId;
use crate::reconcile::Context;
use crate::tenant::Tenant;

/// Removes what can be removed without a thought, reports the rest, and writes into `facts` how much that is and which
/// subnets of the pool are in use on the host beside those that its tenants have.
///
/// A network without a container holds nothing but its subnet, and goes. A volume may be somebody's data, and a
/// container may be of a tenant that a store restored from an older backup has forgotten: an operator decides.
pub(super) async fn undo(
    context: &Context,
    host: &Host,
    facts: &mut HostFacts,
    found: &Inventory,
    tenants: &[Tenant],
) -> Result<(), Visit> {
    let known: BTreeSet<TenantId> = tenants.iter().map(|tenant| tenant.id).collect();
    let orphan = |tenant: Option<TenantId>| tenant.is_some_and(|id| !known.contains(&id));
    let networks = found.networks.iter();
    let empty = |network: &&SeenNetwork| {
        let tenant = network.labels.tenant;
        orphan(tenant) && found.containers.iter().all(|c| c.labels.tenant != tenant)
    };
    let mut freed = BTreeSet::new();
    for network in networks.filter(empty) {
        let object = ObjectRef::Network(network.id.clone());
        match bounded(context, host, context.backend.remove(&host.id, &object)).await {
            Ok(()) => {
                tracing::info!(host = %host.id, network = network.name, "removed: no tenant accounts for it");
                freed.extend(network.subnet);
            }
            // Something joined it meanwhile.
            Err(BackendError::Busy { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    facts.unaccounted = report(context, host, found, orphan);
    let given: BTreeSet<Ipv4Net> = tenants
        .iter()
        .flat_map(|tenant| &tenant.observed.locations)
        .filter(|location| location.host == host.id)
        .map(|location| location.subnet)
        .collect();
    let pool = context.blueprint.subnets;
    let in_use = |subnet: &&Ipv4Net| {
        (pool.contains(*subnet) || subnet.contains(&pool))
            && !given.contains(*subnet)
            && !freed.contains(*subnet)
    };
    facts.subnets = facts.subnets.iter().filter(in_use).copied().collect();
    Ok(())
}

/// Says what is left over where that is news, and answers how much it is.
fn report(
    context: &Context,
    host: &Host,
    found: &Inventory,
    orphan: impl Fn(Option<TenantId>) -> bool,
) -> u64 {
    let containers = found.containers.iter().map(|c| (c.labels.tenant, &c.name));
    let volumes = found.volumes.iter().map(|v| (v.labels.tenant, &v.name));
    let names: BTreeSet<String> = containers
        .chain(volumes)
        .filter(|(tenant, _)| orphan(*tenant))
        .map(|(_, name)| name.clone())
        .collect();
    let count = names.len() as u64;
    match context.told.news(&host.id, &names, context.clock.now()) {
        Some(News::Left) => {
            tracing::warn!(
                host = %host.id,
                ?names,
                "objects of ours that no tenant accounts for; nothing is done to them: restore the database that \
                 knows them, or remove them (`docker rm`, `docker volume rm`) once nobody misses them"
            );
        }
        Some(News::Accounted) => {
            tracing::info!(host = %host.id, "every object of ours is accounted for again");
        }
        None => {}
    }
    count
}
