//! F10: removing, in any order of failures.

use openclaw_tenancy::backend::{BackendError, Scope};
use openclaw_tenancy::container::{EngineId, ObjectRef, VolumeRole};
use test_support::engine::{Fault, Rule};

use super::bench;
use crate::common::plan;

#[tokio::test]
async fn f10_each_removal_is_success_when_it_took_place_already() {
    let (engine, tenancy) = bench().await;
    let container = tenancy.created(plan("free")).await;
    tenancy.start(&container).await.unwrap();
    let network = tenancy.make(&tenancy.network()).await.unwrap().id;
    let data = tenancy.name(&tenancy.volume(VolumeRole::Data));
    let config = tenancy.name(&tenancy.volume(VolumeRole::Config));
    for (path, object) in [
        ("/containers/*", ObjectRef::Container(container)),
        ("/networks/*", ObjectRef::Network(network)),
        ("/volumes/*", ObjectRef::Volume(config)),
        ("/volumes/*", ObjectRef::Volume(data)),
    ] {
        engine.on(Rule::call("DELETE", path).fault(Fault::LoseAnswer));
        let lost = tenancy.remove(&object).await.unwrap_err();
        assert!(lost.may_have_happened(), "{object:?}: {lost}");
        tenancy.remove(&object).await.unwrap();
        tenancy.remove(&object).await.unwrap();
    }
    let seen = tenancy
        .backend
        .list(&tenancy.host, Scope::All)
        .await
        .unwrap();
    assert_eq!(seen, Default::default());
    assert!(engine.world().processes().is_empty());
}

#[tokio::test]
async fn f10_what_is_in_use_is_busy_and_stays() {
    let (engine, tenancy) = bench().await;
    let container = tenancy.created(plan("free")).await;
    tenancy.start(&container).await.unwrap();
    let network = tenancy.make(&tenancy.network()).await.unwrap().id;
    let data = tenancy.name(&tenancy.volume(VolumeRole::Data));
    for object in [ObjectRef::Network(network), ObjectRef::Volume(data.clone())] {
        let busy = tenancy.remove(&object).await.unwrap_err();
        assert!(
            matches!(busy, BackendError::Busy { .. }),
            "{object:?}: {busy:?}"
        );
    }
    assert!(engine.world().volume_names().contains(&data));
}

#[tokio::test]
async fn f10_a_volume_with_active_mounts_is_busy_and_another_removal_under_way_too() {
    let (engine, tenancy) = bench().await;
    let container = tenancy.created(plan("free")).await;
    for (path, status, message, object) in [
        (
            "/containers/*",
            409,
            "removal of container 0f is already in progress",
            ObjectRef::Container(container),
        ),
        (
            "/volumes/*",
            500,
            "remove x: volume has active mounts",
            ObjectRef::Volume(tenancy.name(&tenancy.volume(VolumeRole::Data))),
        ),
    ] {
        engine.on(Rule::call("DELETE", path).fault(Fault::Refuse {
            status,
            message: message.into(),
        }));
        let busy = tenancy.remove(&object).await.unwrap_err();
        assert!(matches!(busy, BackendError::Busy { .. }), "{busy:?}");
    }
}

#[tokio::test]
async fn named_volumes_outlive_their_container() {
    let (engine, tenancy) = bench().await;
    let container = tenancy.created(plan("free")).await;
    tenancy
        .remove(&ObjectRef::Container(container))
        .await
        .unwrap();
    assert_eq!(engine.world().volume_names().len(), 2);
}

#[tokio::test]
async fn nothing_is_done_by_a_short_id_or_a_name() {
    let (engine, tenancy) = bench().await;
    let container = tenancy.created(plan("free")).await;
    let calls = engine.calls().len();
    let name = tenancy.name(&tenancy.instance(1, plan("free")));
    for id in [
        container.0[..12].to_owned(),
        name,
        String::new(),
        "0".repeat(65),
        container.0.to_uppercase(),
    ] {
        let id = EngineId(id);
        for object in [
            ObjectRef::Container(id.clone()),
            ObjectRef::Network(id.clone()),
        ] {
            let refused = tenancy.remove(&object).await.unwrap_err();
            assert!(
                matches!(refused, BackendError::Refused { .. }),
                "{id}: {refused:?}"
            );
        }
        assert!(tenancy.start(&id).await.is_err(), "{id}");
        assert!(
            tenancy.backend.inspect(&tenancy.host, &id).await.is_err(),
            "{id}"
        );
    }
    assert_eq!(engine.calls().len(), calls, "the engine was asked");
}
