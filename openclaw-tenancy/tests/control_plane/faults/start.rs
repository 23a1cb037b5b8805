//! An instance that is started: lost starts, crash loops, what is never ready, what dies when it is.

use std::time::Duration;

use openclaw_tenancy::memory::{Behavior, Fault, StartOutcome};
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::{FailureReason, HoldReason};

use crate::faulty::{LEASE_AND_MORE, SECOND, World};

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
