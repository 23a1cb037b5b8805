//! A container's life: created, running at its fixed address, told to end, ended, removed.

use openclaw_tenancy::backend::{BackendError, Scope, Signal};
use openclaw_tenancy::container::{EngineId, ObjectRef, RunState, VolumeRole};
use openclaw_tenancy::quantity::Bytes;
use serde_json::{Value, json};

use crate::common::{plan, told};
use crate::{PATIENCE, until, with_tenant};

#[tokio::test]
async fn a_whole_life_with_every_step_done_twice() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        let address = t.instance_spec(1, plan("free")).address();
        let look = || async { t.backend.inspect(&t.host, &id).await.unwrap().unwrap() };
        assert_eq!(look().await.state, RunState::Created);
        t.backend.signal(&t.host, &id, Signal::Terminate).await.unwrap();
        for _ in 0..2 {
            t.start(&id).await.unwrap();
            let seen = look().await;
            assert!(matches!(seen.state, RunState::Running { started_at } if started_at.as_seconds() > 0), "{seen:?}");
            assert_eq!(seen.seen.address, Some(address));
            assert!(seen.seen.running);
        }
        // Its shell hears a signal once it has begun to sleep.
        let asleep = async { while engine.run(&id.0, "pgrep -x sleep").await.code != 0 {} };
        tokio::time::timeout(PATIENCE, asleep).await.expect("it sleeps");
        for _ in 0..2 {
            t.backend.signal(&t.host, &id, Signal::Terminate).await.unwrap();
        }
        let ended = until(&t, &id, |state| matches!(state, RunState::Exited { .. })).await;
        assert!(matches!(ended, RunState::Exited { code: 0, oom_killed: false, .. }), "{ended:?}");
        // The same address again after a restart.
        t.start(&id).await.unwrap();
        assert_eq!(look().await.seen.address, Some(address));
        t.backend.signal(&t.host, &id, Signal::Kill).await.unwrap();
        let killed = until(&t, &id, |state| matches!(state, RunState::Exited { .. })).await;
        assert!(matches!(killed, RunState::Exited { code: 137, .. }), "{killed:?}");

        t.start(&id).await.unwrap();
        let network = t.make(&t.network()).await.unwrap().id;
        for busy in [ObjectRef::Network(network.clone()), ObjectRef::Volume(t.name(&t.volume(VolumeRole::Data)))] {
            let refused = t.remove(&busy).await.unwrap_err();
            assert!(matches!(refused, BackendError::Busy { .. }), "{busy:?}: {refused:?}");
        }
        for object in [
            ObjectRef::Container(id.clone()),
            ObjectRef::Network(network),
            ObjectRef::Volume(t.name(&t.volume(VolumeRole::Config))),
            ObjectRef::Volume(t.name(&t.volume(VolumeRole::Data))),
        ] {
            t.remove(&object).await.unwrap();
            t.remove(&object).await.unwrap();
        }
        assert_eq!(t.backend.inspect(&t.host, &id).await.unwrap(), None);
        let absent = t.start(&id).await.unwrap_err();
        assert!(matches!(absent, BackendError::NotFound { .. }), "{absent:?}");
        t.backend.signal(&t.host, &id, Signal::Kill).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn f10_four_removals_at_once_leave_nothing_and_no_error_but_busy() {
    with_tenant(|_, t| async move {
        let id = t.created(plan("free")).await;
        t.start(&id).await.unwrap();
        let object = ObjectRef::Container(id.clone());
        for outcome in futures::future::join_all((0..4).map(|_| t.remove(&object))).await {
            assert!(
                matches!(outcome, Ok(()) | Err(BackendError::Busy { .. })),
                "{outcome:?}"
            );
        }
        let gone = async {
            while t.remove(&object).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(crate::PATIENCE, gone).await.unwrap();
        assert_eq!(t.backend.inspect(&t.host, &id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_network_that_was_lost_is_named_and_made_anew_heals_the_container() {
    with_tenant(|_, t| async move {
        let id = t.created(plan("free")).await;
        let network = t.make(&t.network()).await.unwrap().id;
        t.remove(&ObjectRef::Network(network)).await.unwrap();
        let refused = t.start(&id).await.unwrap_err();
        assert!(
            matches!(refused, BackendError::NotFound { what: "network" }),
            "{refused:?}"
        );
        t.make(&t.network()).await.unwrap();
        t.start(&id).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_paused_container_is_seen_as_such_and_ends_when_it_is_told_to() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        t.start(&id).await.unwrap();
        let pause = format!("/containers/{id}/pause");
        engine.raw("POST", &pause, Value::Null).await;
        let seen = t.backend.inspect(&t.host, &id).await.unwrap().unwrap();
        assert_eq!(seen.state, RunState::Paused);
        assert!(!seen.seen.running);
        let listed = t.backend.list(&t.host, Scope::All).await.unwrap();
        assert_eq!(listed.containers, [seen.seen]);
        let signal = t.backend.signal(&t.host, &id, Signal::Terminate);
        signal.await.unwrap();
        until(&t, &id, |state| matches!(state, RunState::Exited { .. })).await;
    })
    .await;
}

#[tokio::test]
async fn one_that_was_cut_off_from_its_network_has_no_address_and_starting_it_again_gives_none() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        t.start(&id).await.unwrap();
        let network = t.make(&t.network()).await.unwrap().id;
        let leave = json!({ "Container": id.0, "Force": true });
        let call = format!("/networks/{network}/disconnect");
        engine.raw("POST", &call, leave).await;
        t.remove(&ObjectRef::Network(network)).await.unwrap();
        let look = async || t.backend.inspect(&t.host, &id).await.unwrap().unwrap();
        let cut_off = look().await;
        assert!(cut_off.seen.running, "{cut_off:?}");
        assert_eq!(cut_off.seen.address, None);
        let listed = t.backend.list(&t.host, Scope::All).await.unwrap();
        assert_eq!(listed.containers, [cut_off.seen]);

        t.make(&t.network()).await.unwrap();
        t.backend.signal(&t.host, &id, Signal::Kill).await.unwrap();
        until(&t, &id, |state| matches!(state, RunState::Exited { .. })).await;
        t.start(&id).await.unwrap();
        let again = look().await.seen;
        assert_eq!((again.running, again.address), (true, None));
    })
    .await;
}

#[tokio::test]
async fn a_taken_address_is_busy() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        let name = t.name(&t.network());
        let squatter = json!({
            "Image": t.image.digest, "HostConfig": { "NetworkMode": name },
            "NetworkingConfig": { "EndpointsConfig": { &name: { "IPAMConfig": {
                "IPv4Address": t.instance_spec(1, plan("free")).address() } } } },
        });
        let (_, made) = engine.raw("POST", "/containers/create", squatter).await;
        let other = made["Id"].as_str().unwrap();
        engine
            .raw("POST", &format!("/containers/{other}/start"), Value::Null)
            .await;
        let refused = t.start(&id).await;
        engine
            .raw(
                "DELETE",
                &format!("/containers/{other}?force=1"),
                Value::Null,
            )
            .await;
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, BackendError::Busy { .. }),
            "{}",
            told(&refused)
        );
        t.start(&id).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_host_describes_itself_and_its_markers() {
    with_tenant(|_, t| async move {
        let marker = openclaw_tenancy::container::ObjectSpec::HostMarker {
            marker: "m1".into(),
        };
        t.make(&marker).await.unwrap();
        let facts = t.backend.host(&t.host).await.unwrap();
        assert!(
            facts.cpu.0 >= 1000 && facts.memory > Bytes::gib(1),
            "{facts:?}"
        );
        assert!(
            !facts.engine_version.is_empty() && !facts.operating_system.is_empty(),
            "{facts:?}"
        );
        assert_eq!(facts.markers, ["m1"]);
    })
    .await;
}

#[tokio::test]
async fn swap_is_measured_from_inside_and_the_probe_goes() {
    with_tenant(|_, t| async move {
        let swap = t.backend.measure_swap(&t.host, &t.image).await.unwrap();
        // The engine runs on this machine or on one that the test knows nothing of.
        if let Ok(meminfo) = std::fs::read_to_string("/proc/meminfo")
            && std::env::var("TENANCY_TEST_DOCKER_HOST").is_ok_and(|host| host.starts_with("unix:"))
        {
            let line = meminfo
                .lines()
                .find_map(|line| line.strip_prefix("SwapTotal:"))
                .unwrap();
            let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
            assert_eq!(swap, Bytes(kib * 1024));
        }
        let seen = t
            .backend
            .list(&t.host, openclaw_tenancy::backend::Scope::All)
            .await
            .unwrap();
        assert!(seen.containers.is_empty(), "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn an_image_nobody_has_is_said_so() {
    with_tenant(|_, t| async move {
        let image = openclaw_tenancy::container::Image {
            reference: "127.0.0.1:1/nobody/has:it".into(),
            digest: None,
        };
        let missing = t.backend.prepare(&t.host, &image).await.unwrap_err();
        assert!(
            matches!(missing, BackendError::ImageMissing { .. }),
            "{missing:?}"
        );
        let present = t.backend.prepare(&t.host, &t.image).await.unwrap();
        assert_eq!(present.image, t.image);
        assert!(present.size > Bytes::mib(1));
    })
    .await;
}

#[tokio::test]
async fn no_id_but_a_full_one_reaches_the_engine() {
    with_tenant(|_, t| async move {
        let id = t.created(plan("free")).await;
        let short = EngineId(id.0[..12].to_owned());
        assert!(matches!(
            t.start(&short).await,
            Err(BackendError::Refused { .. })
        ));
        assert!(matches!(
            t.remove(&ObjectRef::Container(short)).await,
            Err(BackendError::Refused { .. })
        ));
        assert!(t.backend.inspect(&t.host, &id).await.unwrap().is_some());
    })
    .await;
}
