//! Looking: hosts, lists, inspection and images.

use super::BackendFixture;
use super::given::{Given, LIMITS, nobody};
use crate::backend::{BackendError, Scope};
use crate::container::{AppliedLimits, EngineId, Image, ObjectRef, RunState, VolumeRole};
use crate::id::{Generation, HostId};
use crate::labels::Role;
use crate::quantity::{Bytes, MilliCpus};

/// The fixture's host is among the hosts.
pub(super) async fn hosts_lists_the_host(fixture: &dyn BackendFixture) {
    let hosts = fixture.backend().hosts().await.expect("hosts are known");
    assert!(hosts.contains(&fixture.host()), "{hosts:?}");
}

/// Processors, memory and the engine's version are told.
pub(super) async fn host_says_what_it_has(fixture: &dyn BackendFixture) {
    let facts = fixture.backend().host(&fixture.host()).await;
    let facts = facts.expect("the engine answers");
    assert!(facts.cpu >= MilliCpus(1), "{facts:?}");
    assert!(facts.memory >= Bytes::mib(1), "{facts:?}");
    assert_ne!(facts.engine_version, "");
}

/// A call for a host that is not configured says so, and which.
pub(super) async fn a_host_that_is_not_configured_is_named(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let elsewhere = HostId::new("not-configured-anywhere").expect("a label");
    let backend = &given.backend;
    let answers = [
        backend.host(&elsewhere).await.map(drop),
        backend.list(&elsewhere, Scope::All).await.map(drop),
        backend.inspect(&elsewhere, &nobody()).await.map(drop),
        backend.create(&elsewhere, &given.network()).await.map(drop),
        backend.start(&elsewhere, &nobody()).await,
    ];
    for answer in answers {
        assert!(
            matches!(&answer, Err(BackendError::UnknownHost { host }) if *host == elsewhere),
            "{answer:?}"
        );
    }
}

/// What measuring made is gone afterwards, also when it is done again.
pub(super) async fn measure_swap_leaves_nothing_behind(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let before = given.list(Scope::All).await;
    let measure = || given.backend.measure_swap(&given.host, &given.image);
    let first = measure().await.expect("the image runs");
    let second = measure().await.expect("the image runs");
    assert_eq!(first, second, "the host's swap has not changed");
    assert_eq!(given.list(Scope::All).await, before);
}

/// Containers, volumes, networks and the marker, with their ids, names and labels.
pub(super) async fn list_shows_everything_of_ours(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let network = given.ground().await;
    let container = given.make(&given.instance(1)).await.id;
    let marker = marker();
    given.make(&marker).await;

    let seen = given.list(Scope::All).await;
    let [only] = seen.containers.as_slice() else {
        panic!("one container was made: {seen:?}")
    };
    assert_eq!(only.id, container);
    assert_eq!(only.name, given.name(&given.instance(1)));
    assert_eq!(only.labels, given.instance(1).labels());
    let [only] = seen.networks.as_slice() else {
        panic!("one network was made: {seen:?}")
    };
    assert_eq!(only.id, network);
    assert_eq!(only.name, given.name(&given.network()));
    assert_eq!(only.labels, given.network().labels());
    assert_eq!(only.subnet, Some(given.subnet));
    for spec in [
        given.volume(VolumeRole::Data),
        given.volume(VolumeRole::Config),
        marker,
    ] {
        let name = given.name(&spec);
        let volume = seen.volumes.iter().find(|volume| volume.name == name);
        let volume = volume.unwrap_or_else(|| panic!("{name} is not in {seen:?}"));
        assert_eq!(volume.labels, spec.labels());
    }
    assert_eq!(seen.volumes.len(), 3);
}

fn marker() -> crate::container::ObjectSpec {
    crate::container::ObjectSpec::HostMarker {
        marker: "kit".to_owned(),
    }
}

/// Another tenant's objects and the host's own are not in the list of one tenant.
pub(super) async fn list_of_a_tenant_shows_only_its_own(fixture: &dyn BackendFixture) {
    let (given, other) = (Given::new(fixture), Given::new(fixture));
    given.created().await;
    other.make(&other.volume(VolumeRole::Data)).await;
    given.make(&marker()).await;
    let seen = given.list(Scope::Tenant(given.tenant)).await;
    assert_eq!(
        (
            seen.containers.len(),
            seen.volumes.len(),
            seen.networks.len()
        ),
        (1, 2, 1),
        "{seen:?}"
    );
    let others = given.list(Scope::Tenant(other.tenant)).await;
    let names: Vec<_> = others.volumes.iter().map(|volume| &volume.name).collect();
    assert_eq!(names, [&other.name(&other.volume(VolumeRole::Data))]);
}

/// What is foreign is in no list, however much its name looks like ours.
pub(super) async fn list_shows_only_ours(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    for (role, spec) in [
        (Role::Data, given.volume(VolumeRole::Data)),
        (Role::Network, given.network()),
        (Role::Instance, given.instance(1)),
    ] {
        fixture.plant(role, &given.name(&spec)).await;
    }
    given.make(&given.volume(VolumeRole::Config)).await;
    for scope in [Scope::All, Scope::Tenant(given.tenant)] {
        let seen = given.list(scope).await;
        assert_eq!(seen.containers, []);
        assert_eq!(seen.networks, []);
        let names: Vec<_> = seen.volumes.iter().map(|volume| &volume.name).collect();
        assert_eq!(names, [&given.name(&given.volume(VolumeRole::Config))]);
    }
}

/// Absent is a value, no error.
pub(super) async fn inspect_of_what_is_not_there_is_none(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let seen = given.backend.inspect(&given.host, &nobody()).await;
    assert_eq!(seen.expect("the engine answers"), None);
}

/// A foreign container is not shown.
pub(super) async fn inspect_of_what_is_foreign_is_none(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = plant_container(fixture, &given).await;
    let seen = given.backend.inspect(&given.host, &id).await;
    assert_eq!(seen.expect("the engine answers"), None);
}

pub(super) async fn plant_container(fixture: &dyn BackendFixture, given: &Given) -> EngineId {
    let planted = fixture
        .plant(Role::Instance, &given.name(&given.instance(1)))
        .await;
    match planted {
        ObjectRef::Container(id) => id,
        ObjectRef::Volume(_) | ObjectRef::Network(_) => panic!("a container was asked for"),
    }
}

/// Name, labels, state and the limits that the engine holds.
pub(super) async fn inspect_shows_what_was_asked_for(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    given.ground().await;
    let id = given.make(&given.instance(7)).await.id;
    let seen = given.look(&id).await;
    assert_eq!(seen.seen.id, id);
    assert_eq!(seen.seen.name, given.name(&given.instance(7)));
    assert_eq!(seen.seen.labels, given.instance(7).labels());
    assert_eq!(seen.seen.labels.generation, Generation(7));
    assert_eq!(seen.state, RunState::Created);
    assert_eq!(seen.limits, AppliedLimits::from(LIMITS));
    assert_eq!(seen.seen.address, None);
}

/// An image without a digest gets the one to pin.
pub(super) async fn prepare_pins_the_digest(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let unpinned = Image {
        digest: None,
        ..given.image.clone()
    };
    let prepared = given.backend.prepare(&given.host, &unpinned).await;
    assert_eq!(prepared.expect("it is on the host").image, given.image);
}

/// Present already is success, with the same answer.
pub(super) async fn prepare_again_gives_the_same(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let prepare = || given.backend.prepare(&given.host, &given.image);
    let first = prepare().await.expect("it is on the host");
    assert_eq!(prepare().await.expect("it is on the host"), first);
    assert!(first.size >= Bytes(1), "{first:?}");
}

/// An image that no registry gives is missing, by its reference.
pub(super) async fn prepare_refuses_an_image_that_is_not_to_be_had(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let missing = Image {
        reference: fixture.missing_image(),
        digest: None,
    };
    let answer = given.backend.prepare(&given.host, &missing).await;
    assert!(
        matches!(&answer, Err(BackendError::ImageMissing { reference, .. })
            if *reference == missing.reference),
        "{answer:?}"
    );
}

/// Content that is not the pinned one is never taken for it.
pub(super) async fn prepare_refuses_another_digest(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let other = Image {
        digest: Some(format!("sha256:{}", "0".repeat(64))),
        ..given.image.clone()
    };
    let answer = given.backend.prepare(&given.host, &other).await;
    assert!(
        matches!(
            answer,
            Err(BackendError::ImageMissing { .. } | BackendError::Refused { .. })
        ),
        "{answer:?}"
    );
}

/// An image that is being pulled is neither there nor missing: it is said which one comes, and asking again may help.
pub(super) async fn prepare_says_that_an_image_is_on_its_way(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let Some(reference) = fixture.image_on_its_way().await else {
        println!("skipped: the fixture has no image that is on its way");
        return;
    };
    let coming = Image {
        reference,
        digest: None,
    };
    for _ in 0..2 {
        let answer = given.backend.prepare(&given.host, &coming).await;
        assert!(
            matches!(&answer, Err(error @ BackendError::Pulling { host, reference })
                if *host == given.host && *reference == coming.reference
                    && error.retry() == crate::error::Retry::Backoff),
            "{answer:?}"
        );
    }
}

/// A process that was killed for memory is told although the container runs on.
pub(super) async fn inspect_tells_of_a_child_killed_for_memory(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.running().await;
    assert_eq!(given.look(&id).await.oom_kills, []);
    if !fixture.kill_child_for_memory(&id).await {
        println!("skipped: the fixture kills no child for memory");
        return;
    }
    let seen = given.until(&id, "tell of the kill", |seen| !seen.oom_kills.is_empty());
    let seen = seen.await;
    assert!(matches!(seen.state, RunState::Running { .. }), "{seen:?}");
    assert!(seen.oom_kills.is_sorted(), "{seen:?}");
}
