//! Hosts: their labels, their markers, and the subnets that they have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::backend::ContainerBackend as _;
use openclaw_tenancy::container::ObjectSpec;
use openclaw_tenancy::host::{HostFacts, HostState};
use openclaw_tenancy::id::{DeploymentId, HostId};
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::memory::Reachable;
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::status::{Phase, status};
use openclaw_tenancy::{CreateRequest, Tenancy, TenancyError};

use super::{SECOND, phase, running};
use crate::support::{IMAGE, World};

/// A network of somebody else's that appeared in the pool since the host was looked at.
#[tokio::test]
async fn f31_a_subnet_that_is_in_use_is_given_back_for_another() {
    let world = World::new().await;
    let pool = world.tenancy.context().blueprint.subnets;
    let somebody = [3, 0].map(|n| openclaw_tenancy::store::rules::nth_subnet(pool, n).unwrap());
    for subnet in somebody {
        world.backend.add_foreign_network(&world.host, subnet);
    }
    let tenant = running(&world).await;
    let location = tenant.observed.location().unwrap();
    let expected = openclaw_tenancy::store::rules::nth_subnet(pool, 1);
    assert_eq!(Some(location.subnet), expected);
    let networks = world.backend.names(&world.host);
    let networks = networks.iter().filter(|name| name.ends_with("-network"));
    assert_eq!(networks.count(), 1);
}

/// What no scheduler sees is told as well: here every subnet is in use on the host.
#[tokio::test]
async fn f31_who_waits_is_told_that_the_pool_is_used_up() {
    let world = World::new().await;
    let pool = world.tenancy.context().blueprint.subnets;
    world.backend.add_foreign_network(&world.host, pool);
    world.hosts_pass().await;
    world.clock.advance(SECOND * 30);
    world.hosts_pass().await;
    let ada = world.account("ada").await;
    let request = CreateRequest::default();
    world.tenancy.create(&ada, request, None).await.unwrap();
    world.pass().await;
    let tenants = world.tenancy.store().list(None, 1).await.unwrap().tenants;
    assert_eq!(phase(&world, &tenants), Phase::Queued);
    let message = status(&tenants[0], world.tenancy.deadlines()).message;
    let expected = format!(
        "no host has room: host h1: the host takes no new instances: every subnet of {pool} is in use"
    );
    assert_eq!(message, Some(expected));
}

/// Swap that an operator adds, or takes away, while the host runs is seen a little later: Free runs then, or does not any
/// more. What cannot be measured stays as it was.
#[tokio::test]
async fn swap_is_measured_again_while_the_host_runs() {
    let world = World::new().await;
    let pace = world.tenancy.context().pace.swap;
    let ask = async |name: &str| {
        let request = CreateRequest {
            plan: Some("free".to_owned()),
            ..CreateRequest::default()
        };
        let account = world.account(name).await;
        world.tenancy.create(&account, request, None).await
    };
    let swap = async || {
        world.tenancy.hosts().await.unwrap()[0]
            .facts
            .clone()
            .unwrap()
            .swap
    };
    let later = async |by: Duration| {
        world.clock.advance(by);
        world.hosts_pass().await;
    };
    assert_eq!(swap().await, Some(Bytes(0)));
    let refused = ask("ada").await.unwrap_err();
    assert!(matches!(refused, TenancyError::PlanBelowImageFloor { .. }));

    let set = |swap| {
        let change = |facts: &mut HostFacts| facts.swap = Some(swap);
        world.backend.set_facts(&world.host, change);
    };
    set(Bytes::gib(8));
    later(pace - SECOND).await;
    assert_eq!(
        swap().await,
        Some(Bytes(0)),
        "it is a container's run each time"
    );
    later(SECOND * 5).await;
    assert_eq!(swap().await, Some(Bytes::gib(8)));
    ask("ada").await.unwrap();

    set(Bytes(0));
    world.backend.remove_image(&world.host, IMAGE);
    later(pace + SECOND).await;
    assert_eq!(swap().await, Some(Bytes::gib(8)), "nothing can be run now");
    world.backend.add_image(&world.host, IMAGE);
    later(SECOND * 5).await;
    assert_eq!(
        swap().await,
        Some(Bytes::gib(8)),
        "nor is it tried all the time"
    );
    later(pace).await;
    assert_eq!(swap().await, Some(Bytes(0)));
    ask("bob").await.unwrap_err();
}

/// Why a host does not answer stands at the host, the cause included. Whoever waits for room is told no engine's words.
#[tokio::test]
async fn f21_why_a_host_does_not_answer_is_told_to_its_operator() {
    let world = World::new().await;
    world.hosts_pass().await;
    world.backend.set_reachable(&world.host, Reachable::No);
    world.clock.advance(SECOND * 30);
    world.hosts_pass().await;
    let host = world.tenancy.hosts().await.unwrap().remove(0);
    let HostState::Unreachable { reason, .. } = &host.state else {
        panic!("{host:?}");
    };
    let expected =
        "the engine of host h1 did not answer: connect: the engine in memory is out of reach";
    assert_eq!(reason, expected);

    let ada = world.account("ada").await;
    let request = CreateRequest::default();
    world.tenancy.create(&ada, request, None).await.unwrap();
    world.pass().await;
    let tenants = world.tenancy.store().list(None, 1).await.unwrap().tenants;
    let message = status(&tenants[0], world.tenancy.deadlines()).message;
    let expected = "no host has room: host h1: the host takes no new instances: unreachable";
    assert_eq!(message.as_deref(), Some(expected));
}

/// Two ids for one engine, or a clone: the newcomer takes no part, and what is there is not touched.
#[tokio::test]
async fn f23_a_host_with_the_marker_of_another_is_quarantined() {
    let world = World::new().await;
    let tenant = running(&world).await;
    let hosts = async || world.tenancy.hosts().await.unwrap();
    let marker = hosts().await.remove(0).marker.unwrap();
    let twin = HostId::new("h2").unwrap();
    let backend = world.backend.clone().with_host(twin.clone(), IMAGE);
    let spec = ObjectSpec::HostMarker {
        marker: marker.clone(),
    };
    backend.create(&twin, &spec).await.unwrap();
    world.tenancy.register_hosts().await.unwrap();
    for _ in 0..3 {
        world.hosts_pass().await;
        world.clock.advance(SECOND * 30);
    }
    let found = hosts().await;
    assert_eq!(found[0].state, HostState::Ready);
    let HostState::Quarantined { reason, .. } = &found[1].state else {
        panic!("{:?}", found[1]);
    };
    assert!(
        reason.contains(&format!("{marker} is that of host h1")),
        "{reason}"
    );
    assert_eq!(found[1].marker, None);
    let names = backend.names(&twin);
    assert_eq!(names.len(), 1, "nothing but the marker: {names:?}");
    let tenants = world.until(3, SECOND, |_| false).await;
    assert_eq!(tenants[0].observed.location().unwrap().host, world.host);
    assert_eq!(tenants[0].id, tenant.id);
}

/// Labels are the operator's: who registers hosts without a word about them does not take them away.
#[tokio::test]
async fn hosts_are_registered_with_their_labels_and_keep_those_nobody_speaks_of() {
    let world = World::new().await;
    let labels = |zone: &str| BTreeMap::from([("zone".to_owned(), zone.to_owned())]);
    let stored = async || world.tenancy.hosts().await.unwrap().remove(0).labels;
    assert_eq!(stored().await, BTreeMap::new());
    let put = world
        .tenancy
        .store()
        .put_host(world.host.clone(), labels("a"));
    put.await.unwrap();
    world.tenancy.register_hosts().await.unwrap();
    assert_eq!(stored().await, labels("a"));

    for told in [labels("b"), BTreeMap::new(), labels("c")] {
        let again = Tenancy::builder()
            .backend(Arc::new(world.backend.clone()))
            .probe(Arc::new(world.backend.clone()))
            .store(Arc::clone(world.tenancy.store()))
            .deployment(DeploymentId::new("d1").unwrap())
            .origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
            .image(IMAGE, Bytes::gib(1))
            .host_labels(world.host.clone(), told.clone())
            .build()
            .unwrap();
        again.register_hosts().await.unwrap();
        assert_eq!(stored().await, told);
    }
}
