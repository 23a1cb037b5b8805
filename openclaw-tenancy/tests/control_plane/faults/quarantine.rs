//! A host whose marker is gone, and what an operator's release of it does.

use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::tenant::{HoldReason, Power};

use crate::faulty::{IMAGE, SECOND, World};

const RELEASE: &str = "release it if it is the right one";

const QUARANTINED: Phase = Phase::Held {
    reason: HoldReason::HostQuarantined,
};

/// What `docker volume prune` does.
fn lose_marker(world: &World) {
    let names = world.backend.names(&world.host);
    let marker = names.iter().find(|name| name.starts_with("oct-d1-host-"));
    world
        .backend
        .remove_anything_like(&world.host, marker.unwrap());
}

/// One tenant that runs, on a host that has lost its marker; its wish is met by a hold.
fn held() -> World {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    world.until_running();
    lose_marker(&world);
    world.rounds(12, SECOND);
    world.set_power(0, Power::Suspended);
    world.rounds(4, SECOND);
    assert_eq!(world.phase(), QUARANTINED);
    world
}

#[test]
fn f23_a_released_host_is_the_one_again_and_its_tenants_go_on() {
    let mut world = held();
    let hold = world.rows()[0].observed.hold.clone().unwrap();
    assert!(hold.message.contains(RELEASE), "{}", hold.message);
    let until = "until its host is the one it was, or an administrator releases the host";
    assert!(hold.message.ends_with(until), "{}", hold.message);
    let generation = world.rows()[0].observed.generation;
    let before = world.objects();

    // Who asks meanwhile waits, and is told for what.
    world.create(1, None).unwrap().unwrap();
    world.rounds(4, SECOND);
    let rows = world.rows();
    let waiting = rows.iter().find(|row| row.observed.hold.is_none());
    let waiting = status(waiting.unwrap(), world.tenancy.deadlines());
    assert_eq!(waiting.phase, Phase::Queued);
    let message = waiting.message.expect("it says why");
    assert!(message.contains("quarantined"), "{message}");
    assert!(message.contains(RELEASE), "{message}");

    world.set_power(0, Power::Running);
    world.release_host();
    world.rounds(30, SECOND);
    let rows = world.rows();
    for row in &rows {
        let phase = status(row, world.tenancy.deadlines()).phase;
        assert_eq!(phase, Phase::Running, "{row:?}");
    }
    let first = rows
        .iter()
        .find(|row| row.observed.generation == generation);
    assert!(first.is_some(), "the container ran on: {rows:?}");
    let after = world.objects();
    assert!(before.iter().all(|name| after.contains(name)), "{after:?}");
    assert_eq!(world.backend.processes().len(), 2);
    assert_eq!(world.backend.most_writers(), 1);
}

#[test]
fn f23_a_tenants_own_release_does_not_reach_a_quarantined_host() {
    let mut world = held();
    world.release_tenant();
    world.rounds(4, SECOND);
    assert_eq!(world.phase(), QUARANTINED, "held again");
    // The release counts once the host is released, and the wish of before is met then.
    world.release_host();
    world.rounds(30, SECOND);
    assert_eq!(world.phase(), Phase::Suspended);
}

#[test]
fn f23_an_engine_that_lost_its_data_starts_nobody_on_nothing() {
    let mut world = held();
    world.set_power(0, Power::Running);
    // A new machine, or one whose disk is new.
    let engines = world.backend.clone();
    let engines = engines.with_host(world.host.clone(), IMAGE);
    assert_eq!(engines.names(&world.host), [""; 0]);
    world.release_host();
    world.rounds(30, SECOND);
    let conflict = Phase::Held {
        reason: HoldReason::Conflict,
    };
    assert_eq!(world.phase(), conflict);
    let row = world.rows().remove(0);
    let message = row.observed.hold.unwrap().message;
    let until = "It is held until an administrator releases it";
    assert!(message.ends_with(until), "{message}");
}
