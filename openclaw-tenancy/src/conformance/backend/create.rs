//! Making objects.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::BackendFixture;
use super::given::{Given, LIMITS};
use crate::backend::{BackendError, Scope};
use crate::conformance::race::race;
use crate::container::{
    Image, InstanceSpec, NetworkSpec, ObjectRef, ObjectSpec, RunState, VolumeRole,
};
use crate::labels::Role;
use crate::plan::Limits;
use crate::quantity::MilliCpus;

/// A container is made, and does not run.
pub(super) async fn create_starts_nothing(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    given.ground().await;
    let made = given.make(&given.instance(1)).await;
    assert!(!made.adopted);
    assert_eq!(given.look(&made.id).await.state, RunState::Created);
    assert!(!given.list(Scope::All).await.containers[0].running);
}

/// The same spec again gives what is there; so do other limits, which change in place.
pub(super) async fn create_adopts_the_same_spec(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let marker = ObjectSpec::HostMarker {
        marker: "kit".to_owned(),
    };
    for spec in [
        given.volume(VolumeRole::Data),
        given.volume(VolumeRole::Config),
        given.network(),
        given.instance(1),
        marker,
    ] {
        let first = given.make(&spec).await;
        assert!(!first.adopted, "{spec:?}");
        let again = given.make(&spec).await;
        assert!(again.adopted, "{spec:?}");
        assert_eq!(again.id, first.id, "{spec:?}");
    }
    let other_limits = ObjectSpec::Instance(Box::new(InstanceSpec {
        limits: Limits {
            cpu: MilliCpus(500),
            ..LIMITS
        },
        ..given.spec(1)
    }));
    assert!(given.make(&other_limits).await.adopted);
    let seen = given.list(Scope::All).await;
    assert_eq!((seen.containers.len(), seen.networks.len()), (1, 1));
}

/// Another spec under the same name is not taken for the one that is asked for, and stays as it is.
pub(super) async fn create_adopts_no_other_spec(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    given.created().await;
    let before = given.list(Scope::All).await;
    for spec in others(&given) {
        let answer = given.backend.create(&given.host, &spec).await;
        assert!(answer.is_err(), "{spec:?}: {answer:?}");
    }
    assert_eq!(given.list(Scope::All).await, before);
}

/// A name that another of ours has is busy, no conflict: what a worker that is gone asked for lands late. Once it is
/// removed, the one that is asked for is made.
pub(super) async fn create_is_busy_where_another_of_ours_stands(fixture: &dyn BackendFixture) {
    for which in [0, 1] {
        let given = Given::new(fixture);
        let spec = others(&given)[which].clone();
        let late = match spec {
            ObjectSpec::Network(_) => ObjectRef::Network(given.make(&given.network()).await.id),
            _ => ObjectRef::Container(given.created().await),
        };
        let answer = given.backend.create(&given.host, &spec).await;
        let wanted = given.name(&spec);
        assert!(
            matches!(&answer, Err(BackendError::Busy { name }) if *name == wanted),
            "{spec:?}: {answer:?}"
        );
        let removed = given.backend.remove(&given.host, &late).await;
        removed.expect("it is ours, and nothing uses it");
        assert!(!given.make(&spec).await.adopted, "{spec:?}");
        // The subnet is needed again.
        super::remove::clear(&given).await;
    }
}

/// The network and the container, each under its name and with another spec.
fn others(given: &Given) -> [ObjectSpec; 2] {
    let mut other = given.spec(1);
    let zone = ("TZ".to_owned(), "Asia/Shanghai".to_owned());
    other.env.extend([zone]);
    let network = NetworkSpec {
        tenant: given.tenant,
        subnet: another(given.subnet),
    };
    [
        ObjectSpec::Network(network),
        ObjectSpec::Instance(Box::new(other)),
    ]
}

/// A subnet of the same size that is not this one.
fn another(subnet: ipnet::Ipv4Net) -> ipnet::Ipv4Net {
    let network = std::net::Ipv4Addr::from(u32::from(subnet.network()) ^ (1 << 20));
    ipnet::Ipv4Net::new_assert(network, subnet.prefix_len())
}

async fn assert_conflict(given: &Given, spec: &ObjectSpec) {
    let answer = given.backend.create(&given.host, spec).await;
    let wanted = given.name(spec);
    assert!(
        matches!(&answer, Err(BackendError::Conflict { name }) if *name == wanted),
        "{spec:?}: {answer:?}"
    );
}

/// A name that something foreign has is a conflict, and the foreign object stays as it is.
pub(super) async fn create_conflicts_with_what_is_foreign(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    for (role, spec) in [
        (Role::Data, given.volume(VolumeRole::Data)),
        (Role::Network, given.network()),
    ] {
        let planted = fixture.plant(role, &given.name(&spec)).await;
        assert_conflict(&given, &spec).await;
        assert!(fixture.untouched(&planted).await, "{planted:?}");
    }
    let other = Given::new(fixture);
    other.ground().await;
    let planted = fixture
        .plant(Role::Instance, &other.name(&other.instance(1)))
        .await;
    assert_conflict(&other, &other.instance(1)).await;
    assert!(fixture.untouched(&planted).await, "{planted:?}");
}

/// No engine call makes a volume on the way: without one there is no container.
pub(super) async fn create_of_a_container_needs_its_volumes(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    given.make(&given.network()).await;
    given.make(&given.volume(VolumeRole::Config)).await;
    let answer = given.backend.create(&given.host, &given.instance(1)).await;
    assert!(
        matches!(answer, Err(BackendError::NotFound { .. })),
        "{answer:?}"
    );
    let seen = given.list(Scope::All).await;
    assert_eq!(seen.containers, []);
    assert_eq!(seen.volumes.len(), 1, "{seen:?}");
}

/// Without its network there is no container.
pub(super) async fn create_of_a_container_needs_its_network(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    given.make(&given.volume(VolumeRole::Data)).await;
    given.make(&given.volume(VolumeRole::Config)).await;
    let answer = given.backend.create(&given.host, &given.instance(1)).await;
    assert!(
        matches!(answer, Err(BackendError::NotFound { .. })),
        "{answer:?}"
    );
    assert_eq!(given.list(Scope::All).await.containers, []);
}

/// I1: no second writer. Where a stranger's container mounts the data volume, none is made beside it.
pub(super) async fn create_makes_no_container_beside_a_stranger_on_its_data(
    fixture: &dyn BackendFixture,
) {
    let given = Given::new(fixture);
    given.ground().await;
    let data = given.name(&given.volume(VolumeRole::Data));
    let stranger = fixture.plant_on(&data).await;
    let answer = given.backend.create(&given.host, &given.instance(1)).await;
    assert!(
        matches!(&answer, Err(BackendError::VolumeHeld { volume, .. }) if *volume == data),
        "{answer:?}"
    );
    assert_eq!(given.list(Scope::All).await.containers, []);
    assert!(fixture.untouched(&stranger).await, "{stranger:?}");
}

/// A container of an image that is not on the host is not made, and nothing is pulled on the way.
pub(super) async fn create_refuses_an_image_that_is_not_there(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    given.ground().await;
    let spec = ObjectSpec::Instance(Box::new(InstanceSpec {
        image: Image {
            reference: fixture.missing_image(),
            digest: Some(format!("sha256:{}", "0".repeat(64))),
        },
        ..given.spec(1)
    }));
    let answer = given.backend.create(&given.host, &spec).await;
    assert!(
        matches!(answer, Err(BackendError::ImageMissing { .. })),
        "{answer:?}"
    );
    assert_eq!(given.list(Scope::All).await.containers, []);
}

/// A subnet that another network holds makes no second one, and the host's own answer names it.
pub(super) async fn create_refuses_a_subnet_in_use(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let facts = given.backend.host(&given.host).await;
    let before = facts.expect("the engine answers").subnets;
    assert!(!before.contains(&given.subnet), "{before:?}");
    given.make(&given.network()).await;
    let facts = given.backend.host(&given.host).await;
    let now = facts.expect("the engine answers").subnets;
    assert!(now.contains(&given.subnet), "{now:?}");
    let somebody = ObjectSpec::Network(NetworkSpec {
        tenant: Given::new(fixture).tenant,
        subnet: given.subnet,
    });
    let answer = given.backend.create(&given.host, &somebody).await;
    assert!(
        matches!(&answer, Err(BackendError::SubnetTaken { subnet, .. }) if *subnet == given.subnet),
        "{answer:?}"
    );
    assert_eq!(given.list(Scope::All).await.networks.len(), 1);
}

/// The host's own answer names the markers on it.
pub(super) async fn create_marks_the_host(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let markers = || async {
        let facts = given.backend.host(&given.host).await;
        facts.expect("the engine answers").markers
    };
    assert_eq!(markers().await, [""; 0]);
    let marker = "kit".to_owned();
    given.make(&ObjectSpec::HostMarker { marker }).await;
    assert_eq!(markers().await, ["kit"]);
}

/// Of many that make one container at once, one makes it and the others adopt it.
pub(super) async fn concurrent_creates_make_one_container(fixture: &dyn BackendFixture) {
    let given = Arc::new(Given::new(fixture));
    given.ground().await;
    let answers = race(|_| {
        let given = Arc::clone(&given);
        async move { given.make(&given.instance(1)).await }
    })
    .await;
    let made = answers.iter().filter(|made| !made.adopted).count();
    assert_eq!(made, 1, "{answers:?}");
    assert!(answers.iter().all(|made| made.id == answers[0].id));
    assert_eq!(given.list(Scope::All).await.containers.len(), 1);
}

/// However far a call came that was dropped, the next comes to what it would have come to.
pub(super) async fn dropped_create_is_adopted_by_the_next(fixture: &dyn BackendFixture) {
    for after in CUTS {
        let given = Given::new(fixture);
        given.ground().await;
        let spec = given.instance(1);
        cut(given.backend.create(&given.host, &spec), after).await;
        let made = given.make(&spec).await;
        let seen = given.list(Scope::Tenant(given.tenant)).await;
        let [only] = seen.containers.as_slice() else {
            panic!("cut after {after:?}: {seen:?}")
        };
        assert_eq!(only.id, made.id);
        assert_eq!(only.labels, spec.labels());
        // The subnet is needed again.
        super::remove::clear(&given).await;
    }
}

/// How long a call that is dropped is let go on: not beyond its first wait, and somewhat longer.
pub(super) const CUTS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(4),
    Duration::from_millis(16),
];

/// Lets a call go on for a while, and drops it.
pub(super) async fn cut<T>(call: impl Future<Output = T> + Send, after: Duration) {
    let mut call = std::pin::pin!(call);
    if after.is_zero() {
        let _dropped = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    } else {
        let _dropped = tokio::time::timeout(after, call).await;
    }
}

/// A volume with other options is not taken for the one that is asked for: what it holds, and how much, is unknown.
pub(super) async fn create_refuses_a_volume_with_other_options(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let spec = given.volume(VolumeRole::Data);
    if !fixture.volume_with_other_options(&spec).await {
        println!("skipped: the fixture makes no volume with other options");
        return;
    }
    let before = given.list(Scope::All).await;
    let wanted = given.name(&spec);
    for _ in 0..2 {
        let answer = given.backend.create(&given.host, &spec).await;
        assert!(
            matches!(&answer, Err(BackendError::StorageMismatch { name }) if *name == wanted),
            "{answer:?}"
        );
    }
    assert_eq!(given.list(Scope::All).await, before);
}
