//! Servers, stores and clocks that fail, and ends that nobody told of.

use std::time::Duration;

use openclaw_tenancy::TenancyError;
use openclaw_tenancy::labels::Role;
use openclaw_tenancy::memory::{Fault, Reachable};
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::tenant::Power;

use crate::faulty::{LEASE_AND_MORE, SECOND, World};

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

/// What waited for it does not wait on for minutes once it answers.
#[test]
fn f21_a_host_that_is_back_is_asked_at_once() {
    let mut world = World::new();
    world.create(0, None).unwrap().unwrap();
    world.until_running();
    world.backend.set_reachable(&world.host, Reachable::No);
    world.set_power(0, Power::Deleted);
    // Long enough that the next try is minutes away.
    world.rounds(60, SECOND * 20);
    let failure = world.rows().remove(0).observed.failure.unwrap();
    let wait = failure.retry_at.since(world.now());
    assert!(wait > SECOND * 60, "{wait:?}");
    world.backend.set_reachable(&world.host, Reachable::Yes);
    let back = world.now();
    while !world.rows().is_empty() {
        world.rounds(1, SECOND);
        let took = world.now().since(back);
        assert!(took < SECOND * 60, "{took:?}: {:?}", world.rows());
    }
}

#[test]
fn f21_what_is_wanted_of_a_running_instance_whose_host_is_silent_is_told_as_that() {
    let mut world = World::new();
    let made = world.create(0, None).unwrap().unwrap();
    world.until_running();
    world.backend.set_reachable(&world.host, Reachable::No);
    world.restart(0);
    world.round_when(|phase| matches!(phase, Phase::HostLost { .. }));
    let row = world.rows().remove(0);
    let told = status(&row, world.tenancy.deadlines());
    assert!(
        told.message
            .is_some_and(|why| why.contains("did not answer"))
    );
    // Whether it runs is not known; that it has an address is.
    assert!(world.tenancy.route(&row).upstream.is_some());

    world.backend.set_reachable(&world.host, Reachable::Yes);
    world.until_running();
    let row = world.rows().remove(0);
    assert_eq!(row.id, made.view.tenant.id);
    assert_eq!(row.observed.failure, None, "it has answered");
    assert_eq!(row.desired.restart_epoch, 1);
}
