//! F4 on a real engine: one name, many makers.

use openclaw_tenancy::backend::{BackendError, Scope};
use openclaw_tenancy::container::VolumeRole;

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
