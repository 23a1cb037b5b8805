//! F4 and F6: what was made or started by a call whose answer was lost.

use openclaw_tenancy::backend::{BackendError, Scope, Signal};
use openclaw_tenancy::container::{ObjectRef, ObjectSpec, RunState, VolumeRole};
use test_support::engine::{Fault, Left, Restore, Rule};

use super::bench;
use crate::common::{Tenancy, plan};

/// Every way in which an answer does not arrive although the effect took place.
fn losses() -> Vec<Fault> {
    vec![
        Fault::LoseAnswer,
        Fault::CutAnswer(7),
        Fault::Html(502),
        Fault::SilenceAfter,
    ]
}

fn ground_and_instance(tenancy: &Tenancy) -> Vec<(&'static str, ObjectSpec)> {
    vec![
        ("/networks/create", tenancy.network()),
        ("/volumes/create", tenancy.volume(VolumeRole::Data)),
        ("/volumes/create", tenancy.volume(VolumeRole::Config)),
        ("/containers/create", tenancy.instance(1, plan("free"))),
    ]
}

#[tokio::test]
async fn f4_what_a_lost_answer_made_is_found_and_adopted() {
    for loss in losses() {
        let (engine, tenancy) = bench().await;
        for (path, spec) in ground_and_instance(&tenancy) {
            engine.on(Rule::call("POST", path).fault(loss.clone()));
            let lost = tenancy.make(&spec).await.unwrap_err();
            assert!(lost.may_have_happened(), "{loss:?} of {path}: {lost}");
            let again = tenancy.make(&spec).await.unwrap();
            assert!(again.adopted, "{loss:?} of {path} made a second object");
            assert_eq!(
                again,
                tenancy.make(&spec).await.unwrap(),
                "{loss:?} of {path}"
            );
        }
        let world = engine.world();
        assert_eq!(world.container_names().len(), 1, "{loss:?}");
        assert_eq!(world.network_names().len(), 1, "{loss:?}");
        assert_eq!(world.volume_names().len(), 2, "{loss:?}");
    }
}

#[tokio::test]
async fn f4_a_lost_request_has_no_effect_and_is_made_again() {
    for loss in [Fault::LoseRequest, Fault::Silence] {
        let (engine, tenancy) = bench().await;
        for (path, spec) in ground_and_instance(&tenancy) {
            engine.on(Rule::call("POST", path).fault(loss.clone()));
            let lost = tenancy.make(&spec).await.unwrap_err();
            assert!(
                matches!(lost, BackendError::Unreachable { .. }),
                "{loss:?} of {path}: {lost}"
            );
            assert!(
                !tenancy.make(&spec).await.unwrap().adopted,
                "{loss:?} of {path}"
            );
        }
    }
}

#[tokio::test]
async fn f4_a_kill_of_the_engine_between_any_two_calls_leaves_one_of_each() {
    let (engine, tenancy) = bench().await;
    for (_, spec) in ground_and_instance(&tenancy) {
        tenancy.make(&spec).await.unwrap();
        engine.kill();
        let down = tenancy.make(&spec).await.unwrap_err();
        assert!(matches!(down, BackendError::Unreachable { .. }), "{down}");
        engine.revive(Restore::Kill).await.unwrap();
        assert!(tenancy.make(&spec).await.unwrap().adopted);
    }
    let seen = tenancy
        .backend
        .list(&tenancy.host, Scope::Tenant(tenancy.tenant))
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
}

#[tokio::test]
async fn f4_two_networks_of_one_name_are_seen_as_two_and_refused_to_a_container() {
    let (engine, tenancy) = bench().await;
    tenancy.ground().await;
    let spec = tenancy.network();
    let name = tenancy.name(&spec);
    // What a race of two creates without the engine's own check leaves behind.
    let labels = {
        let made = engine
            .calls()
            .into_iter()
            .find(|call| call.path == "/networks/create")
            .unwrap();
        made.body["Labels"].clone()
    };
    let twin = engine
        .world()
        .plant_network(&name, Some(super::SUBNET), labels);
    let seen = tenancy
        .backend
        .list(&tenancy.host, Scope::Tenant(tenancy.tenant))
        .await
        .unwrap();
    assert_eq!(seen.networks.len(), 2);
    let refused = tenancy
        .make(&tenancy.instance(1, plan("free")))
        .await
        .unwrap_err();
    assert!(matches!(refused, BackendError::Busy { .. }), "{refused}");
    // By id, since by name the engine calls it ambiguous.
    tenancy
        .remove(&ObjectRef::Network(openclaw_tenancy::container::EngineId(
            twin,
        )))
        .await
        .unwrap();
    tenancy
        .make(&tenancy.instance(1, plan("free")))
        .await
        .unwrap();
}

#[tokio::test]
async fn f4_a_network_whose_name_was_taken_a_moment_ago_is_asked_for_again() {
    let (engine, tenancy) = bench().await;
    let spec = tenancy.network();
    let name = tenancy.name(&spec);
    // A removal that lands at this moment, or one that is being made.
    engine.on(Rule::call("POST", "/networks/create").fault(Fault::Refuse {
        status: 409,
        message: format!("network with name {name} already exists"),
    }));
    let busy = tenancy.make(&spec).await.unwrap_err();
    assert!(matches!(busy, BackendError::Busy { .. }), "{busy:?}");
    assert!(!tenancy.make(&spec).await.unwrap().adopted);
}

#[tokio::test]
async fn f4_an_own_network_of_another_subnet_is_busy_until_it_is_removed() {
    let (engine, mut tenancy) = bench().await;
    let late = tenancy.make(&tenancy.network()).await.unwrap();
    tenancy.subnet = "10.88.0.8/29".parse().unwrap();
    let spec = tenancy.network();
    let name = tenancy.name(&spec);
    let before = engine.world().portrait(&late.id.0);
    let busy = tenancy.make(&spec).await.unwrap_err();
    assert!(
        matches!(&busy, BackendError::Busy { name: of } if *of == name),
        "{busy:?}"
    );
    assert_eq!(engine.world().portrait(&late.id.0), before);
    // Nor is a container made that would join it.
    for role in [VolumeRole::Data, VolumeRole::Config] {
        tenancy.make(&tenancy.volume(role)).await.unwrap();
    }
    let instance = tenancy.instance(1, plan("free"));
    let busy = tenancy.make(&instance).await.unwrap_err();
    assert!(matches!(busy, BackendError::Busy { .. }), "{busy:?}");
    tenancy.remove(&ObjectRef::Network(late.id)).await.unwrap();
    assert!(!tenancy.make(&spec).await.unwrap().adopted);
    tenancy.make(&instance).await.unwrap();
    // Somebody else's of this name, which the engine takes beside it, is no reason to take ours for a stranger.
    _ = engine
        .world()
        .plant_network(&name, None, serde_json::json!({}));
    assert!(tenancy.make(&spec).await.unwrap().adopted);
}

#[tokio::test]
async fn f6_a_lost_start_is_sorted_by_starting_again() {
    for (left, expected) in [
        (Left::Nothing, "clean"),
        (Left::HalfMade, "never"),
        (Left::Ghost, "ghost"),
    ] {
        let (engine, tenancy) = bench().await;
        let id = tenancy.created(plan("free")).await;
        let volume = tenancy.name(&tenancy.volume(VolumeRole::Data));
        engine.on(Rule::call("POST", "/containers/*/start").fault(Fault::LoseStart(left)));
        let lost = tenancy.start(&id).await.unwrap_err();
        assert!(
            matches!(lost, BackendError::Unreachable { .. }),
            "{left:?}: {lost}"
        );
        assert!(lost.may_have_happened());
        // The engine knows nothing of it, whatever is left.
        let seen = tenancy
            .backend
            .inspect(&tenancy.host, &id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(seen.state, RunState::Created, "{left:?}");

        let again = tenancy.start(&id).await;
        let sorted = match &again {
            Ok(()) => "clean",
            Err(BackendError::NeverStarts { container, .. }) if *container == id => "never",
            Err(BackendError::GhostSuspected { container, .. }) if *container == id => "ghost",
            Err(other) => panic!("{left:?}: {other}"),
        };
        assert_eq!(sorted, expected, "{left:?}: {again:?}");
        let world = engine.world();
        assert_eq!(
            world.most_writers(&volume),
            usize::from(left != Left::HalfMade),
            "{left:?}"
        );
    }
}

#[tokio::test]
async fn f6_a_start_that_took_place_is_success_again() {
    for loss in losses()
        .into_iter()
        .filter(|loss| !matches!(loss, Fault::CutAnswer(_)))
    {
        let (engine, tenancy) = bench().await;
        let id = tenancy.created(plan("free")).await;
        let volume = tenancy.name(&tenancy.volume(VolumeRole::Data));
        engine.on(Rule::call("POST", "/containers/*/start").fault(loss.clone()));
        let lost = tenancy.start(&id).await.unwrap_err();
        assert!(lost.may_have_happened(), "{loss:?}: {lost}");
        tenancy.start(&id).await.unwrap();
        tenancy.start(&id).await.unwrap();
        assert_eq!(engine.world().most_writers(&volume), 1, "{loss:?}");
    }
}

#[tokio::test]
async fn f6_every_500_of_a_start_that_is_not_known_is_a_suspected_ghost() {
    for message in [
        "failed to create shim task: OCI runtime create failed: container with id exists: id already in use: unknown",
        "transport is closing: unavailable",
        "context deadline exceeded",
        "AlreadyExists: task 0f: already exists",
        "mkdir something else: file exists",
        "",
    ] {
        let (engine, tenancy) = bench().await;
        let id = tenancy.created(plan("free")).await;
        engine.on(
            Rule::call("POST", "/containers/*/start").fault(Fault::Refuse {
                status: 500,
                message: message.into(),
            }),
        );
        let refused = tenancy.start(&id).await.unwrap_err();
        assert!(
            matches!(refused, BackendError::GhostSuspected { .. }),
            "{message:?}: {refused:?}"
        );
        assert!(
            !refused.to_string().contains("shim"),
            "the engine's words stand in the error itself"
        );
    }
}

#[tokio::test]
async fn f6_a_start_refused_before_there_is_a_task_is_no_ghost() {
    for (status, message, expected) in [
        (404, "network oct-x not found", "NotFound"),
        (404, "No such container: 0f", "NotFound"),
        (403, "Address already in use", "Busy"),
        (
            409,
            "container is marked for removal and cannot be started",
            "Busy",
        ),
        (
            500,
            "failed to create endpoint x on network y: adding interface veth0 failed",
            "Engine",
        ),
        (
            500,
            "error while mounting volume '/x': no such device",
            "Engine",
        ),
        (
            400,
            "OCI runtime create failed: exec: \"x\": executable file not found in $PATH",
            "Refused",
        ),
        (503, "", "Engine"),
    ] {
        let (engine, tenancy) = bench().await;
        let id = tenancy.created(plan("free")).await;
        engine.on(
            Rule::call("POST", "/containers/*/start").fault(Fault::Refuse {
                status,
                message: message.into(),
            }),
        );
        let refused = format!("{:?}", tenancy.start(&id).await.unwrap_err());
        assert!(
            refused.starts_with(expected),
            "{status} {message}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_ghost_survives_the_removal_of_its_container() {
    // Not what should be, but what is: the reason why nothing is removed before a start has been sorted.
    let (engine, tenancy) = bench().await;
    let id = tenancy.created(plan("free")).await;
    let volume = tenancy.name(&tenancy.volume(VolumeRole::Data));
    engine.on(Rule::call("POST", "/containers/*/start").fault(Fault::LoseStart(Left::Ghost)));
    tenancy.start(&id).await.unwrap_err();
    tenancy
        .remove(&ObjectRef::Container(id.clone()))
        .await
        .unwrap();
    assert_eq!(engine.world().writers(&volume), 1);
    assert!(
        tenancy
            .backend
            .inspect(&tenancy.host, &id)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn signals_whose_answer_is_lost_may_be_sent_again() {
    for loss in losses()
        .into_iter()
        .filter(|loss| !matches!(loss, Fault::CutAnswer(_)))
    {
        let (engine, tenancy) = bench().await;
        let id = tenancy.created(plan("free")).await;
        tenancy.start(&id).await.unwrap();
        engine.on(Rule::call("POST", "/containers/*/kill").fault(loss.clone()));
        let lost = tenancy
            .backend
            .signal(&tenancy.host, &id, Signal::Terminate)
            .await
            .unwrap_err();
        assert!(lost.may_have_happened(), "{loss:?}: {lost}");
        tenancy
            .backend
            .signal(&tenancy.host, &id, Signal::Terminate)
            .await
            .unwrap();
        let seen = tenancy
            .backend
            .inspect(&tenancy.host, &id)
            .await
            .unwrap()
            .unwrap();
        assert!(
            matches!(
                seen.state,
                RunState::Exited {
                    code: 0,
                    oom_killed: false,
                    ..
                }
            ),
            "{seen:?}"
        );
    }
}
