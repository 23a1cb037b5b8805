//! Starting, signalling and changing containers.

use super::BackendFixture;
use super::create::{CUTS, cut};
use super::given::{Given, LIMITS, has_ended, is_running, nobody};
use super::look::plant_container;
use crate::backend::{BackendError, Scope, Signal};
use crate::container::{AppliedLimits, DATA_PATH, EngineId, ObjectRef, instance_address};
use crate::plan::Limits;
use crate::quantity::{Bytes, MilliCpus};

/// It runs, and has the address that its spec says.
pub(super) async fn start_runs_it_at_its_fixed_address(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.running().await;
    let seen = given.look(&id).await;
    assert!(is_running(&seen.state), "{seen:?}");
    assert_eq!(seen.seen.address, Some(instance_address(given.subnet)));
    assert_eq!(given.list(Scope::All).await.containers, [seen.seen]);
}

/// Running already is success, and nothing is started anew.
pub(super) async fn start_again_is_success(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.running().await;
    let before = given.look(&id).await;
    given.start(&id).await;
    assert_eq!(given.look(&id).await, before);
}

/// What has ended starts again, at the same address.
pub(super) async fn start_after_its_end_runs_it_anew(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.running().await;
    end(&given, &id).await;
    given.start(&id).await;
    let seen = given
        .until(&id, "run", |seen| is_running(&seen.state))
        .await;
    assert_eq!(seen.seen.address, Some(instance_address(given.subnet)));
}

async fn end(given: &Given, id: &EngineId) {
    let sent = given.backend.signal(&given.host, id, Signal::Kill).await;
    sent.expect("the engine answers");
    given.until(id, "its end", has_ended).await;
}

/// Both signals end a container that heeds them; the address goes with it.
pub(super) async fn signal_ends_what_runs(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.running().await;
    for signal in [Signal::Terminate, Signal::Kill] {
        let sent = given.backend.signal(&given.host, &id, signal).await;
        sent.expect("the engine answers");
        let seen = given.until(&id, "its end", has_ended).await;
        assert_eq!(seen.seen.address, None);
        given.start(&id).await;
        given
            .until(&id, "run", |seen| is_running(&seen.state))
            .await;
    }
}

/// Never started, ended or absent is success.
pub(super) async fn signal_to_what_does_not_run_is_success(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.created().await;
    for signal in [Signal::Terminate, Signal::Kill] {
        for to in [&id, &nobody()] {
            let sent = given.backend.signal(&given.host, to, signal).await;
            sent.unwrap_or_else(|error| panic!("{signal:?} to {to}: {error:?}"));
        }
    }
    given.start(&id).await;
    given
        .until(&id, "run", |seen| is_running(&seen.state))
        .await;
    end(&given, &id).await;
    end(&given, &id).await;
}

/// However far a start came that was dropped, the next comes to a running container.
pub(super) async fn dropped_start_is_finished_by_the_next(fixture: &dyn BackendFixture) {
    for after in CUTS {
        let given = Given::new(fixture);
        let id = given.created().await;
        cut(given.backend.start(&given.host, &id), after).await;
        given.start(&id).await;
        given
            .until(&id, "run", |seen| is_running(&seen.state))
            .await;
        super::remove::clear(&given).await;
    }
}

/// New limits are what the engine holds, in place, for what runs and for what does not.
pub(super) async fn update_shows_in_inspect(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    if !given.backend.capabilities().update_in_place {
        println!("skipped: the backend does not change limits in place");
        return;
    }
    let id = given.created().await;
    let more = Limits {
        cpu: MilliCpus(500),
        // More than the old memory and swap together.
        memory: Bytes::mib(192),
        pids: 96,
        ..LIMITS
    };
    for limits in [more, LIMITS, LIMITS] {
        let updated = given.backend.update(&given.host, &id, &limits).await;
        updated.expect("it uses less");
        assert_eq!(given.look(&id).await.limits, AppliedLimits::from(limits));
    }
    given.start(&id).await;
    given
        .until(&id, "run", |seen| is_running(&seen.state))
        .await;
    let updated = given.backend.update(&given.host, &id, &more).await;
    updated.expect("it uses less");
    let seen = given.look(&id).await;
    assert_eq!(seen.limits, AppliedLimits::from(more));
    assert!(is_running(&seen.state));
}

/// Less memory than is used is refused, and every limit stays as it was.
pub(super) async fn update_refuses_less_memory_than_is_used(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = given.running().await;
    if !given.backend.capabilities().update_in_place
        || !fixture.fill_memory(&id, Bytes::mib(48)).await
    {
        println!("skipped: limits do not change in place, or the fixture fills no memory");
        return;
    }
    let less = Limits {
        cpu: MilliCpus(500),
        memory: Bytes::mib(32),
        pids: 96,
        ..LIMITS
    };
    let answer = given.backend.update(&given.host, &id, &less).await;
    assert!(
        matches!(answer, Err(BackendError::Refused { .. })),
        "{answer:?}"
    );
    let seen = given.look(&id).await;
    assert_eq!(seen.limits, AppliedLimits::from(LIMITS));
    assert!(is_running(&seen.state), "{seen:?}");
}

/// No call acts on a foreign container; each says why.
pub(super) async fn calls_to_what_is_foreign_change_nothing(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let id = plant_container(fixture, &given).await;
    given.assert_foreign(&id).await;
    assert!(fixture.untouched(&ObjectRef::Container(id)).await);
}

impl Given {
    /// Whether each call that acts on a container says that this one is foreign.
    pub(super) async fn assert_foreign(&self, id: &EngineId) {
        let (backend, host) = (&self.backend, &self.host);
        let answers = [
            backend.start(host, id).await,
            backend.signal(host, id, Signal::Terminate).await,
            backend.signal(host, id, Signal::Kill).await,
            backend.update(host, id, &LIMITS).await,
            backend.put_files(host, id, DATA_PATH, Vec::new()).await,
            backend.path_exists(host, id, DATA_PATH).await.map(drop),
            backend.logs(host, id, Bytes(100)).await.map(drop),
        ];
        for (call, answer) in answers.iter().enumerate() {
            assert!(
                matches!(answer, Err(BackendError::Foreign { .. })),
                "call {call}: {answer:?}"
            );
        }
    }
}

/// Calls that need a container say when there is none.
pub(super) async fn calls_to_what_is_not_there_say_so(fixture: &dyn BackendFixture) {
    let given = Given::new(fixture);
    let (backend, host, id) = (&given.backend, &given.host, &nobody());
    let answers = [
        backend.start(host, id).await,
        backend.update(host, id, &LIMITS).await,
        backend.put_files(host, id, DATA_PATH, Vec::new()).await,
        backend.path_exists(host, id, DATA_PATH).await.map(drop),
        backend.logs(host, id, Bytes(100)).await.map(drop),
    ];
    for (call, answer) in answers.iter().enumerate() {
        assert!(
            matches!(answer, Err(BackendError::NotFound { .. })),
            "call {call}: {answer:?}"
        );
    }
}
