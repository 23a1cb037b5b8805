//! What instances are made from, and what becomes of that when the operator names another.

use std::sync::Arc;

use openclaw_tenancy::CreateRequest;
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::FailureReason;

use super::{SECOND, phase, running};
use crate::support::{IMAGE, World, tenancy};

/// The server begins again, and its instances are made from `image` now.
fn restart_with(world: &mut World, image: &str) {
    let store = Arc::clone(world.tenancy.store());
    world.tenancy = tenancy(&world.clock, &world.backend, store, image);
}

/// Nothing was made of a name that was wrong: whoever waits for it gets what the corrected one means.
#[tokio::test]
async fn an_image_that_is_not_pinned_is_the_one_of_now() {
    let mut world = World::new().await;
    world.backend.remove_image(&world.host, IMAGE);
    let ada = world.account("ada").await;
    let request = CreateRequest::default();
    world.tenancy.create(&ada, request, None).await.unwrap();
    let failed = |phase: &Phase| {
        let reason = FailureReason::Image;
        matches!(phase, Phase::Failed { reason: r, .. } if *r == reason)
    };
    let tenants = world.until(10, SECOND, |t| failed(&phase(&world, t))).await;
    assert!(failed(&phase(&world, &tenants)), "{tenants:?}");
    assert_eq!(tenants[0].desired.image.reference, IMAGE);

    world.backend.add_image(&world.host, "corrected");
    restart_with(&mut world, "corrected");
    let tenants = world
        .until(30, SECOND, |t| phase(&world, t) == Phase::Running)
        .await;
    assert_eq!(phase(&world, &tenants), Phase::Running);
    assert_eq!(tenants[0].desired.image.reference, "corrected");
    assert_eq!(tenants[0].revision.0, 1, "no wish of its owner's");
}

/// A container that is made anew has what the one before had, also where the operator names another image meanwhile.
#[tokio::test]
async fn an_image_that_is_pinned_stays() {
    let mut world = World::new().await;
    let tenant = running(&world).await;
    world.backend.add_image(&world.host, "newer");
    restart_with(&mut world, "newer");
    world.backend.cut_off(&world.host, tenant.id);
    let generation = tenant.observed.generation;
    let tenants = world
        .until(30, SECOND, |t| {
            t[0].observed.generation > generation && phase(&world, t) == Phase::Running
        })
        .await;
    assert_eq!(phase(&world, &tenants), Phase::Running);
    assert_eq!(tenants[0].observed.generation, generation.next());
    assert_eq!(tenants[0].desired.image, tenant.desired.image);
    assert_eq!(tenants[0].desired.image.reference, IMAGE);
}
