//! F7: started and never ready, a crash loop, a configuration that is refused, a child or the instance itself killed for
//! memory.

use std::time::Duration;

use openclaw_tenancy::clock::{Clock as _, SystemClock, Timestamp};
use openclaw_tenancy::reconcile::Pace;
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::{FailureReason, HoldReason};

use crate::instance::{Instance, PATIENCE, started_at};
use crate::world::{DEADLINES, brisk, with_world};

#[tokio::test]
async fn f07_never_ready_is_told_with_its_deadline_ended_by_it_and_tried_again() {
    with_world(|world| async move {
        let server = world.server(brisk()).await;
        let instance = Instance::running(&world, &server.tenancy).await;
        instance
            .at_next_starts(2, "STAND_IN_STARTUP_DELAY_MS=3600000")
            .await;
        instance.restart().await;

        let starting = instance
            .until(|status| status.phase == Phase::Starting)
            .await;
        let began = started_at(&instance.view().await).unwrap();
        assert_eq!(starting.deadline, Some(began.plus(DEADLINES.start)));
        assert_eq!(starting.message, None, "nothing has failed yet");

        let told = "not ready within 20 s of its start";
        for attempt in 1..=2 {
            let failed = instance
                .until(|status| failure(&status.phase).is_some_and(|(_, n)| n >= attempt))
                .await;
            let reason = failure(&failed.phase).unwrap().0;
            assert_eq!(reason, FailureReason::StartTimeout);
            assert_eq!(failed.message.as_deref(), Some(told));
            let again = failed.deadline.expect("when it is tried again");
            assert!(again >= began.plus(DEADLINES.start));
            // While the next attempt runs it has a deadline of its own, and what failed before is said.
            let next = instance
                .until(|status| matches!(status.phase, Phase::Starting | Phase::Running))
                .await;
            if next.phase == Phase::Starting {
                assert_eq!(next.message.as_deref(), Some(told));
                assert!(next.deadline > Some(again));
            }
        }
        instance
            .until(|status| status.phase == Phase::Running)
            .await;
        let starts = instance.starts().await;
        assert_eq!(
            starts.len(),
            4,
            "the first, two that never came up, the last"
        );
        // Not sooner than its deadline and the least wait, by the clock of the process itself.
        spaced(&starts[1..], &[DEADLINES.start, DEADLINES.start], &brisk());
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn f07_a_crash_loop_is_spaced_bounded_and_names_the_exit_code() {
    with_world(|world| async move {
        let server = world.server(brisk()).await;
        let instance = Instance::running(&world, &server.tenancy).await;
        instance.at_next_starts(5, "STAND_IN_EXIT_AT_START=3").await;
        instance.restart().await;
        for attempt in 1..=5 {
            let failed = instance
                .until(|status| failure(&status.phase).is_some_and(|(_, n)| n >= attempt))
                .await;
            let reason = failure(&failed.phase).unwrap().0;
            assert_eq!(reason, FailureReason::Crashed);
            let told = "the instance ended by itself with exit code 3";
            assert_eq!(failed.message.as_deref(), Some(told));
            assert!(failed.deadline.is_some(), "when it is tried again");
        }
        instance
            .until(|status| status.phase == Phase::Running)
            .await;
        let starts = instance.starts().await;
        assert_eq!(starts.len(), 7, "the first, five that crashed, the last");
        spaced(&starts[1..], &[Duration::ZERO; 5], &brisk());
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn f07_exit_78_starts_once_and_is_held_until_its_owner_acts() {
    with_world(|world| async move {
        let server = world.server(brisk()).await;
        let instance = Instance::running(&world, &server.tenancy).await;
        // A second start would find the knob used up, and run.
        instance
            .at_next_starts(1, "STAND_IN_EXIT_AT_START=78")
            .await;
        instance.restart().await;
        let reason = HoldReason::Configuration;
        let held = |phase: &Phase| *phase == Phase::Held { reason };
        let told = instance.until(|status| held(&status.phase)).await;
        let message = told.message.expect("why");
        assert!(message.contains("exit code 78"), "{message}");
        assert!(message.contains("repair it, then restart"), "{message}");
        // Longer than any wait after a failure, and several looks: the span is what is tested.
        let end = SystemClock.now().plus(brisk().backoff_most * 3);
        while SystemClock.now() < end {
            let now = instance.view().await.status.phase;
            assert!(held(&now), "{now:?}");
            tokio::time::sleep(brisk().watch).await;
        }
        assert_eq!(instance.starts().await.len(), 2);
        assert_eq!(instance.inspect(".State.ExitCode").await, "78");

        instance.restart().await;
        instance
            .until(|status| status.phase == Phase::Running)
            .await;
        assert_eq!(instance.starts().await.len(), 3);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn f07_a_child_killed_for_memory_is_told_while_the_instance_runs_on() {
    with_world(|world| async move {
        let server = world.server(brisk()).await;
        let instance = Instance::running(&world, &server.tenancy).await;
        assert_eq!(instance.view().await.status.message, None);
        let process = instance.inspect(".State.Pid").await;
        let child = instance.knob("child-oom?mib=200").await;
        assert_eq!(child["signal"], 9, "200 MiB of 32: {child}");
        let end = SystemClock.now().plus(PATIENCE);

        // An engine keeps the newest 256 events of the whole host: on a busy one this kill may be pushed out before a
        // young instance is asked about.
        let told = loop {
            let status = instance.view().await.status;
            if status.message.is_some() {
                break status;
            }
            assert!(SystemClock.now() < end, "not told");
            instance.knob("child-oom?mib=200").await;
            tokio::time::sleep(brisk().resync).await;
        };
        assert_eq!(told.phase, Phase::Running);
        let message = told.message.unwrap();
        assert!(message.contains("killed for memory"), "{message}");
        assert!(message.contains("a larger plan helps"), "{message}");
        assert_eq!(instance.inspect(".State.Pid").await, process);
        assert_eq!(instance.inspect(".State.OOMKilled").await, "false");

        // It is about what runs now: the next start has nothing to tell.
        assert_eq!(instance.restarted().await.message, None);
        server.stop().await;
    })
    .await;
}

/// The process that the instance is, while it runs and when it has just come up: it fails with its reason, is started
/// again, and runs as soon as it fits.
#[tokio::test]
async fn f07_the_instance_itself_killed_for_memory_fails_as_out_of_memory_and_is_started_again() {
    with_world(|world| async move {
        let server = world.server(brisk()).await;
        let instance = Instance::running(&world, &server.tenancy).await;
        instance
            .at_next_starts(2, "STAND_IN_ALLOCATE_MIB=200")
            .await;
        instance.last_knob("allocate?mib=200").await;
        for attempt in 1..=3 {
            let failed = instance
                .until(|status| failure(&status.phase).is_some_and(|(_, n)| n >= attempt))
                .await;
            let reason = failure(&failed.phase).unwrap().0;
            assert_eq!(reason, FailureReason::OutOfMemory);
            let told = serde_json::to_value(&failed.phase).unwrap();
            assert_eq!(
                (&told["name"], &told["reason"]),
                (&"failed".into(), &"out_of_memory".into()),
                "{told}"
            );
            let message = failed.message.expect("why");
            assert!(message.contains("killed"), "{message}");
            assert!(message.contains("a larger plan helps"), "{message}");
            assert!(failed.deadline.is_some(), "when it is tried again");
        }
        instance
            .until(|status| status.phase == Phase::Running)
            .await;
        let starts = instance.starts().await;
        assert_eq!(starts.len(), 4, "the first, two that were killed, the last");
        server.stop().await;
    })
    .await;
}

/// Why it failed, and how often in a row.
fn failure(phase: &Phase) -> Option<(FailureReason, u32)> {
    match phase {
        Phase::Failed {
            reason, attempts, ..
        } => Some((*reason, *attempts)),
        _ => None,
    }
}

/// Between two starts lies what the first of them lasted, and at least half of the wait that doubles up to its bound.
fn spaced(starts: &[Timestamp], lasted: &[Duration], pace: &Pace) {
    let gaps: Vec<Duration> = starts
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    println!("between two starts: {gaps:?}");
    assert_eq!(gaps.len(), lasted.len(), "{gaps:?}");
    for (attempt, (gap, lasted)) in (0..).zip(gaps.iter().zip(lasted)) {
        let full = (pace.backoff * 2_u32.pow(attempt)).min(pace.backoff_most);
        assert!(*gap >= *lasted + full / 2, "attempt {attempt}: {gaps:?}");
    }
}
