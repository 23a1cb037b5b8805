//! F4, F27: what a worker asked for that is gone lands after another has gone on.

use std::collections::BTreeMap;

use openclaw_tenancy::container::{Image, InstanceSpec, NetworkSpec, ObjectRef, ObjectSpec};
use openclaw_tenancy::event::EventKind;
use openclaw_tenancy::memory::Fault;
use openclaw_tenancy::tenant::Tenant;

use crate::faulty::{IMAGE, LEASE_AND_MORE, SECOND, World};

/// A network of the tenant's that is for another place than it has.
fn late_network(tenant: &Tenant) -> ObjectSpec {
    ObjectSpec::Network(NetworkSpec {
        tenant: tenant.id,
        subnet: "10.213.255.0/29".parse().unwrap(),
    })
}

/// A container of the tenant's generation that is for other settings than it has.
fn late_container(tenant: &Tenant) -> ObjectSpec {
    let location = tenant.observed.location().unwrap();
    ObjectSpec::Instance(Box::new(InstanceSpec {
        tenant: tenant.id,
        generation: location.generation,
        image: Image {
            reference: IMAGE.to_owned(),
            digest: Some(format!("sha256:{IMAGE}")),
        },
        limits: location.granted,
        env: BTreeMap::from([("TZ".to_owned(), "Asia/Shanghai".to_owned())]),
        subnet: location.subnet,
    }))
}

/// It runs, with one of each thing, and nobody was asked to act.
fn assert_runs_unheld(world: &mut World) {
    world.until_running();
    let rows = world.rows();
    let seen = world.inventory();
    assert_eq!(seen.containers.len(), 1, "{seen:?}");
    let subnets: Vec<_> = seen.networks.iter().map(|network| network.subnet).collect();
    assert_eq!(subnets, [Some(rows[0].observed.location().unwrap().subnet)]);
    let kinds = world.events();
    assert!(!kinds.contains(&EventKind::Held), "{kinds:?}");
    assert_eq!(world.backend.most_writers(), 1);
}

#[test]
fn f04_an_own_object_that_lands_before_the_call_that_wants_its_place_gives_way() {
    // The network is made first, the container fourth.
    for (before, late) in [
        (0, late_network as fn(&Tenant) -> ObjectSpec),
        (3, late_container),
    ] {
        let mut world = World::new();
        world.create(0, None).unwrap().unwrap();
        for _ in 0..before {
            world.faults.next("create", None);
        }
        // Looked already, and asked not yet.
        world.faults.next("create", Some(Fault::Delay(SECOND * 2)));
        world.rounds(1, SECOND);
        world.lands(&late(&world.rows()[0]));
        assert_runs_unheld(&mut world);
    }
}

/// The store is never behind the engines by itself: a new generation is written before anything of it is made.
#[test]
fn f04_a_container_of_the_last_generation_that_lands_beside_a_new_one_goes() {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    world.until_running();
    let first = world.rows().remove(0);
    let container = world.inventory().containers.remove(0);
    world.removes(&ObjectRef::Container(container.id));
    // The next generation is made and started by a worker that does not live to settle it.
    world.faults.next("start", Some(Fault::HangAfter));
    for _ in 0..60 {
        if world.backend.processes().is_empty() {
            world.rounds(1, SECOND);
        }
    }
    assert_eq!(world.backend.processes()[0].generation.0, 2);
    world.lands(&late_container(&first));
    world.rounds(1, LEASE_AND_MORE);
    assert_runs_unheld(&mut world);
    assert_eq!(world.rows()[0].observed.generation.0, 2);
}

#[test]
fn f04_an_own_network_of_another_subnet_is_removed_before_anything_is_made() {
    let mut world = World::new();
    let made = world.create(0, None).unwrap().unwrap();
    world.lands(&late_network(&made.view.tenant));
    assert_runs_unheld(&mut world);
}

#[test]
fn f04_an_own_network_of_another_subnet_gives_way_to_a_start() {
    for beside in [false, true] {
        let mut world = World::new();
        world.create(0, None).unwrap().unwrap();
        world.faults.next("start", Some(Fault::HangBefore));
        world.rounds(1, SECOND);
        let own = world.inventory().networks.remove(0);
        if beside {
            world.lands_beside(&own);
        } else {
            world.removes(&ObjectRef::Network(own.id));
            world.lands(&late_network(&world.rows()[0]));
        }
        world.rounds(1, LEASE_AND_MORE);
        assert_runs_unheld(&mut world);
    }
}

#[test]
fn f04_an_own_network_that_lands_beside_that_of_a_running_instance_goes() {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    world.until_running();
    let own = world.inventory().networks.remove(0);
    world.lands_beside(&own);
    world.rounds(2, SECOND * 300);
    assert_runs_unheld(&mut world);
    assert_eq!(world.inventory().networks, [own]);
}
