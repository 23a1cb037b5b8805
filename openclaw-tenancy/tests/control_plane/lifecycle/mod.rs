//! An instance's whole life on the in-memory backends: the thinnest path through all parts of the core.

mod hosts;
mod image;

use std::time::Duration;

use crate::support::World;
use openclaw_tenancy::event::{Event, EventKind};
use openclaw_tenancy::memory::{Behavior, StartOutcome};
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::tenant::{FailureReason, HoldReason, Power, Tenant};
use openclaw_tenancy::{CreateRequest, TenancyError};

const SECOND: Duration = Duration::from_secs(1);

fn phase(world: &World, tenants: &[Tenant]) -> Phase {
    status(&tenants[0], world.tenancy.deadlines()).phase
}

async fn running(world: &World) -> Tenant {
    let ada = world.account("ada").await;
    world
        .tenancy
        .create(&ada, CreateRequest::default(), None)
        .await
        .unwrap();
    let tenants = world
        .until(10, SECOND, |t| phase(world, t) == Phase::Running)
        .await;
    assert_eq!(phase(world, &tenants), Phase::Running);
    tenants.into_iter().next().unwrap()
}

#[tokio::test]
async fn created_opened_suspended_resumed_and_deleted() {
    let world = World::new().await;
    let tenant = running(&world).await;
    assert_eq!(world.backend.processes().len(), 1);
    let route = world.tenancy.route(&tenant);
    assert_eq!(route.owner, tenant.owner);
    assert!(route.upstream.is_some());

    world
        .tenancy
        .set_power(tenant.owner, Power::Suspended)
        .await
        .unwrap();
    let tenants = world
        .until(10, SECOND, |t| phase(&world, t) == Phase::Suspended)
        .await;
    assert_eq!(phase(&world, &tenants), Phase::Suspended);
    assert_eq!(world.backend.processes(), []);

    world
        .tenancy
        .set_power(tenant.owner, Power::Running)
        .await
        .unwrap();
    let tenants = world
        .until(10, SECOND, |t| phase(&world, t) == Phase::Running)
        .await;
    assert_eq!(phase(&world, &tenants), Phase::Running);

    world
        .tenancy
        .set_power(tenant.owner, Power::Deleted)
        .await
        .unwrap();
    let tenants = world.until(10, SECOND, <[Tenant]>::is_empty).await;
    assert_eq!(tenants, []);
    let left = world.backend.names(&world.host);
    assert!(
        left.iter().all(|name| name.starts_with("oct-d1-host-")),
        "{left:?}"
    );
    assert_eq!(world.backend.most_writers(), 1);
}

#[tokio::test]
async fn an_instance_out_of_memory_says_so_and_is_tried_again() {
    let world = World::new().await;
    let ada = world.account("ada").await;
    let made = world
        .tenancy
        .create(&ada, CreateRequest::default(), None)
        .await
        .unwrap();
    let oom = Behavior {
        runs_out_of_memory: true,
        ..Behavior::default()
    };
    world
        .backend
        .set_behavior(&world.host, made.view.tenant.id, oom);
    let failed = |t: &[Tenant]| matches!(phase(&world, t), Phase::Failed { attempts: 3, .. });
    let tenants = world.until(60, SECOND, failed).await;
    assert!(matches!(
        phase(&world, &tenants),
        Phase::Failed {
            reason: FailureReason::OutOfMemory,
            attempts: 3,
            ..
        }
    ));
    world
        .backend
        .set_behavior(&world.host, made.view.tenant.id, Behavior::default());
    let tenants = world
        .until(60, SECOND, |t| phase(&world, t) == Phase::Running)
        .await;
    assert_eq!(phase(&world, &tenants), Phase::Running);
}

#[tokio::test]
async fn f07_a_child_out_of_memory_is_told_once_and_names_the_end_that_follows() {
    let world = World::new().await;
    let ada = world.account("ada").await;
    let made = world
        .tenancy
        .create(&ada, CreateRequest::default(), None)
        .await
        .unwrap();
    let id = made.view.tenant.id;
    let running = |t: &[Tenant]| phase(&world, t) == Phase::Running;
    world.until(60, SECOND, running).await;
    let told = async || {
        let events = world
            .tenancy
            .store()
            .events(Some(id), 0, 1000)
            .await
            .unwrap();
        let kind = |event: &&Event| event.event.kind == EventKind::OutOfMemory;
        events.iter().filter(kind).count()
    };
    for kill in 1..=2 {
        world.backend.kill_child(&world.host, id);
        // Far longer than it takes to look again: told once, and the instance runs on.
        for _ in 0..20 {
            let tenants = world.until(1, 30 * SECOND, |_| false).await;
            assert_eq!(phase(&world, &tenants), Phase::Running);
        }
        assert_eq!(told().await, kill);
    }
    world.backend.crash(&world.host, id, 1);
    let failed = |t: &[Tenant]| matches!(phase(&world, t), Phase::Failed { .. });
    let crashed = world.until(120, SECOND, failed).await;
    assert!(
        matches!(
            phase(&world, &crashed),
            Phase::Failed {
                reason: FailureReason::Crashed,
                ..
            }
        ),
        "the kill was long ago"
    );
    world.until(120, SECOND, running).await;
    world.backend.kill_child(&world.host, id);
    world.backend.crash(&world.host, id, 1);
    let named = world.until(120, SECOND, failed).await;
    assert!(matches!(
        phase(&world, &named),
        Phase::Failed {
            reason: FailureReason::OutOfMemory,
            ..
        }
    ));
    assert_eq!(told().await, 3);
}

#[tokio::test]
async fn exit_78_holds_until_the_owner_restarts() {
    let world = World::new().await;
    let ada = world.account("ada").await;
    let made = world
        .tenancy
        .create(&ada, CreateRequest::default(), None)
        .await
        .unwrap();
    let broken = Behavior {
        exits: Some(78),
        ..Behavior::default()
    };
    world
        .backend
        .set_behavior(&world.host, made.view.tenant.id, broken);
    let tenants = world
        .until(60, SECOND, |t| t[0].observed.hold.is_some())
        .await;
    assert_eq!(
        phase(&world, &tenants),
        Phase::Held {
            reason: HoldReason::Configuration
        }
    );
    world
        .backend
        .set_behavior(&world.host, made.view.tenant.id, Behavior::default());
    world.tenancy.restart(ada.id).await.unwrap();
    let tenants = world
        .until(60, SECOND, |t| phase(&world, t) == Phase::Running)
        .await;
    assert_eq!(phase(&world, &tenants), Phase::Running);
}

#[tokio::test]
async fn f06_a_ghost_is_named_and_nothing_else_gets_its_volume() {
    let world = World::new().await;
    let ada = world.account("ada").await;
    world
        .backend
        .set_next_start(&world.host, Some(StartOutcome::Ghost));
    world
        .tenancy
        .create(&ada, CreateRequest::default(), None)
        .await
        .unwrap();
    let tenants = world
        .until(20, SECOND, |t| t[0].observed.hold.is_some())
        .await;
    let hold = tenants[0].observed.hold.as_ref().unwrap();
    assert_eq!(hold.reason, HoldReason::GhostSuspected);
    assert!(hold.message.contains("h1"), "{}", hold.message);
    // Not even a deletion goes on while a process may live unseen.
    world
        .tenancy
        .set_power(ada.id, Power::Deleted)
        .await
        .unwrap();
    world.until(20, SECOND, <[Tenant]>::is_empty).await;
    assert_eq!(world.backend.processes().len(), 1);
    assert_eq!(world.backend.most_writers(), 1);

    world.backend.end_ghosts(&world.host);
    world.tenancy.release(tenants[0].id).await.unwrap();
    let tenants = world.until(30, SECOND, <[Tenant]>::is_empty).await;
    assert_eq!(tenants, []);
    assert_eq!(world.backend.most_writers(), 1);
}

#[tokio::test]
async fn f06_a_container_that_can_never_start_is_made_anew() {
    let world = World::new().await;
    let ada = world.account("ada").await;
    world
        .backend
        .set_next_start(&world.host, Some(StartOutcome::Broken));
    world
        .tenancy
        .create(&ada, CreateRequest::default(), None)
        .await
        .unwrap();
    let tenants = world
        .until(30, SECOND, |t| phase(&world, t) == Phase::Running)
        .await;
    assert_eq!(phase(&world, &tenants), Phase::Running);
    assert!(tenants[0].observed.locations[0].generation.0 > 1);
    assert_eq!(world.backend.processes().len(), 1);
}

#[tokio::test]
async fn a_plan_that_fits_no_host_is_refused_with_the_figures() {
    let world = World::new().await;
    world
        .backend
        .set_facts(&world.host, |facts| facts.cpu.0 = 2000);
    world.clock.advance(Duration::from_secs(10));
    world.hosts_pass().await;
    let mut ada = world.account("ada").await;
    ada.rights.plan = Some("enterprise".parse().unwrap());
    let ask = |plan: &str| CreateRequest {
        plan: Some(plan.to_owned()),
        ..CreateRequest::default()
    };
    let error = world
        .tenancy
        .create(&ada, ask("enterprise"), None)
        .await
        .unwrap_err();
    assert!(matches!(error, TenancyError::PlanDoesNotFit { .. }));
    assert_eq!(
        error.to_string(),
        "plan `enterprise` fits no host: host h1: 4 CPU for one instance, the host has 2 CPU"
    );
    // No swap on the host: 512 MiB do not carry the image.
    let error = world
        .tenancy
        .create(&ada, ask("free"), None)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "plan `free` gives 512 MiB of memory and swap together, the image needs 1 GiB; choose a larger plan, or add swap to the host"
    );
}

/// It runs and nobody reaches it, and the engine would not let it join again: a new container takes its place.
#[tokio::test]
async fn an_instance_that_was_cut_off_from_its_network_is_replaced() {
    let world = World::new().await;
    let tenant = running(&world).await;
    world.backend.cut_off(&world.host, tenant.id);
    let tenants = world
        .until(10, SECOND, |t| phase(&world, t) != Phase::Running)
        .await;
    let Phase::Failed { reason, .. } = phase(&world, &tenants) else {
        panic!("{tenants:?}")
    };
    assert_eq!(reason, FailureReason::Engine);
    let tenants = world
        .until(20, SECOND, |t| phase(&world, t) == Phase::Running)
        .await;
    assert_eq!(phase(&world, &tenants), Phase::Running);
    let before = tenant.observed.location().unwrap().generation;
    let location = tenants[0].observed.location().unwrap();
    assert_eq!(location.generation, before.next());
    let at = openclaw_tenancy::container::instance_address(location.subnet).into();
    let occupant = world.backend.occupant(&world.host, at);
    assert_eq!(occupant, Some((tenant.id, location.generation)));
    assert_eq!(world.backend.most_writers(), 1);
}

/// Nobody is led to it, since another's may be there next; it goes on once its address is its own again.
#[tokio::test]
async fn an_instance_with_another_address_than_it_was_given_is_held_and_not_routed() {
    let world = World::new().await;
    let tenant = running(&world).await;
    let own =
        openclaw_tenancy::container::instance_address(tenant.observed.location().unwrap().subnet);
    let other = "10.99.0.2".parse().unwrap();
    world.backend.readdress(&world.host, tenant.id, other);
    let held = |tenants: &[Tenant]| matches!(phase(&world, tenants), Phase::Held { .. });
    let tenants = world.until(700, SECOND, held).await;
    assert_eq!(
        phase(&world, &tenants),
        Phase::Held {
            reason: HoldReason::Conflict
        }
    );
    let message = status(&tenants[0], world.tenancy.deadlines()).message;
    assert!(
        message
            .unwrap()
            .contains("another address than it was given")
    );
    assert_eq!(world.tenancy.route(&tenants[0]).upstream, None);

    // Released and not put right, it is held again.
    world.tenancy.release(tenant.id).await.unwrap();
    let tenants = world.until(5, SECOND, held).await;
    assert!(held(&tenants), "{tenants:?}");
    world.backend.readdress(&world.host, tenant.id, own);
    world.tenancy.release(tenant.id).await.unwrap();
    let runs = |tenants: &[Tenant]| phase(&world, tenants) == Phase::Running;
    let tenants = world.until(20, SECOND, runs).await;
    assert!(world.tenancy.route(&tenants[0]).upstream.is_some());
}

/// It is said so and left alone; it is ready again once it goes on, and it can be deleted meanwhile.
#[tokio::test]
async fn a_paused_instance_is_said_so_and_left_alone_until_it_goes_on_or_goes() {
    let world = World::new().await;
    let tenant = running(&world).await;
    let before = world.backend.processes();
    world.backend.pause(&world.host, tenant.id);
    let tenants = world
        .until(10, SECOND, |t| phase(&world, t) != Phase::Running)
        .await;
    let message = &tenants[0].observed.failure.as_ref().unwrap().message;
    assert!(message.contains("is paused"), "{message}");
    assert_eq!(world.tenancy.route(&tenants[0]).upstream, None);
    world.until(100, SECOND, |_| false).await;
    assert_eq!(world.backend.processes(), before);
    world.backend.unpause(&world.host, tenant.id);
    let tenants = world
        .until(20, SECOND, |t| phase(&world, t) == Phase::Running)
        .await;
    assert_eq!(phase(&world, &tenants), Phase::Running);
    assert_eq!(world.backend.processes(), before);

    world.backend.pause(&world.host, tenant.id);
    world
        .until(10, SECOND, |t| phase(&world, t) != Phase::Running)
        .await;
    let gone = world.tenancy.set_power(tenant.owner, Power::Deleted).await;
    gone.unwrap();
    let tenants = world.until(60, SECOND, <[Tenant]>::is_empty).await;
    assert_eq!(tenants, []);
    assert_eq!(world.backend.processes(), []);
}
