//! What must hold when faults have stopped and time has passed.

use openclaw_tenancy::backend::{ContainerBackend as _, Scope};
use openclaw_tenancy::id::TenantId;
use openclaw_tenancy::store::TenantStore as _;
use openclaw_tenancy::tenant::{Certainty, Hold, HoldReason, Location, Power, Tenant};

use crate::invariants::{has_row, is_of_a_tenant};
use crate::scene::{Foreign, Scene};
use crate::world::now;

fn rows(scene: &Scene) -> Vec<Tenant> {
    now(scene.store.list(None, 100)).unwrap().tenants
}

/// I14: when faults have stopped, every tenant has converged or is in a named hold.
pub(crate) fn converged(scene: &Scene) -> Result<(), String> {
    let rows = rows(scene);
    late_networks_are_gone(scene, &rows)?;
    leftovers_are_told(scene, &rows)?;
    for row in rows {
        if let Some(hold) = &row.observed.hold {
            conflict_is_one(scene, &row, hold)?;
            continue;
        }
        let running = row.observed.location().is_some_and(|location| {
            location
                .container
                .as_ref()
                .is_some_and(|c| c.ready_at.is_some())
        });
        let live = scene
            .backend
            .processes()
            .iter()
            .filter(|p| p.tenant == row.id)
            .count();
        let known = |location: &Location| location.certainty == Certainty::Known;
        let made_so = row.observed.converged == Some(row.revision)
            && row.observed.locations.iter().all(known);
        let so = match row.desired.power {
            // What has failed and is not over yet is to be tried again: that is no rest.
            Power::Running => {
                let runs = running && live == 1 && row.observed.failure.is_none();
                (runs && made_so) || row.observed.queued.is_some()
            }
            Power::Suspended => live == 0 && made_so,
            Power::Deleted => false,
        };
        if !so {
            return Err(format!(
                "I14: {} wants {:?} and is {:?}, {live} processes",
                row.id, row.desired.power, row.observed
            ));
        }
    }
    Ok(())
}

/// I14: what is held for a conflict meets something foreign, which its message names.
fn conflict_is_one(scene: &Scene, row: &Tenant, hold: &Hold) -> Result<(), String> {
    let location = row.observed.location();
    let meets = |foreign: &Foreign| {
        location.is_some_and(|location| location.host == foreign.host)
            && hold.message.contains(&foreign.name)
    };
    if hold.reason == HoldReason::Conflict && !scene.foreign.borrow().iter().any(meets) {
        return Err(format!(
            "I14: {} is held for a conflict that is none: {}",
            row.id, hold.message
        ));
    }
    Ok(())
}

/// I2: how many objects of ours are in no row is written with each host.
fn leftovers_are_told(scene: &Scene, rows: &[Tenant]) -> Result<(), String> {
    for host in now(scene.store.hosts()).unwrap() {
        let has_row = |tenant: &Option<TenantId>| {
            let mut here = rows.iter().filter(|row| Some(row.id) == *tenant);
            tenant.is_none()
                || here.any(|row| row.observed.locations.iter().any(|l| l.host == host.id))
        };
        let found = now(scene.backend.list(&host.id, Scope::All)).unwrap();
        let containers = found.containers.iter().map(|c| &c.labels.tenant);
        let volumes = found.volumes.iter().map(|v| &v.labels.tenant);
        let left = containers.chain(volumes).filter(|tenant| !has_row(tenant));
        let left = left.count() as u64;
        let told = host.facts.map(|facts| facts.unaccounted);
        if told != Some(left) {
            return Err(format!(
                "I2: {left} objects on {} have no row, and {told:?} are reported",
                host.id
            ));
        }
    }
    Ok(())
}

/// I10: what a late call made that holds a subnet is undone at the next list.
fn late_networks_are_gone(scene: &Scene, rows: &[Tenant]) -> Result<(), String> {
    let known: Vec<String> = rows.iter().map(|row| row.id.simple()).collect();
    for host in &scene.hosts {
        let names = scene.backend.names(host);
        let late = names.iter().find(|name| {
            is_of_a_tenant(scene, host, name)
                && name.ends_with("-network")
                && !has_row(name, &known)
        });
        if let Some(name) = late {
            return Err(format!("I10: {name} on {host} has no row"));
        }
    }
    Ok(())
}
