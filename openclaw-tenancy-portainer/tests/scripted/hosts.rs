//! Several hosts behind one backend: what happens on one is no matter of the other.

use openclaw_tenancy::backend::{BackendError, ContainerBackend as _, Scope};
use openclaw_tenancy::container::VolumeRole;
use openclaw_tenancy::id::HostId;
use openclaw_tenancy_portainer::docker::DockerBackend;
use test_support::engine::{Fault, Rule, ScriptedEngine};

use super::{CALL, DEPLOYMENT, tenancy};
use crate::common::{host, keys, plan};

fn second() -> HostId {
    HostId::new("h2").unwrap()
}

/// Two engines, and one backend over both.
async fn two() -> (ScriptedEngine, ScriptedEngine, DockerBackend) {
    let first = ScriptedEngine::start().await.unwrap();
    let other = ScriptedEngine::start().await.unwrap();
    let backend = DockerBackend::builder(keys(DEPLOYMENT))
        .host(host(), first.address().parse().unwrap())
        .host(second(), other.address().parse().unwrap())
        .call_limit(CALL)
        .build()
        .unwrap();
    (first, other, backend)
}

#[tokio::test]
async fn objects_of_two_hosts_stay_apart() {
    let (first, other, backend) = two().await;
    let specs = tenancy(&other);
    assert_eq!(backend.hosts().await.unwrap(), [host(), second()]);
    for spec in [
        specs.network(),
        specs.volume(VolumeRole::Data),
        specs.volume(VolumeRole::Config),
    ] {
        backend.create(&second(), &spec).await.unwrap();
    }
    let instance = specs.instance(1, plan("free"));
    let id = backend.create(&second(), &instance).await.unwrap().id;
    backend.start(&second(), &id).await.unwrap();

    let seen = backend.list(&second(), Scope::All).await.unwrap();
    let counts = (
        seen.containers.len(),
        seen.networks.len(),
        seen.volumes.len(),
    );
    assert_eq!(counts, (1, 1, 2));
    let elsewhere = backend.list(&host(), Scope::All).await.unwrap();
    assert_eq!(elsewhere, Default::default());
    assert_eq!(backend.inspect(&host(), &id).await.unwrap(), None);
    let absent = backend.start(&host(), &id).await.unwrap_err();
    assert!(
        matches!(absent, BackendError::NotFound { .. }),
        "{absent:?}"
    );
    assert!(first.world().container_names().is_empty());
    assert_eq!(other.world().processes().len(), 1);

    let nowhere = HostId::new("h3").unwrap();
    let unknown = backend.list(&nowhere, Scope::All).await.unwrap_err();
    assert!(
        matches!(&unknown, BackendError::UnknownHost { host } if *host == nowhere),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn f21_a_host_that_is_silent_or_gone_does_not_stop_the_other() {
    let (first, other, backend) = two().await;
    let specs = tenancy(&other);
    let (first_id, second_id) = (host(), second());
    backend.host(&first_id).await.unwrap();
    // A call to the first hangs all the while.
    first.on(Rule::call("GET", "/containers/json").fault(Fault::Silence));
    let mut silent = std::pin::pin!(backend.list(&first_id, Scope::All));
    let work = async {
        for spec in [specs.network(), specs.volume(VolumeRole::Data)] {
            backend.create(&second_id, &spec).await.unwrap();
        }
        backend.list(&second_id, Scope::All).await.unwrap()
    };
    let made = tokio::select! {
        biased;
        early = &mut silent => panic!("the call that hangs ended first: {early:?}"),
        made = work => made,
    };
    assert_eq!((made.networks.len(), made.volumes.len()), (1, 1));
    let silent = silent.await.unwrap_err();
    assert!(
        matches!(silent, BackendError::Unreachable { .. }),
        "{silent:?}"
    );

    first.kill();
    let gone = backend.host(&first_id).await.unwrap_err();
    assert!(matches!(gone, BackendError::Unreachable { .. }), "{gone:?}");
    let there = backend.list(&second_id, Scope::All).await.unwrap();
    assert_eq!(there, made);
}
