//! A suspended instance: what it is said to be is what it is, and nothing starts it but its owner.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::Clock as _;
use openclaw_tenancy::event::{Event, EventKind};
use openclaw_tenancy::memory::Fault;
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::store::TenantStore;
use openclaw_tenancy::tenant::{Certainty, Power};

use crate::faulty::{LEASE_AND_MORE, SECOND, World};

/// An instance that has run, and is suspended.
fn suspended() -> World {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    world.until_running();
    world.set_power(0, Power::Suspended);
    world.round_when(|phase| *phase == Phase::Suspended);
    assert_eq!(world.backend.processes(), []);
    world
}

#[test]
fn i12_suspended_is_said_when_nothing_runs_and_not_before() {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    // Somebody is about to start it, who claimed it while it was to run.
    world.faults.next("start", Some(Fault::Delay(SECOND * 5)));
    world.rounds(1, Duration::ZERO);
    world.set_power(0, Power::Suspended);
    assert_eq!(
        world.phase(),
        Phase::Stopping,
        "nothing of it has a row yet"
    );
    for _ in 0..100 {
        world.rounds(1, SECOND);
        if world.phase() == Phase::Suspended {
            assert_eq!(world.backend.processes(), [], "it is said to be suspended");
        }
    }
    assert_eq!(world.phase(), Phase::Suspended);
}

async fn starts(store: Arc<dyn TenantStore>) -> usize {
    let events = store.events(None, 0, 1_000).await;
    let is_start = |event: &&Event| event.event.kind == EventKind::Started;
    events.unwrap().iter().filter(is_start).count()
}

#[tokio::test]
async fn f15_a_suspended_instance_is_not_started_since_a_pass_was_lost() {
    let mut world = suspended();
    let store = Arc::clone(world.tenancy.store());
    let before = starts(Arc::clone(&store)).await;
    // Whoever looks at it next dies in the look.
    world.faults.next("inspect", Some(Fault::HangAfter));
    let lost = |world: &World| world.rows()[0].observed.locations[0].certainty;
    for _ in 0..100 {
        if lost(&world) == Certainty::Unknown {
            break;
        }
        world.rounds(1, SECOND * 20);
    }
    assert_eq!(lost(&world), Certainty::Unknown);
    world.rounds(10, LEASE_AND_MORE);
    assert_eq!(starts(Arc::clone(&store)).await, before);
    assert_eq!(world.phase(), Phase::Suspended);
    let row = &world.rows()[0];
    assert_eq!(row.observed.locations[0].certainty, Certainty::Known);
}

#[test]
fn i03_deadlines_run_from_the_last_wish() {
    let mut world = suspended();
    world.clock.advance(Duration::from_secs(60 * 24 * 60 * 60));
    world.set_power(0, Power::Running);
    let now = world.clock.now();
    let deadlines = *world.tenancy.deadlines();
    let resumed = status(&world.rows()[0], &deadlines);
    assert_eq!(resumed.phase, Phase::Provisioning);
    assert_eq!(resumed.deadline, Some(now.plus(deadlines.provision)));
    world.until_running();
    world.clock.advance(Duration::from_secs(24 * 60 * 60));
    world.set_power(0, Power::Deleted);
    let now = world.clock.now();
    let deleted = status(&world.rows()[0], &deadlines);
    assert_eq!(deleted.phase, Phase::Deleting);
    assert_eq!(deleted.deadline, Some(now.plus(deadlines.stop)));
}

#[test]
fn f15_what_was_made_and_never_configured_is_not_started_blank_to_learn_what_it_is() {
    for power in [Power::Suspended, Power::Deleted] {
        let mut world = World::new();
        world.create(0, None).unwrap().unwrap();
        // The server dies once the container is made, before anything was put into it.
        world.faults.next("path_exists", Some(Fault::HangBefore));
        world.rounds(1, SECOND);
        world.set_power(0, power);
        world.faults.trace();
        world.rounds(4, LEASE_AND_MORE);
        let traced = world.faults.traced();
        let at = |call| traced.iter().position(|name| *name == call);
        let (put, start) = (at("put_files"), at("start"));
        assert!(start.is_some(), "only starting it tells: {traced:?}");
        assert!(put.is_some() && put < start, "{traced:?}");
    }
}
