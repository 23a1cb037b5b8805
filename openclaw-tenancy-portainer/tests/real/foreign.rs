//! F32 on a real engine: foreign objects are the same before and after everything that is tried on them.

use openclaw_tenancy::backend::{BackendError, Scope, Signal};
use openclaw_tenancy::container::{EngineId, ObjectRef, VolumeRole};
use serde_json::{Value, json};

use crate::common::plan;
use crate::with_tenant;

#[tokio::test]
async fn f32_foreign_objects_are_identical_afterwards() {
    with_tenant(|engine, t| async move {
        let ours = t.created(plan("free")).await;
        let labels = engine.inspect(&ours.0).await["Config"]["Labels"].clone();
        let name = format!("somebody-{}", t.tenant.simple());
        // Our labels to the letter, on an object of another name: the MAC is over the name.
        let body = json!({ "Image": t.image.digest, "Labels": labels });
        let (_, made) = engine
            .raw("POST", &format!("/containers/create?name={name}"), body)
            .await;
        let id = made["Id"].as_str().unwrap().to_owned();
        engine
            .raw("POST", &format!("/containers/{id}/start"), Value::Null)
            .await;
        let volume = json!({ "Name": name, "Labels": labels });
        engine.raw("POST", "/volumes/create", volume).await;
        let subnet = crate::next_subnet();
        let network =
            json!({ "Name": name, "Labels": labels, "IPAM": { "Config": [{ "Subnet": subnet }] } });
        let (_, made) = engine.raw("POST", "/networks/create", network).await;
        let network = made["Id"].as_str().unwrap().to_owned();

        let look = || async {
            let mut container = engine.inspect(&id).await;
            // An exec leaves ids behind; nothing else may change.
            container["ExecIDs"] = Value::Null;
            let (_, volume) = engine
                .raw("GET", &format!("/volumes/{name}"), Value::Null)
                .await;
            let (_, network) = engine
                .raw("GET", &format!("/networks/{network}"), Value::Null)
                .await;
            [container, volume, network]
        };
        let before = look().await;
        let seen = t.backend.list(&t.host, Scope::All).await.unwrap();
        assert_eq!(
            (
                seen.containers.len(),
                seen.networks.len(),
                seen.volumes.len()
            ),
            (1, 1, 2)
        );

        let foreign = EngineId(id.clone());
        let refusals = [
            t.remove(&ObjectRef::Container(foreign.clone())).await,
            t.remove(&ObjectRef::Volume(name.clone())).await,
            t.remove(&ObjectRef::Network(EngineId(network.clone())))
                .await,
            t.start(&foreign).await,
            t.backend.signal(&t.host, &foreign, Signal::Kill).await,
            t.backend.update(&t.host, &foreign, &plan("basic")).await,
            t.backend
                .put_files(&t.host, &foreign, "/tmp", Vec::new())
                .await,
        ];
        let after = look().await;
        engine
            .raw("DELETE", &format!("/containers/{id}?force=1"), Value::Null)
            .await;
        engine
            .raw("DELETE", &format!("/volumes/{name}"), Value::Null)
            .await;
        engine
            .raw("DELETE", &format!("/networks/{network}"), Value::Null)
            .await;
        for refusal in refusals {
            assert!(
                matches!(refusal, Err(BackendError::Foreign { .. })),
                "{refusal:?}"
            );
        }
        assert_eq!(before, after);
    })
    .await;
}

/// A container that somebody renamed to look at it later is ours no more, and writes on.
#[tokio::test]
async fn i01_no_container_is_made_beside_a_stranger_on_the_data_volume() {
    with_tenant(|engine, t| async move {
        let first = t.created(plan("free")).await;
        t.start(&first).await.unwrap();
        let name = format!("kept-{}", t.tenant.simple());
        let path = format!("/containers/{}/rename?name={name}", first.0);
        engine.raw("POST", &path, Value::Null).await;
        let refused = t.make(&t.instance(2, plan("free"))).await;
        let seen = engine.inspect(&first.0).await["State"]["Running"].clone();
        let path = format!("/containers/{}?force=1", first.0);
        engine.raw("DELETE", &path, Value::Null).await;
        let Err(BackendError::VolumeHeld { volume, container }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(container, name);
        assert_eq!(volume, t.name(&t.volume(VolumeRole::Data)));
        assert_eq!(seen, true, "it was not touched");
        t.make(&t.instance(2, plan("free"))).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn f05_a_volume_of_ours_with_other_options_carries_no_container() {
    with_tenant(|engine, t| async move {
        t.ground().await;
        let data = t.name(&t.volume(VolumeRole::Data));
        let path = format!("/volumes/{data}");
        let (_, made) = engine.raw("GET", &path, Value::Null).await;
        t.remove(&ObjectRef::Volume(data.clone())).await.unwrap();
        // Ours by its labels, and lost at every stop.
        let other = json!({
            "Name": data, "Labels": made["Labels"],
            "DriverOpts": { "type": "tmpfs", "device": "tmpfs" },
        });
        let (status, answer) = engine.raw("POST", "/volumes/create", other).await;
        assert_eq!(status, 201, "{answer}");
        let (_, before) = engine.raw("GET", &path, Value::Null).await;
        for spec in [t.volume(VolumeRole::Data), t.instance(1, plan("free"))] {
            let refused = t.make(&spec).await.unwrap_err();
            assert!(
                matches!(refused, BackendError::StorageMismatch { .. }),
                "{refused:?}"
            );
        }
        let seen = t.backend.list(&t.host, Scope::All).await.unwrap();
        assert!(seen.containers.is_empty(), "{seen:?}");
        let (_, after) = engine.raw("GET", &path, Value::Null).await;
        assert_eq!(before, after);
    })
    .await;
}

#[tokio::test]
async fn f32_a_container_is_not_made_on_a_foreign_or_absent_volume() {
    with_tenant(|engine, t| async move {
        t.make(&t.network()).await.unwrap();
        t.make(&t.volume(VolumeRole::Config)).await.unwrap();
        let absent = t.make(&t.instance(1, plan("free"))).await.unwrap_err();
        assert!(
            matches!(absent, BackendError::NotFound { what: "volume" }),
            "{absent:?}"
        );
        let data = t.name(&t.volume(VolumeRole::Data));
        let (status, _) = engine
            .raw("GET", &format!("/volumes/{data}"), Value::Null)
            .await;
        assert_eq!(status, 404, "the engine made a volume on the way");
        engine
            .raw("POST", "/volumes/create", json!({ "Name": data }))
            .await;
        let outcomes = [
            t.make(&t.volume(VolumeRole::Data)).await,
            t.make(&t.instance(1, plan("free"))).await,
        ];
        engine
            .raw("DELETE", &format!("/volumes/{data}"), Value::Null)
            .await;
        for outcome in outcomes {
            assert!(
                matches!(outcome, Err(BackendError::Conflict { .. })),
                "{outcome:?}"
            );
        }
    })
    .await;
}
