//! The Docker backend against a real engine.
//!
//! `TENANCY_TEST_DOCKER_HOST` names it (`unix:///var/run/docker.sock`) and `TENANCY_TEST_IMAGE` an image on
//! it with a shell. Without them the tests are skipped, unless `TENANCY_TEST_REQUIRE` says `docker` or `all`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod adoption;
mod containment;
mod engine;
mod files;
mod foreign;
mod lifecycle;
mod limits;
mod mutual_tls;
mod own;
mod plans;
mod reach;
mod syscalls;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use openclaw_tenancy::backend::Scope;
use openclaw_tenancy::container::{EngineId, ObjectRef, RunState};
use openclaw_tenancy_portainer::docker::DockerBackend;

use common::{Tenancy, host, keys};
use engine::RealEngine;

/// Waits for a condition of an engine's, with a bound that only a broken engine reaches.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `body` with a tenant on a real engine, and leaves nothing of its deployment there, also when it fails.
async fn with_tenant<F: Future<Output = ()>>(body: impl FnOnce(RealEngine, Arc<Tenancy>) -> F) {
    let Some(engine) = RealEngine::from_env() else {
        return;
    };
    let Some(tenancy) = tenancy(&engine).await else {
        return;
    };
    let tenancy = Arc::new(tenancy);
    let outcome = AssertUnwindSafe(body(engine, Arc::clone(&tenancy)))
        .catch_unwind()
        .await;
    clean_up(&tenancy).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A tenant of a deployment of its own on `engine`.
async fn tenancy(engine: &RealEngine) -> Option<Tenancy> {
    let image = engine.waiting_image().await?;
    let deployment = format!("test-{}", unique());
    let backend = DockerBackend::builder(keys(&deployment))
        .host(host(), engine.endpoint.clone())
        .build()
        .unwrap();
    Some(Tenancy::new(
        Arc::new(backend),
        &deployment,
        image,
        next_subnet(),
    ))
}

async fn clean_up(tenancy: &Tenancy) {
    let left = tenancy
        .backend
        .list(&tenancy.host, Scope::All)
        .await
        .unwrap();
    for container in left.containers {
        tenancy
            .remove(&ObjectRef::Container(container.id))
            .await
            .unwrap();
    }
    for network in left.networks {
        tenancy
            .remove(&ObjectRef::Network(network.id))
            .await
            .unwrap();
    }
    for volume in left.volumes {
        tenancy
            .remove(&ObjectRef::Volume(volume.name))
            .await
            .unwrap();
    }
    assert_eq!(
        tenancy
            .backend
            .list(&tenancy.host, Scope::All)
            .await
            .unwrap(),
        Default::default()
    );
}

/// No two of one engine's tests are likely to get the same, whichever processes they run in.
fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    std::process::id().wrapping_mul(256) + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A `/29` out of 10.77.0.0/16.
fn next_subnet() -> ipnet::Ipv4Net {
    let base = (10 << 24) | (77 << 16) | ((unique() % 8192) * 8);
    ipnet::Ipv4Net::new_assert(base.into(), 29)
}

/// Looks until the container's state is as wanted.
async fn until(
    tenancy: &Tenancy,
    id: &EngineId,
    wanted: impl Fn(&RunState) -> bool + Send + Sync,
) -> RunState {
    let look = async {
        loop {
            let seen = tenancy
                .backend
                .inspect(&tenancy.host, id)
                .await
                .unwrap()
                .unwrap();
            if wanted(&seen.state) {
                return seen.state;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look)
        .await
        .expect("the container did not get into the state in time")
}
