//! Objects of ours that no tenant accounts for: what a call left that landed after its claim had passed on.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;

use super::{Visit, bounded};
use crate::backend::BackendError;
use crate::container::{Inventory, ObjectRef, SeenNetwork};
use crate::host::{Host, HostFacts};
use crate::id::TenantId;
use crate::reconcile::Context;
use crate::tenant::Tenant;

/// Removes what can be removed without a thought, reports the rest, and answers which subnets of the pool are in use
/// on the host beside those that its tenants have.
///
/// A network without a container holds nothing but its subnet, and goes. A volume may be somebody's data, and a
/// container may be of a tenant that a store restored from an older backup has forgotten: an operator decides.
pub(super) async fn undo(
    context: &Context,
    host: &Host,
    facts: &HostFacts,
    found: &Inventory,
    tenants: &[Tenant],
) -> Result<Vec<Ipv4Net>, Visit> {
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
    report(host, found, orphan);
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
    Ok(facts.subnets.iter().filter(in_use).copied().collect())
}

fn report(host: &Host, found: &Inventory, orphan: impl Fn(Option<TenantId>) -> bool) {
    let containers = found.containers.iter().map(|c| (c.labels.tenant, &c.name));
    let volumes = found.volumes.iter().map(|v| (v.labels.tenant, &v.name));
    let names: Vec<&String> = containers
        .chain(volumes)
        .filter(|(tenant, _)| orphan(*tenant))
        .map(|(_, name)| name)
        .collect();
    if !names.is_empty() {
        tracing::warn!(host = %host.id, ?names, "objects of ours that no tenant accounts for");
    }
}
