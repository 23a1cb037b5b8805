//! F4 on a real engine: one name, many makers.

use openclaw_tenancy::backend::{BackendError, Scope};
use openclaw_tenancy::container::{ObjectRef, VolumeRole};
use serde_json::{Value, json};

use crate::common::plan;
use crate::with_tenant;

#[tokio::test]
async fn f4_eight_creates_of_one_object_make_one() {
    with_tenant(|_, t| async move {
        for spec in [
            t.network(),
            t.volume(VolumeRole::Data),
            t.volume(VolumeRole::Config),
            t.instance(1, plan("free")),
        ] {
            let makers = (0..8).map(|_| t.make(&spec));
            let mut ids = Vec::new();
            for made in futures::future::join_all(makers).await {
                match made {
                    Ok(made) => ids.push(made.id),
                    // The engine has the name or the subnet and not yet the object: told to come again.
                    Err(BackendError::Busy { .. } | BackendError::SubnetTaken { .. }) => {}
                    Err(other) => panic!("{spec:?}: {other:?}"),
                }
            }
            ids.push(t.make(&spec).await.unwrap().id);
            ids.dedup();
            assert_eq!(ids.len(), 1, "{spec:?}: {ids:?}");
        }
        let seen = t
            .backend
            .list(&t.host, Scope::Tenant(t.tenant))
            .await
            .unwrap();
        assert_eq!(
            (
                seen.containers.len(),
                seen.networks.len(),
                seen.volumes.len()
            ),
            (1, 1, 2)
        );
    })
    .await;
}

#[tokio::test]
async fn another_spec_of_ours_is_busy() {
    with_tenant(|_, t| async move {
        t.created(plan("free")).await;
        assert!(
            t.make(&t.instance(1, plan("basic"))).await.unwrap().adopted,
            "limits are no other spec"
        );
        let mut spec = t.instance_spec(1, plan("free"));
        spec.env.insert("TZ".into(), "Asia/Shanghai".into());
        let spec = openclaw_tenancy::container::ObjectSpec::Instance(Box::new(spec));
        let busy = t.make(&spec).await.unwrap_err();
        assert!(matches!(busy, BackendError::Busy { .. }), "{busy:?}");
    })
    .await;
}

/// Between the backend's look at a volume and its create anybody may remove it, so the engine itself must refuse.
#[tokio::test]
async fn the_engine_makes_no_volume_on_the_way() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        let (_, made) = engine
            .raw("GET", &format!("/containers/{}/json", id.0), Value::Null)
            .await;
        let body = json!({
            "Image": made["Config"]["Image"],
            "HostConfig": { "Mounts": made["HostConfig"]["Mounts"] },
        });
        assert_eq!(body["HostConfig"]["Mounts"].as_array().unwrap().len(), 2);
        t.remove(&ObjectRef::Container(id)).await.unwrap();
        for role in [VolumeRole::Data, VolumeRole::Config] {
            let name = t.name(&t.volume(role));
            t.remove(&ObjectRef::Volume(name.clone())).await.unwrap();
            let (status, said) = engine.raw("POST", "/containers/create", body.clone()).await;
            assert_eq!(status, 400, "{said}");
            let (status, said) = engine
                .raw("GET", &format!("/volumes/{name}"), Value::Null)
                .await;
            assert_eq!(status, 404, "{said}");
            t.make(&t.volume(role)).await.unwrap();
        }
        t.make(&t.instance(2, plan("free"))).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn f31_a_subnet_in_use_is_named() {
    with_tenant(|_, t| async move {
        t.make(&t.network()).await.unwrap();
        let mut spec = openclaw_tenancy::container::NetworkSpec {
            tenant: t.tenant,
            subnet: t.subnet,
        };
        spec.tenant = openclaw_tenancy::id::TenantId::generate(
            &openclaw_tenancy::clock::SystemClock,
            &openclaw_tenancy::clock::SystemEntropy,
        );
        let refused = t
            .make(&openclaw_tenancy::container::ObjectSpec::Network(spec))
            .await
            .unwrap_err();
        assert!(
            matches!(refused, BackendError::SubnetTaken { .. }),
            "{refused:?}"
        );
    })
    .await;
}
