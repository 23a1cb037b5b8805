//! An instance that is being made: requests that die, answers that are lost, images on their way.

use openclaw_tenancy::memory::Fault;
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::tenant::FailureReason;

use crate::faulty::{IMAGE, SECOND, World};

#[test]
fn f01_a_request_that_died_before_its_row_has_no_effect_and_can_be_sent_again() {
    let world = World::new();
    world.faults.next("create", Some(Fault::HangBefore));
    assert!(world.create(0, Some("k")).is_none(), "the server died");
    assert_eq!(world.rows(), []);
    let made = world.create(0, Some("k")).unwrap().unwrap();
    assert!(!made.replayed);
    assert_eq!(world.rows().len(), 1);
}

#[test]
fn f02_what_died_after_its_row_is_resumed_and_its_key_finds_it() {
    let mut world = World::new();
    world.faults.next("create", Some(Fault::HangAfter));
    assert!(world.create(0, Some("k")).is_none(), "the server died");
    world.until_running();
    let again = world.create(0, Some("k")).unwrap().unwrap();
    assert!(again.replayed);
    assert_eq!(again.view.tenant.id, world.rows()[0].id);
    assert_eq!(world.rows().len(), 1);
}

#[test]
fn f04_what_was_made_without_an_answer_is_adopted() {
    // The network, the two volumes and the container, each alone.
    for lost in 0..4 {
        let mut world = World::new();
        world.create(0, None).unwrap().unwrap();
        for _ in 0..lost {
            world.faults.next("create", None);
        }
        world.faults.next("create", Some(Fault::LoseAnswer));
        world.until_running();
        let names = world.objects();
        assert_eq!(names.len(), 4, "lost answer {lost}: {names:?}");
        assert_eq!(world.backend.processes().len(), 1);
    }
}

#[test]
fn f04_a_subnet_that_a_killed_engine_holds_unseen_is_passed_over_by_everybody() {
    let mut world = World::new();
    // The first two of the pool: whoever comes is given these.
    for subnet in ["10.213.0.0/29", "10.213.0.8/29"] {
        let subnet = subnet.parse().unwrap();
        world.backend.hold_subnet_unseen(&world.host, subnet);
    }
    for who in 0..3 {
        world.create(who, None).unwrap().unwrap();
    }
    for _ in 0..30 {
        world.rounds(1, SECOND);
    }
    let rows = world.rows();
    assert!(
        rows.iter()
            .all(|row| row.observed.converged == Some(row.revision)),
        "{rows:?}"
    );
    assert_eq!(world.backend.processes().len(), 3);
    // What was refused is forgotten once it runs.
    assert!(
        rows.iter()
            .all(|row| row.observed.refused_subnets.is_empty())
    );
}

#[test]
fn f05_a_volume_with_other_options_is_named_and_nothing_starts_on_it() {
    let mut world = World::new();
    let made = world.create(0, None).unwrap().unwrap();
    let volume = world.sized_volume(made.view.tenant.id);
    world.rounds(12, SECOND * 30);
    assert!(
        matches!(
            world.phase(),
            Phase::Failed {
                reason: FailureReason::Storage,
                ..
            }
        ),
        "{:?}",
        world.phase()
    );
    assert_eq!(world.backend.processes(), []);
    assert!(world.backend.is_as_added(&world.host, &volume));
}

#[test]
fn f30_an_instance_whose_image_is_being_pulled_is_on_its_way_and_not_failed() {
    let mut world = World::new();
    world.backend.remove_image(&world.host, IMAGE);
    world.backend.begin_pull(&world.host, IMAGE);
    world.create(0, None).unwrap().unwrap();
    for _ in 0..120 {
        world.rounds(1, SECOND);
        assert_eq!(world.phase(), Phase::Provisioning);
        let row = world.rows().remove(0);
        assert_eq!(row.observed.failure, None);
        let told = status(&row, world.tenancy.deadlines());
        let message = told.message.unwrap_or_default();
        assert!(message.starts_with("the image is on its way"), "{message}");
        assert_eq!(told.deadline, None, "of a pull's end nobody knows");
    }
    world.backend.add_image(&world.host, IMAGE);
    world.until_running();
    let row = world.rows().remove(0);
    assert_eq!(status(&row, world.tenancy.deadlines()).message, None);
}

#[test]
fn f30_what_failed_before_the_pull_is_not_told_while_it_goes_on() {
    let mut world = World::new();
    world.backend.remove_image(&world.host, IMAGE);
    world.backend.begin_pull(&world.host, IMAGE);
    world.create(0, None).unwrap().unwrap();
    world.faults.next("prepare", Some(Fault::Fail));
    world.round_when(|phase| matches!(phase, Phase::HostLost { .. }));
    world.round_when(|phase| *phase == Phase::Provisioning);
    assert!(world.rows()[0].observed.failure.is_some());
    // It ends, and nothing is there: that is told, and no pull any more.
    world.backend.remove_image(&world.host, IMAGE);
    let reason = FailureReason::Image;
    world
        .round_when(|phase| matches!(phase, Phase::Failed { reason: told, .. } if *told == reason));
}
