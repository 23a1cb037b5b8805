//! F5, F29, F31 and others: what an engine refuses, and what that means.

use openclaw_tenancy::backend::BackendError;
use openclaw_tenancy::container::VolumeRole;
use openclaw_tenancy::error::Retry;
use serde_json::{Value, json};
use test_support::engine::{Fault, Rule};

use super::bench;
use crate::common::{plan, told};

#[tokio::test]
async fn f5_a_volume_with_other_options_is_refused_and_never_mounted() {
    let (engine, tenancy) = bench().await;
    tenancy.ground().await;
    let data = tenancy.name(&tenancy.volume(VolumeRole::Data));
    let labels = engine
        .calls()
        .into_iter()
        .find(|call| call.path == "/volumes/create" && call.body["Name"] == *data)
        .unwrap()
        .body["Labels"]
        .clone();
    tenancy
        .remove(&openclaw_tenancy::container::ObjectRef::Volume(
            data.clone(),
        ))
        .await
        .unwrap();
    // A bind of the host in a volume's clothes, with our own labels.
    engine.world().plant_volume(
        &data,
        labels,
        json!({ "type": "none", "o": "bind", "device": "/" }),
    );
    for spec in [
        tenancy.volume(VolumeRole::Data),
        tenancy.instance(1, plan("free")),
    ] {
        let refused = tenancy.make(&spec).await.unwrap_err();
        assert!(
            matches!(refused, BackendError::StorageMismatch { .. }),
            "{refused:?}"
        );
        assert_eq!(refused.retry(), Retry::Never);
    }
    assert!(engine.world().container_names().is_empty());
}

#[tokio::test]
async fn a_volume_that_goes_before_the_create_is_not_made_by_it() {
    for role in [VolumeRole::Data, VolumeRole::Config] {
        let (engine, tenancy) = bench().await;
        tenancy.ground().await;
        let gone = tenancy.name(&tenancy.volume(role));
        let fault = Fault::VolumeGone(gone.clone());
        engine.on(Rule::call("POST", "/containers/create").fault(fault));
        let instance = tenancy.instance(1, plan("free"));
        let refused = tenancy.make(&instance).await.unwrap_err();
        assert!(
            matches!(refused, BackendError::NotFound { what: "volume" }),
            "{refused:?}"
        );
        assert!(!engine.world().volume_names().contains(&gone));
        assert!(engine.world().container_names().is_empty());
        tenancy.make(&tenancy.volume(role)).await.unwrap();
        tenancy.make(&instance).await.unwrap();
    }
}

#[tokio::test]
async fn f29_a_full_disk_is_said_so() {
    let (engine, tenancy) = bench().await;
    tenancy.ground().await;
    let full = Fault::Refuse {
        status: 500,
        message: "mkdir /var/lib/docker/overlay2/0f: no space left on device".into(),
    };
    engine.on(Rule::call("POST", "/containers/create").fault(full));
    let refused = tenancy
        .make(&tenancy.instance(1, plan("free")))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, BackendError::NoSpace { .. }),
        "{refused:?}"
    );
    assert_eq!(refused.retry(), Retry::Backoff);
}

#[tokio::test]
async fn f31_a_subnet_in_use_is_named() {
    let (engine, tenancy) = bench().await;
    let _ = engine
        .world()
        .plant_network("somebody", Some("10.88.0.0/24"), Value::Null);
    let refused = tenancy.make(&tenancy.network()).await.unwrap_err();
    assert!(
        matches!(refused, BackendError::SubnetTaken { .. }),
        "{refused:?}"
    );
    assert_eq!(engine.world().network_names(), ["somebody"]);
}

#[tokio::test]
async fn f04_a_subnet_held_by_a_bridge_that_is_not_listed_is_a_subnet_in_use() {
    let (engine, tenancy) = bench().await;
    // The words of Docker Engine 20.10.24 after a kill while it made the other network.
    let kept = Fault::Refuse {
        status: 403,
        message: "cannot create network 5b19 (br-5b19): conflicts with network eff0 (br-eff0): networks have \
                  overlapping IPv4"
            .into(),
    };
    engine.on(Rule::call("POST", "/networks/create").fault(kept));
    let refused = tenancy.make(&tenancy.network()).await.unwrap_err();
    assert!(
        matches!(refused, BackendError::SubnetTaken { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_plan_above_the_host_is_refused_with_the_engines_own_figures() {
    let (_engine, tenancy) = bench().await;
    tenancy.ground().await;
    let refused = tenancy
        .make(&tenancy.instance(1, plan("enterprise")))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, BackendError::Refused { status: 400, .. }),
        "{refused:?}"
    );
    assert!(told(&refused).contains("only 2 CPUs"), "{}", told(&refused));
    assert!(
        !refused.to_string().contains("CPUs available"),
        "the engine's words stand in the error itself"
    );
}

#[tokio::test]
async fn an_image_that_went_is_named() {
    let (engine, tenancy) = bench().await;
    tenancy.ground().await;
    engine.world().drop_image(super::IMAGE);
    let refused = tenancy
        .make(&tenancy.instance(1, plan("free")))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, BackendError::ImageMissing { reference, .. } if reference == super::IMAGE),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let (_engine, tenancy) = bench().await;
    let host = openclaw_tenancy::id::HostId::new("elsewhere").unwrap();
    let refused = tenancy.backend.host(&host).await.unwrap_err();
    assert!(
        matches!(refused, BackendError::UnknownHost { .. }),
        "{refused:?}"
    );
}
