//! The rows of the fault table that a deployment in memory can show, one test each; the numbers are the table's.
//!
//! Rows that need a real process, engine or database are tested where those are; the simulation tries what
//! nobody thought of.

mod late;
mod overlay;
mod quarantine;
mod suspended;

use std::time::Duration;

use crate::faulty::{IMAGE, LEASE_AND_MORE, SECOND, World};
use openclaw_tenancy::TenancyError;
use openclaw_tenancy::labels::Role;
use openclaw_tenancy::memory::{Behavior, Fault, StartOutcome};
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::tenant::{FailureReason, HoldReason, Power};

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

#[tokio::test]
async fn f29_hosts_are_looked_at_though_the_tenants_cannot_be_claimed() {
    let world = World::new();
    world.clock.advance(SECOND * 10);
    // A store whose disk fills up between the two claims.
    world.faults.next("claim_tenants", Some(Fault::Fail));
    world.faults.trace();
    let (ask, asked) = tokio::sync::oneshot::channel::<()>();
    let tenancy = world.tenancy.clone();
    let running = tokio::spawn(async move {
        tenancy.run(async { _ = asked.await }).await;
    });
    // The clock stands still: no lease ends.
    let looked = async {
        while !world.faults.traced().contains(&"settle_host") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SECOND * 60, looked)
        .await
        .expect("the claimed host is looked at");
    ask.send(()).unwrap();
    running.await.unwrap();
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
fn f06_a_lost_start_is_asked_again_and_never_removed() {
    for fault in [Fault::Fail, Fault::LoseAnswer] {
        let mut world = World::new();
        world.create(0, None).unwrap().unwrap();
        world.faults.next("start", Some(fault));
        world.faults.trace();
        world.until_running();
        assert!(!world.faults.traced().contains(&"remove"), "{fault:?}");
        assert_eq!(world.backend.processes().len(), 1);
        assert_eq!(world.backend.most_writers(), 1);
    }
}

#[test]
fn f06_a_start_lost_in_a_container_that_was_never_settled_is_asked_again() {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    // The first container is broken, which its worker does not live to write.
    let broken = Some(StartOutcome::Broken);
    world.backend.set_next_start(&world.host, broken);
    world.faults.next("start", Some(Fault::HangAfter));
    world.rounds(1, LEASE_AND_MORE);
    // Asked again, it says so, and is removed; the next pass dies in the start of the one that follows.
    world.rounds(3, SECOND);
    let ghost = Some(StartOutcome::Ghost);
    world.backend.set_next_start(&world.host, ghost);
    world.faults.next("start", Some(Fault::HangAfter));
    world.rounds(1, LEASE_AND_MORE);
    assert_eq!(world.backend.processes()[0].generation.0, 2);
    let observed = &world.rows()[0].observed;
    assert_eq!(observed.generation.0, 2, "written before it is made");
    let container = &observed.location().unwrap().container;
    assert_eq!(*container, None, "never settled");

    let reason = HoldReason::GhostSuspected;
    world.round_when(|phase| *phase == Phase::Held { reason });
    assert_eq!(world.backend.processes().len(), 1, "it lives, and is named");
    assert_eq!(world.objects().len(), 4);
}

#[test]
fn f07_an_instance_that_is_never_ready_fails_by_its_deadline() {
    let mut world = World::new();
    let made = world.create(0, None).unwrap().unwrap();
    let never = Behavior {
        ready_after: Duration::from_secs(1_000_000),
        ..Behavior::default()
    };
    world
        .backend
        .set_behavior(&world.host, made.view.tenant.id, never);
    let started = world.round_when(|phase| matches!(phase, Phase::Starting));
    let failed = world.round_when(|phase| {
        matches!(
            phase,
            Phase::Failed {
                reason: FailureReason::StartTimeout,
                ..
            }
        )
    });
    let took = failed.since(started);
    assert!(took <= Duration::from_secs(200), "{took:?}");
}

#[test]
fn f07_a_crash_loop_backs_off_to_a_bound_and_says_why() {
    let mut world = World::new();
    let made = world.create(0, None).unwrap().unwrap();
    let crashes = Behavior {
        exits: Some(1),
        ..Behavior::default()
    };
    world
        .backend
        .set_behavior(&world.host, made.view.tenant.id, crashes);
    let mut starts = Vec::new();
    for _ in 0..3000 {
        world.faults.trace();
        world.rounds(1, SECOND);
        let traced = world.faults.traced();
        starts.extend(
            traced
                .iter()
                .filter(|call| **call == "start")
                .map(|_| world.now()),
        );
    }
    let waits: Vec<_> = starts
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    // 1 s doubled to 300 s, each with its jitter: not one start per second, and never given up.
    assert!((10..=30).contains(&starts.len()), "{waits:?}");
    assert!(
        waits.iter().all(|wait| *wait <= Duration::from_secs(400)),
        "{waits:?}"
    );
    assert!(matches!(
        world.phase(),
        Phase::Failed {
            reason: FailureReason::Crashed,
            ..
        }
    ));
}

#[test]
fn f07_what_fails_together_is_not_tried_again_together() {
    let mut world = World::new();
    for who in 0..8 {
        let made = world.create(who, None).unwrap().unwrap();
        let crashes = Behavior {
            exits: Some(1),
            ..Behavior::default()
        };
        world
            .backend
            .set_behavior(&world.host, made.view.tenant.id, crashes);
    }
    let mut first_waits = std::collections::BTreeMap::new();
    for _ in 0..20 {
        world.rounds(1, SECOND);
        for row in world.rows() {
            let failure = row.observed.failure.filter(|failure| failure.attempts == 1);
            if let Some(failure) = failure {
                first_waits.insert(row.id, failure.retry_at.since(failure.since));
            }
        }
    }
    let waits: Vec<Duration> = first_waits.into_values().collect();
    assert_eq!(waits.len(), 8);
    assert!(
        waits
            .iter()
            .all(|wait| (SECOND / 2..=SECOND).contains(wait)),
        "{waits:?}"
    );
    let different: std::collections::BTreeSet<_> = waits.iter().collect();
    assert!(different.len() >= 7, "{waits:?}");
}

#[test]
fn f07_exit_78_starts_once_and_is_held() {
    let mut world = World::new();
    let made = world.create(0, None).unwrap().unwrap();
    let refuses = Behavior {
        exits: Some(78),
        ..Behavior::default()
    };
    world
        .backend
        .set_behavior(&world.host, made.view.tenant.id, refuses);
    world.faults.trace();
    world.rounds(50, SECOND * 20);
    let traced = world.faults.traced();
    assert_eq!(traced.iter().filter(|call| **call == "start").count(), 1);
    let reason = HoldReason::Configuration;
    assert_eq!(world.phase(), Phase::Held { reason });
}

#[test]
fn f08_a_ready_instance_is_published_after_the_worker_died_and_running_has_a_route() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        let mut world = World::new();
        world.create(0, None).unwrap().unwrap();
        world.faults.next("probe", Some(fault));
        for _ in 0..30 {
            world.rounds(1, LEASE_AND_MORE);
            let rows = world.rows();
            let routed = world.tenancy.route(&rows[0]).upstream.is_some();
            assert_eq!(world.phase() == Phase::Running, routed, "{fault:?}");
        }
        assert_eq!(world.phase(), Phase::Running, "{fault:?}");
    }
}

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
        // A host that does not answer for a moment, and then does: told until the instance is stable.
        world.faults.next("start", Some(Fault::LoseAnswer));
        world.until_running();
        assert!(world.rows()[0].observed.failure.is_some());
        let stubborn = Behavior {
            ignores_terminate: true,
            ..Behavior::default()
        };
        let id = world.rows()[0].id;
        world.backend.set_behavior(&world.host, id, stubborn);
        world.set_power(0, power);
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

#[test]
fn f15_a_server_that_dies_again_and_again_under_load_loses_nothing() {
    let mut world = World::new();
    let mut acknowledged = Vec::new();
    for who in 0..8 {
        // It dies every few calls, all the while.
        world.faults.at(world.faults.calls() + 7, Fault::HangAfter);
        for _ in 0..3 {
            if let Some(Ok(made)) = world.create(who, Some(&format!("k{who}"))) {
                acknowledged.push(made.view.tenant.id);
            }
        }
        world
            .faults
            .at(world.faults.calls() + 11, Fault::HangBefore);
        world.rounds(2, SECOND);
    }
    world.faults.stop();
    for _ in 0..20 {
        world.rounds(1, LEASE_AND_MORE);
    }
    let rows = world.rows();
    for id in acknowledged {
        assert!(rows.iter().any(|row| row.id == id), "{id} was acknowledged");
    }
    assert_eq!(rows.len(), 8);
    assert_eq!(world.backend.processes().len(), 8);
    assert_eq!(world.backend.most_writers(), 1);
}

#[test]
fn f16_a_lost_commit_answer_is_an_error_and_the_key_finds_the_row() {
    let mut world = World::new();
    world.faults.next("create", Some(Fault::LoseAnswer));
    let lost = world.create(0, Some("k")).unwrap();
    assert!(matches!(lost, Err(TenancyError::Store(_))), "{lost:?}");
    let again = world.create(0, Some("k")).unwrap().unwrap();
    assert!(again.replayed);
    assert_eq!(world.rows().len(), 1);
    // While the database is away nothing is lost, and what runs goes on.
    world.until_running();
    for method in ["claim_tenants", "claim_hosts"] {
        for _ in 0..5 {
            world.faults.next(method, Some(Fault::Fail));
        }
    }
    world.rounds(5, SECOND);
    assert_eq!(world.backend.processes().len(), 1);
    world.until_running();
}

#[test]
fn f17_a_settlement_the_database_refused_is_made_by_the_next_claim() {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    world.faults.next("settle", Some(Fault::Fail));
    world.until_running();
    // The next claim begins with what the engine shows: nothing is there twice.
    assert_eq!(world.backend.processes().len(), 1);
    assert_eq!(world.backend.most_writers(), 1);
    assert_eq!(world.objects().len(), 4);
    // The container of the lost settlement is adopted: nothing is made anew.
    assert_eq!(world.backend.processes()[0].generation.0, 1);
}

#[test]
fn f18_a_worker_whose_store_is_slower_than_its_lease_changes_nothing() {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    world.faults.next("settle", Some(Fault::Delay(SECOND * 90)));
    world.rounds(1, SECOND);
    world.set_power(0, Power::Suspended);
    // The other worker takes over; then the first one's settlement arrives.
    world.rounds(10, LEASE_AND_MORE);
    assert_eq!(world.phase(), Phase::Suspended);
    assert_eq!(world.backend.processes(), []);
    assert_eq!(world.backend.most_writers(), 1);
}

#[test]
fn f25_a_clock_that_jumps_by_an_hour_takes_nothing_from_anybody() {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    world.until_running();
    let before = (world.backend.processes(), world.objects());
    world.clock.advance(Duration::from_secs(3600));
    world.rounds(5, SECOND);
    assert_eq!(world.phase(), Phase::Running);
    assert_eq!((world.backend.processes(), world.objects()), before);
}

#[test]
fn f25_a_clock_that_is_set_back_by_an_hour_keeps_nobody_waiting() {
    let mut world = World::new();
    let made = world.create(0, None).unwrap().unwrap();
    world.until_running();
    world.rounds(2, SECOND * 150);
    let before = (world.backend.processes(), world.objects());
    world.clock.set_back(Duration::from_secs(3600));
    world.rounds(5, SECOND);
    assert_eq!(world.phase(), Phase::Running);
    assert_eq!((world.backend.processes(), world.objects()), before);
    // What happens now is seen now, and not in an hour.
    world.backend.crash(&world.host, made.view.tenant.id, 1);
    let ended = world.now();
    world.round_when(|phase| *phase != Phase::Running);
    let again = world.round_when(|phase| *phase == Phase::Running);
    let took = again.since(ended);
    assert!(took <= Duration::from_secs(60), "{took:?}");
    assert_eq!(world.backend.processes().len(), 1);
}

#[test]
fn f28_an_end_that_nobody_told_of_is_found_by_the_next_list() {
    let mut world = World::new();
    let made = world.create(0, None).unwrap().unwrap();
    world.until_running();
    world.rounds(2, SECOND * 150);
    // No event comes of it: events are hints, and here all are lost.
    world.backend.crash(&world.host, made.view.tenant.id, 1);
    let ended = world.now();
    world.round_when(|phase| *phase != Phase::Running);
    let again = world.round_when(|phase| *phase == Phase::Running);
    let took = again.since(ended);
    assert!(took <= Duration::from_secs(30), "{took:?}");
    assert_eq!(world.backend.processes().len(), 1);
    // A foreign container that appears meanwhile is nobody's business.
    let foreign = world.backend.add_foreign(
        &world.host,
        Role::Instance,
        "somebody",
        &std::collections::BTreeMap::new(),
    );
    world.rounds(5, SECOND * 60);
    assert!(world.backend.is_as_added(&world.host, &foreign.unwrap()));
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
