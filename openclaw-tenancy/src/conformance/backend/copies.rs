//! Labels copied from ours: they are for one name, so that what carries them under another is foreign.

use super::BackendFixture;
use super::given::Given;
use crate::backend::{BackendError, Scope};
use crate::container::{EngineId, Inventory, ObjectRef, ObjectSpec, VolumeRole};

/// Copies of a tenant's objects, each under a name that the backend itself would give another.
struct Copies {
    /// The next generation's name.
    container: EngineId,
    /// A container, a network, a volume.
    all: [ObjectRef; 3],
}

impl Copies {
    async fn plant(fixture: &dyn BackendFixture, given: &Given, other: &Given) -> Self {
        let next = given.name(&given.instance(2));
        let container = fixture.plant_copy(&next, &given.instance(1)).await;
        let ObjectRef::Container(id) = &container else {
            panic!("a container was asked for, not {container:?}")
        };
        let id = id.clone();
        let name = other.name(&other.network());
        let network = fixture.plant_copy(&name, &given.network()).await;
        let name = other.name(&other.volume(VolumeRole::Data));
        let ours = given.volume(VolumeRole::Data);
        let volume = fixture.plant_copy(&name, &ours).await;
        Self {
            container: id,
            all: [container, network, volume],
        }
    }
}

fn marker(marker: &str) -> ObjectSpec {
    let marker = marker.to_owned();
    ObjectSpec::HostMarker { marker }
}

/// What has labels of ours to the letter, and another name, is in no list, is not shown, and marks no host.
pub(super) async fn list_shows_no_copies(fixture: &dyn BackendFixture) {
    let (given, other) = (Given::new(fixture), Given::new(fixture));
    given.created().await;
    given.make(&marker("kit")).await;
    let before = given.list(Scope::All).await;
    let own = given.list(Scope::Tenant(given.tenant)).await;

    let copies = Copies::plant(fixture, &given, &other).await;
    let elsewhere = given.name(&marker("elsewhere"));
    fixture.plant_copy(&elsewhere, &marker("kit")).await;

    assert_eq!(given.list(Scope::All).await, before);
    assert_eq!(given.list(Scope::Tenant(given.tenant)).await, own);
    let others = given.list(Scope::Tenant(other.tenant)).await;
    assert_eq!(others, Inventory::default());
    let seen = given.backend.inspect(&given.host, &copies.container).await;
    assert_eq!(seen.expect("the engine answers"), None);
    let facts = given.backend.host(&given.host).await;
    assert_eq!(facts.expect("the engine answers").markers, ["kit"]);
}

/// No call acts on such a copy or takes it for what is asked for; each says why.
pub(super) async fn calls_to_a_copy_change_nothing(fixture: &dyn BackendFixture) {
    let (given, other) = (Given::new(fixture), Given::new(fixture));
    given.created().await;
    let copies = Copies::plant(fixture, &given, &other).await;
    for copy in &copies.all {
        let answer = given.backend.remove(&given.host, copy).await;
        assert!(
            matches!(answer, Err(BackendError::Foreign { .. })),
            "{copy:?}: {answer:?}"
        );
    }
    given.assert_foreign(&copies.container).await;
    for spec in [given.instance(2), other.volume(VolumeRole::Data)] {
        let answer = given.backend.create(&given.host, &spec).await;
        assert!(
            matches!(answer, Err(BackendError::Conflict { .. })),
            "{spec:?}: {answer:?}"
        );
    }
    for copy in &copies.all {
        assert!(fixture.untouched(copy).await, "{copy:?}");
    }
}
