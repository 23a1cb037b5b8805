//! Removing objects.

use super::BackendFixture;
use super::given::{Given, nobody};
use crate::backend::{BackendError, Scope};
use crate::container::{ObjectRef, VolumeRole};
use crate::labels::Role;

impl Given {
    async fn remove(&self, object: &ObjectRef) -> Result<(), BackendError> {
        self.backend.remove(&self.host, object).await
    }
}

/// Removes everything of the tenant's, in the reconciler's order.
pub(super) async fn clear(given: &Given) {
    let seen = given.list(Scope::Tenant(given.tenant)).await;
    let containers = seen
        .containers
        .into_iter()
        .map(|c| ObjectRef::Container(c.id));
    let networks = seen.networks.into_iter().map(|n| ObjectRef::Network(n.id));
    let volumes = seen.volumes.into_iter().map(|v| ObjectRef::Volume(v.name));
    for object in containers.chain(networks).chain(volumes) {
        let removed = given.remove(&object).await;
        removed.expect("nothing uses it any more");
    }
}

/// Absent already is success, for what was there and for what never was.
pub(super) async fn remove_again_is_success(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let network = given.ground().await;
    let container = given.make(&given.instance(1)).await.id;
    for object in [
        ObjectRef::Container(container),
        ObjectRef::Network(network),
        ObjectRef::Volume(given.name(&given.volume(VolumeRole::Data))),
        ObjectRef::Volume(given.name(&given.volume(VolumeRole::Config))),
        ObjectRef::Container(nobody()),
        ObjectRef::Network(nobody()),
    ] {
        for _ in 0..2 {
            let removed = given.remove(&object).await;
            removed.unwrap_or_else(|error| panic!("{object:?}: {error:?}"));
        }
    }
    let left = given.list(Scope::All).await;
    assert_eq!(left, crate::container::Inventory::default());
}

/// What is foreign is refused and stays as it is.
pub(super) async fn remove_refuses_what_is_foreign(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    for (role, spec) in [
        (Role::Data, given.volume(VolumeRole::Data)),
        (Role::Network, given.network()),
        (Role::Instance, given.instance(1)),
    ] {
        let planted = fixture.plant(role, &given.name(&spec)).await;
        let answer = given.remove(&planted).await;
        assert!(
            matches!(answer, Err(BackendError::Foreign { .. })),
            "{planted:?}: {answer:?}"
        );
        assert!(fixture.untouched(&planted).await, "{planted:?}");
    }
}

/// A container goes, its volumes do not.
pub(super) async fn remove_of_a_container_keeps_its_volumes(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.created().await;
    let before = given.list(Scope::All).await;
    let removed = given.remove(&ObjectRef::Container(id)).await;
    removed.expect("nothing uses it");
    let after = given.list(Scope::All).await;
    assert_eq!(after.containers, []);
    assert_eq!(after.volumes, before.volumes);
    assert_eq!(after.networks, before.networks);
}

/// A container that runs is ended and removed.
pub(super) async fn remove_ends_what_runs(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.running().await;
    let removed = given.remove(&ObjectRef::Container(id.clone())).await;
    removed.expect("what runs is ended first");
    let seen = given.backend.inspect(&given.host, &id).await;
    assert_eq!(seen.expect("the engine answers"), None);
    // Nothing holds what it used.
    clear(&given).await;
}

/// While a container has a volume it stays, with what is in it.
pub(super) async fn remove_refuses_a_volume_in_use(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    given.created().await;
    let before = given.list(Scope::All).await;
    for role in [VolumeRole::Data, VolumeRole::Config] {
        let name = given.name(&given.volume(role));
        let answer = given.remove(&ObjectRef::Volume(name)).await;
        assert!(
            matches!(answer, Err(BackendError::Busy { .. })),
            "{answer:?}"
        );
    }
    assert_eq!(given.list(Scope::All).await, before);
}
