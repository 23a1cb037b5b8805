//! What must hold after every step, seen from the engines' own state and the store.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_tenancy::container::AppliedLimits;
use openclaw_tenancy::host::{Host, Reserved};
use openclaw_tenancy::id::{HostId, TenantId};
use openclaw_tenancy::memory::Process;
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy::tenant::{Power, Tenant};

use crate::machine::{Stood, moved, queued, waiting};
use crate::scene::{Foreign, Scene};

/// Names of ours begin so.
const OURS: &str = "oct-d1-";

/// What the checker remembers between steps.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Data volumes that have been written to, by host, with their tenant.
    written: BTreeMap<HostId, BTreeMap<String, TenantId>>,
    /// Tenants whose deletion was asked for: the durable decision I6 speaks of.
    pub(crate) deleted: BTreeSet<TenantId>,
    /// Tenants whose creation was acknowledged.
    pub(crate) acknowledged: BTreeSet<TenantId>,
    /// How a tenant is written in the names of its objects: formatting it at each check would take longest.
    written_as: BTreeMap<TenantId, String>,
    /// Each tenant as it stood.
    stood: BTreeMap<TenantId, (Tenant, Stood)>,
}

/// What may have changed since the last look: an invariant of something else cannot have been broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    Anything,
    Engines,
    Tenants,
    Hosts,
}

impl Changed {
    /// What a call that was made may have changed.
    pub(crate) fn by(call: &str) -> Self {
        match call.split_once('.') {
            Some(("backend", _)) => Self::Engines,
            Some(("store", "cordon" | "put_host" | "remove_host" | "settle_host")) => Self::Hosts,
            Some(("store", _)) => Self::Tenants,
            _ => Self::Anything,
        }
    }

    fn is(self, one: Self) -> bool {
        self == Self::Anything || self == one
    }
}

/// Checks everything that must hold at every instant.
///
/// The first violation that was found since this was last asked is answered.
pub(crate) fn check(scene: &Scene) -> Result<(), String> {
    if let Some(found) = scene.found.take() {
        return Err(found);
    }
    scene.since.set(None);
    check_what(scene, Changed::Anything)
}

/// The same after a pass or a step of one: as far as what may have changed since the last look goes.
pub(crate) fn check_step(scene: &Scene) -> Result<(), String> {
    if let Some(found) = scene.found.take() {
        return Err(found);
    }
    match scene.since.take() {
        Some(call) => check_what(scene, Changed::by(call)),
        None => Ok(()),
    }
}

fn check_what(scene: &Scene, changed: Changed) -> Result<(), String> {
    let memory = &mut *scene.memory.borrow_mut();
    let processes = scene.backend.processes();
    let waiting = scene.store.look(|rows, hosts| {
        stand(scene, changed, &processes, hosts, rows, memory)?;
        let rows = if changed.is(Changed::Tenants) {
            rows
        } else {
            &[]
        };
        Ok::<_, String>(waiting(rows))
    })?;
    queued(scene, &waiting)
}

/// The same, of what the store has at this instant.
fn stand(
    scene: &Scene,
    changed: Changed,
    processes: &[Process],
    hosts: &[&Host],
    rows: &[&Tenant],
    memory: &mut Memory,
) -> Result<(), String> {
    let [engines, tenants, of_hosts] =
        [Changed::Engines, Changed::Tenants, Changed::Hosts].map(|one| changed.is(one));
    // A request that was delayed deletes what the account has when it takes effect.
    let deleting = rows
        .iter()
        .filter(|row| row.desired.power == Power::Deleted);
    memory.deleted.extend(deleting.map(|row| row.id));
    if engines {
        one_writer(scene, processes)?;
        data_is_kept(scene, processes, memory)?;
        foreign_untouched(scene)?;
    }
    if engines || of_hosts {
        limits_fit(scene, hosts)?;
    }
    if tenants || of_hosts {
        capacity(scene, hosts, rows)?;
    }
    if engines || tenants {
        routes(scene, rows)?;
        nothing_orphaned(scene, processes, rows, memory)?;
    }
    if tenants {
        for row in rows {
            let before = memory.stood.get(&row.id);
            // A row that is as it was has moved nowhere, and to tell its status takes long.
            if before.is_some_and(|(before, _)| before == *row) {
                continue;
            }
            let stands = moved(scene, before.map(|(_, stood)| stood), row)?;
            memory.stood.insert(row.id, (Tenant::clone(row), stands));
        }
        acknowledged_is_there(rows, memory)?;
    }
    Ok(())
}

/// I3, I4: what was answered is there.
fn acknowledged_is_there(rows: &[&Tenant], memory: &Memory) -> Result<(), String> {
    for tenant in &memory.acknowledged {
        let there = rows.iter().any(|row| row.id == *tenant);
        if !there && !memory.deleted.contains(tenant) {
            return Err(format!("I3/I4: acknowledged tenant {tenant} has no row"));
        }
    }
    Ok(())
}

/// I1: one live process per tenant, one writer per volume, whatever the engines say.
fn one_writer(scene: &Scene, processes: &[Process]) -> Result<(), String> {
    if scene.backend.most_writers() > 1 {
        return Err("I1: two processes wrote to one volume".to_owned());
    }
    let mut live = BTreeMap::new();
    for process in processes {
        if let Some(other) = live.insert(process.tenant, process) {
            return Err(format!(
                "I1: two live processes of one tenant: {other:?} and {process:?}"
            ));
        }
    }
    Ok(())
}

/// I6: a data volume that was written to goes only after a deletion was asked for.
fn data_is_kept(scene: &Scene, processes: &[Process], memory: &mut Memory) -> Result<(), String> {
    let Memory {
        written, deleted, ..
    } = memory;
    for host in &scene.hosts {
        let written = written.entry(host.clone()).or_default();
        scene.backend.look_at_names(host, |names| {
            for (volume, tenant) in &*written {
                if !names.contains(&volume.as_str()) && !deleted.contains(tenant) {
                    return Err(format!("I6: data volume {volume} of {tenant} is gone"));
                }
            }
            written.retain(|volume, _| names.contains(&volume.as_str()));
            for process in processes {
                if !names.contains(&process.volume.as_str()) {
                    continue;
                }
                match written.get_mut(&process.volume) {
                    Some(tenant) => *tenant = process.tenant,
                    None => {
                        written.insert(process.volume.clone(), process.tenant);
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// I7: what is reserved on a host fits it, and subnets are distinct.
fn capacity(scene: &Scene, hosts: &[&Host], rows: &[&Tenant]) -> Result<(), String> {
    let overcommit = &scene.tenancy.context().blueprint.overcommit;
    for host in hosts {
        let Some(facts) = &host.facts else { continue };
        let capacity = overcommit.capacity(facts);
        let here: Vec<_> = rows
            .iter()
            .flat_map(|row| &row.observed.locations)
            .filter(|location| location.host == host.id)
            .collect();
        let granted = here.iter().fold(Reserved::default(), |sum, location| {
            sum.with(&location.granted)
        });
        let most = [capacity.cpu.0, capacity.memory.0, capacity.swap.0];
        for (what, of) in [("granted", &granted), ("reserved", &host.reserved)] {
            let amounts = [of.cpu.0, of.memory.0, of.swap.0];
            if amounts
                .iter()
                .zip(&most)
                .any(|(amount, most)| amount > most)
            {
                return Err(format!(
                    "I7: {amounts:?} {what} on {} (CPU, memory, swap), it has {most:?}",
                    host.id
                ));
            }
        }
        let subnets: BTreeSet<_> = here.iter().map(|location| location.subnet).collect();
        if subnets.len() != here.len() {
            return Err(format!("I7: one subnet was given twice on {}", host.id));
        }
    }
    Ok(())
}

/// I7, as the engines say it: what their containers may use, all together, fits each host.
///
/// A container that a late call left is in no row, and counts on its host until it is removed.
fn limits_fit(scene: &Scene, hosts: &[&Host]) -> Result<(), String> {
    if scene.late.get() || scene.asleep.get() > 0 {
        return Ok(());
    }
    let overcommit = &scene.tenancy.context().blueprint.overcommit;
    for host in hosts {
        let Some(facts) = &host.facts else { continue };
        let most = overcommit.capacity(facts);
        let limits = scene.backend.limits(&host.id);
        let sum = |of: fn(&AppliedLimits) -> u64| limits.iter().map(of).sum::<u64>();
        let sums = [sum(|l| l.cpu.0), sum(|l| l.memory.0), sum(|l| l.swap.0)];
        let most = [most.cpu.0, most.memory.0, most.swap.0];
        if sums.iter().zip(&most).any(|(sum, most)| sum > most) {
            return Err(format!(
                "I7: {sums:?} in inspect on {} (CPU, memory, swap), it has {most:?}",
                host.id
            ));
        }
    }
    Ok(())
}

/// I9: a route leads to the current generation of the right tenant, or to nothing.
fn routes(scene: &Scene, rows: &[&Tenant]) -> Result<(), String> {
    for row in rows {
        let Some(location) = row.observed.location() else {
            continue;
        };
        let route = scene.route(row);
        let Some(Upstream::Direct(at)) = route.upstream else {
            continue;
        };
        for host in &scene.hosts {
            if *host != location.host {
                continue;
            }
            if let Some((tenant, generation)) = scene.backend.occupant(host, at.ip())
                && ((tenant, generation) != (row.id, location.generation)
                    || generation != route.generation)
            {
                return Err(format!(
                    "I9: the route of {} g{} leads to {tenant} g{generation}",
                    row.id, route.generation
                ));
            }
        }
    }
    Ok(())
}

/// I13: what is not ours is as it was, on every host.
fn foreign_untouched(scene: &Scene) -> Result<(), String> {
    for Foreign { host, name, object } in &*scene.foreign.borrow() {
        if !scene.backend.is_as_added(host, object) {
            return Err(format!(
                "I13: the foreign {name} on {host} is not as it was"
            ));
        }
    }
    Ok(())
}

/// I2: every object of ours has a row.
fn nothing_orphaned(
    scene: &Scene,
    processes: &[Process],
    rows: &[&Tenant],
    memory: &mut Memory,
) -> Result<(), String> {
    if scene.asleep.get() > 0 {
        // A call of a paused process may land late; what it makes is reported by the host's next list.
        return Ok(());
    }
    for row in rows {
        let written = memory.written_as.entry(row.id);
        written.or_insert_with(|| row.id.simple());
    }
    let known: Vec<&str> = rows
        .iter()
        .map(|row| memory.written_as[&row.id].as_str())
        .collect();
    for process in processes {
        // A ghost too: while a process lives, somebody must be told of it.
        if !rows.iter().any(|row| row.id == process.tenant) {
            return Err(format!("I2: nothing accounts for {process:?}"));
        }
    }
    if scene.late.get() {
        // The one call that was under way when its process was stopped may land after its claim has passed on.
        // It starts nothing (above), and what it made is in the host's next list.
        return Ok(());
    }
    for host in &scene.hosts {
        scene.backend.look_at_names(host, |names| {
            for name in names {
                if !has_row(name, &known) && is_of_a_tenant(scene, host, name) {
                    let late = memory.deleted.iter().any(|id| name.contains(&id.simple()));
                    return Err(format!("I2: {name} on {host} has no row (deleted: {late})"));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Whether one of the tenants that are `known` is written in a name.
pub(crate) fn has_row(name: &str, known: &[impl AsRef<str>]) -> bool {
    // Where every name of ours has it: searching the whole name, at each check, would take longest.
    let usual = name.get(OURS.len()..OURS.len() + 32);
    usual.is_some_and(|usual| known.iter().any(|id| id.as_ref() == usual))
        || known.iter().any(|id| name.contains(id.as_ref()))
}

pub(crate) fn is_of_a_tenant(scene: &Scene, host: &HostId, name: &str) -> bool {
    let foreign = |foreign: &Foreign| foreign.host == *host && foreign.name == name;
    name.starts_with(OURS)
        && !name.starts_with("oct-d1-host-")
        && !scene.foreign.borrow().iter().any(foreign)
}
