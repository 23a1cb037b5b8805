//! F32: what is not ours is neither seen nor touched, however much it looks like ours.

use openclaw_tenancy::backend::{BackendError, ContainerBackend as _, Scope, Signal};
use openclaw_tenancy::container::{EngineId, ObjectRef, ObjectSpec, VolumeRole};
use serde_json::{Value, json};
use test_support::engine::ScriptedEngine;

use super::{backend, bench};
use crate::common::{Tenancy, host, plan};

/// The labels of the tenant's own object as they stand on the engine.
fn copied_labels(engine: &ScriptedEngine, path: &str) -> Value {
    let made = engine
        .calls()
        .into_iter()
        .find(|call| call.path == path)
        .unwrap();
    made.body["Labels"].clone()
}

/// Foreign containers of every kind: without labels, with our prefix, with copied and with bent labels.
fn plant_containers(engine: &ScriptedEngine, tenancy: &Tenancy) -> Vec<String> {
    let ours = copied_labels(engine, "/containers/create");
    let mut bent = ours.clone();
    bent["io.openclaw-tenancy.generation"] = json!("2");
    let mut other_deployment = ours.clone();
    other_deployment["io.openclaw-tenancy.deployment"] = json!("elsewhere");
    let body = |labels: Value| json!({ "Image": "planted:1", "Labels": labels });
    let next = tenancy.name(&tenancy.instance(2, plan("free")));
    let mut world = engine.world();
    vec![
        world.plant_container("somebody", body(json!({}))),
        world.plant_container("oct-scripted-looks-like-ours", body(json!({}))),
        world.plant_container("a-copy", body(ours)),
        world.plant_container(&next, body(bent)),
        world.plant_container("another-deployment", body(other_deployment)),
    ]
}

#[tokio::test]
async fn f32_foreign_containers_are_not_listed_and_not_touched() {
    let (engine, tenancy) = bench().await;
    let ours = tenancy.created(plan("free")).await;
    let foreign = plant_containers(&engine, &tenancy);
    let before: Vec<String> = foreign
        .iter()
        .map(|id| engine.world().portrait(id))
        .collect();

    let seen = tenancy
        .backend
        .list(&tenancy.host, Scope::All)
        .await
        .unwrap();
    let ids: Vec<_> = seen.containers.iter().map(|c| &c.id).collect();
    assert_eq!(ids, [&ours]);

    for id in &foreign {
        let id = EngineId(id.clone());
        let backend = &tenancy.backend;
        assert_eq!(backend.inspect(&tenancy.host, &id).await.unwrap(), None);
        let refusals = [
            backend
                .remove(&tenancy.host, &ObjectRef::Container(id.clone()))
                .await,
            backend.start(&tenancy.host, &id).await,
            backend.signal(&tenancy.host, &id, Signal::Kill).await,
            backend.update(&tenancy.host, &id, &plan("free")).await,
            backend
                .put_files(&tenancy.host, &id, "/home/node/.openclaw", Vec::new())
                .await,
            backend
                .path_exists(&tenancy.host, &id, "/etc")
                .await
                .map(drop),
            backend
                .logs(&tenancy.host, &id, openclaw_tenancy::quantity::Bytes(100))
                .await
                .map(drop),
        ];
        for refusal in refusals {
            assert!(
                matches!(refusal, Err(BackendError::Foreign { .. })),
                "{refusal:?}"
            );
        }
    }
    let conflict = tenancy
        .make(&tenancy.instance(2, plan("free")))
        .await
        .unwrap_err();
    assert!(
        matches!(conflict, BackendError::Conflict { .. }),
        "{conflict:?}"
    );
    let after: Vec<String> = foreign
        .iter()
        .map(|id| engine.world().portrait(id))
        .collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn i01_no_container_is_made_beside_a_stranger_on_the_data_volume() {
    let (engine, tenancy) = bench().await;
    let first = tenancy.created(plan("free")).await;
    engine.world().rename_container(&first.0, "kept");
    let refused = tenancy.make(&tenancy.instance(2, plan("free"))).await;
    assert!(
        matches!(&refused, Err(BackendError::VolumeHeld { container, .. }) if container == "kept"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn f32_foreign_volumes_and_networks_are_not_touched() {
    let (engine, tenancy) = bench().await;
    let data = tenancy.name(&tenancy.volume(VolumeRole::Data));
    let network_name = tenancy.name(&tenancy.network());
    engine.world().plant_volume(&data, json!({}), Value::Null);
    let network = engine
        .world()
        .plant_network(&network_name, Some(super::SUBNET), json!({}));
    let portraits = || [&data, &network].map(|name| engine.world().portrait(name));
    let before = portraits();

    for spec in [tenancy.volume(VolumeRole::Data), tenancy.network()] {
        let conflict = tenancy.make(&spec).await.unwrap_err();
        assert!(
            matches!(conflict, BackendError::Conflict { .. }),
            "{spec:?}: {conflict:?}"
        );
    }
    for object in [
        ObjectRef::Volume(data.clone()),
        ObjectRef::Network(EngineId(network.clone())),
    ] {
        let foreign = tenancy.remove(&object).await.unwrap_err();
        assert!(
            matches!(foreign, BackendError::Foreign { .. }),
            "{object:?}: {foreign:?}"
        );
    }
    assert_eq!(
        tenancy
            .backend
            .list(&tenancy.host, Scope::All)
            .await
            .unwrap(),
        Default::default()
    );
    assert_eq!(before, portraits());
}

#[tokio::test]
async fn f32_a_container_is_not_made_on_what_is_not_ours() {
    let (engine, tenancy) = bench().await;
    tenancy.make(&tenancy.network()).await.unwrap();
    tenancy
        .make(&tenancy.volume(VolumeRole::Config))
        .await
        .unwrap();
    let data = tenancy.name(&tenancy.volume(VolumeRole::Data));
    let absent = tenancy
        .make(&tenancy.instance(1, plan("free")))
        .await
        .unwrap_err();
    assert!(
        matches!(absent, BackendError::NotFound { what: "volume" }),
        "{absent:?}"
    );
    assert!(
        !engine.world().volume_names().contains(&data),
        "the engine made a volume on the way"
    );
    engine.world().plant_volume(&data, json!({}), Value::Null);
    let foreign = tenancy
        .make(&tenancy.instance(1, plan("free")))
        .await
        .unwrap_err();
    assert!(
        matches!(foreign, BackendError::Conflict { .. }),
        "{foreign:?}"
    );
    assert!(engine.world().container_names().is_empty());
}

#[tokio::test]
async fn f4_another_spec_of_ours_under_the_same_name_is_busy() {
    let (engine, mut tenancy) = bench().await;
    tenancy.created(plan("free")).await;
    let before = engine
        .world()
        .portrait(&tenancy.name(&tenancy.instance(1, plan("free"))));
    // Limits change in place, so they are no other spec.
    assert!(
        tenancy
            .make(&tenancy.instance(1, plan("basic")))
            .await
            .unwrap()
            .adopted
    );
    tenancy.env.insert("TZ".into(), "Asia/Shanghai".into());
    let busy = tenancy
        .make(&tenancy.instance(1, plan("free")))
        .await
        .unwrap_err();
    assert!(matches!(busy, BackendError::Busy { .. }), "{busy:?}");
    assert_eq!(
        before,
        engine
            .world()
            .portrait(&tenancy.name(&tenancy.instance(1, plan("free"))))
    );
}

#[tokio::test]
async fn markers_are_told_by_their_mac() {
    let engine = ScriptedEngine::start().await.unwrap();
    let backend = backend(&engine);
    let marker = ObjectSpec::HostMarker {
        marker: "m1".to_owned(),
    };
    backend.create(&host(), &marker).await.unwrap();
    engine.world().plant_volume(
        "oct-scripted-host-m2",
        copied_labels(&engine, "/volumes/create"),
        Value::Null,
    );
    let facts = backend.host(&host()).await.unwrap();
    assert_eq!(facts.markers, ["m1"]);
}
