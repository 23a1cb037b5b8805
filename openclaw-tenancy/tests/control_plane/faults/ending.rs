//! An instance that ends or goes: grace, the last wish, deletions that die.

use openclaw_tenancy::memory::{Behavior, Fault};
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::tenant::Power;

use crate::faulty::{LEASE_AND_MORE, SECOND, World};

#[test]
fn f09_a_container_that_does_not_stop_is_killed_after_its_grace() {
    let mut world = World::new();
    let made = world.create(0, None).unwrap().unwrap();
    world.until_running();
    let stubborn = Behavior {
        ignores_terminate: true,
        ..Behavior::default()
    };
    world
        .backend
        .set_behavior(&world.host, made.view.tenant.id, stubborn);
    world.faults.next("signal", Some(Fault::LoseAnswer));
    world.set_power(0, Power::Suspended);
    let asked = world.now();
    let stopped = world.round_when(|phase| *phase == Phase::Suspended);
    let took = stopped.since(asked);
    assert!(
        (SECOND * 60..=SECOND * 90).contains(&took),
        "60 s of grace, and it took {took:?}"
    );
    assert_eq!(world.backend.processes(), []);
}

#[test]
fn f09_what_failed_before_it_was_asked_to_end_is_not_told_while_it_ends() {
    for power in [Power::Suspended, Power::Deleted] {
        let mut world = World::new();
        world.create(0, None).unwrap().unwrap();
        world.until_running();
        let stubborn = Behavior {
            ignores_terminate: true,
            ..Behavior::default()
        };
        let id = world.rows()[0].id;
        world.backend.set_behavior(&world.host, id, stubborn);
        world.set_power(0, power);
        // A host that does not answer for a moment, and then does.
        world.faults.next("signal", Some(Fault::Fail));
        world.round_when(|phase| matches!(phase, Phase::HostLost { .. }));
        let ending = |phase: &Phase| matches!(phase, Phase::Stopping | Phase::Deleting);
        world.round_when(ending);
        let told = status(&world.rows()[0], world.tenancy.deadlines());
        let asked = world.rows()[0].observed.locations[0].container.clone();
        let asked = asked.and_then(|container| container.stop_asked_at).unwrap();
        assert_eq!(told.message, None);
        assert_eq!(told.deadline, Some(asked.plus(SECOND * 60)));
    }
}

#[test]
fn f09_what_is_wanted_last_wins() {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    world.until_running();
    world.faults.next("signal", Some(Fault::HangAfter));
    world.set_power(0, Power::Suspended);
    world.rounds(1, SECOND);
    world.set_power(0, Power::Running);
    world.until_running();
    assert_eq!(world.backend.processes().len(), 1);
    assert_eq!(world.backend.most_writers(), 1);
}

#[test]
fn f10_a_deletion_that_died_anywhere_is_finished_and_leaves_nothing() {
    let mut schedules = 0;
    for call in 0.. {
        let mut died = false;
        for fault in [Fault::HangBefore, Fault::HangAfter, Fault::LoseAnswer] {
            let mut world = World::new();
            world.create(0, None).unwrap().unwrap();
            world.until_running();
            world.set_power(0, Power::Deleted);
            let first = world.faults.calls();
            world.faults.at(first + call, fault);
            for _ in 0..40 {
                world.rounds(1, LEASE_AND_MORE);
                if world.rows().is_empty() {
                    break;
                }
            }
            died |= world.faults.calls() > first + call;
            schedules += 1;
            assert_eq!(world.rows(), [], "{fault:?} at call {call}");
            assert_eq!(world.objects(), [""; 0], "{fault:?} at call {call}");
            assert_eq!(world.backend.processes(), []);
        }
        if !died {
            break;
        }
    }
    assert!(
        schedules > 30,
        "a deletion makes more calls than {schedules}"
    );
}

#[test]
fn f11_a_deletion_during_the_creation_wins_and_a_new_one_begins_anew() {
    for call in 0.. {
        let mut world = World::new();
        let first = world.create(0, None).unwrap().unwrap().view.tenant.id;
        let begun = world.faults.calls();
        world.faults.at(begun + call, Fault::HangAfter);
        world.rounds(1, SECOND);
        if world.faults.calls() <= begun + call {
            assert!(call > 15, "a creation makes more calls than {call}");
            break;
        }
        world.set_power(0, Power::Deleted);
        world.set_power(0, Power::Deleted);
        let refused = world.create(0, None);
        assert!(refused.is_some_and(|answer| answer.is_err()));
        for _ in 0..20 {
            world.rounds(1, LEASE_AND_MORE);
        }
        assert_eq!(world.rows(), []);
        let second = world.create(0, None).unwrap().unwrap().view.tenant.id;
        assert_ne!(first, second);
        world.until_running();
        assert_eq!(world.backend.processes().len(), 1);
        assert_eq!(world.objects().len(), 4, "{:?}", world.objects());
        assert_eq!(world.backend.most_writers(), 1);
    }
}
