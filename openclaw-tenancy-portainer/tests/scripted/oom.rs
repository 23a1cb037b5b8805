//! F7: a child that was killed for memory, of which an engine's `OOMKilled` tells nothing.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::backend::ContainerBackend as _;
use openclaw_tenancy::clock::{Clock as _, ManualClock, SystemClock};
use openclaw_tenancy::container::RunState;
use openclaw_tenancy_portainer::docker::DockerBackend;
use test_support::engine::{Fault, Rule};

use super::{CALL, DEPLOYMENT, bench};
use crate::common::{host, keys, plan};

#[tokio::test]
async fn f07_a_killed_child_is_seen_while_the_instance_runs_and_after_its_end() {
    let (engine, t) = bench().await;
    let id = t.created(plan("free")).await;
    t.start(&id).await.unwrap();
    engine.world().kill_child(&id.0);
    engine.world().kill_child(&"f".repeat(64));
    let young = t.backend.inspect(&t.host, &id).await.unwrap().unwrap();
    assert!(young.oom_kills.is_empty(), "it is asked about later");
    assert!(engine.calls().iter().all(|call| call.path != "/events"));

    let later = SystemClock.now().plus(Duration::from_secs(60));
    let clock = ManualClock::new(later);
    let backend = DockerBackend::builder(keys(DEPLOYMENT))
        .host(host(), engine.address().parse().unwrap())
        .call_limit(CALL)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let look = async || backend.inspect(&t.host, &id).await.unwrap().unwrap();
    let running = look().await;
    assert!(matches!(running.state, RunState::Running { .. }));
    assert_eq!(running.oom_kills.len(), 1, "its own alone");
    assert_eq!(look().await.oom_kills, running.oom_kills, "the same again");

    engine.world().end(&id.0, 1, false);
    let ended = look().await;
    let RunState::Exited { oom_killed, .. } = ended.state else {
        panic!("{ended:?}");
    };
    assert!(!oom_killed);
    assert_eq!(ended.oom_kills, running.oom_kills);

    // Hints: an engine that does not tell them, or not in time, is looked at all the same.
    let refusal = Fault::Refuse {
        status: 403,
        message: "no".into(),
    };
    for fault in [Fault::Silence, refusal] {
        engine.behave();
        engine.on(Rule::call("GET", "/events").fault(fault));
        // In time is by the clock that it was given: it stands still but for this.
        let time_passes = async {
            loop {
                clock.advance(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        };
        let seen = tokio::select! {
            seen = look() => seen,
            () = time_passes => unreachable!("it never ends"),
        };
        assert_eq!(seen.state, ended.state);
        assert!(seen.oom_kills.is_empty());
    }
}
