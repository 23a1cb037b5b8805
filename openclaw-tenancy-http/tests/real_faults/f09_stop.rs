//! F9: an instance that does not end when it is asked to, and a server that dies while it waits for that.

use openclaw_tenancy::Tenancy;
use openclaw_tenancy::clock::{Clock as _, SystemClock, Timestamp};
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::Power;

use crate::instance::Instance;
use crate::world::{DEADLINES, World, brisk, brisk_to_take_over, with_world};

#[tokio::test]
async fn f09_who_ignores_sigterm_is_killed_after_the_grace_and_what_is_wanted_last_wins() {
    with_world(|world| async move {
        let server = world.server(brisk()).await;
        let instance = deaf(&world, &server.tenancy, 2).await;
        let asked = SystemClock.now();
        instance.power(Power::Suspended).await;
        let deadline = instance.until_asked_to_end().await.deadline;
        let deadline = deadline.expect("when it is killed");
        assert!(deadline >= asked.plus(DEADLINES.stop));
        // Wanted again while it is made to end: it ends all the same, and is started.
        instance.power(Power::Running).await;
        instance
            .until(|status| status.phase == Phase::Running)
            .await;
        killed_after_grace(&instance, asked, 3).await;

        let asked = SystemClock.now();
        instance.power(Power::Suspended).await;
        instance
            .until(|status| status.phase == Phase::Suspended)
            .await;
        assert_eq!(instance.inspect(".State.ExitCode").await, "137");
        assert_eq!(instance.inspect(".State.Running").await, "false");
        assert!(SystemClock.now() >= asked.plus(DEADLINES.stop));
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn f09_the_deletion_of_who_ignores_sigterm_leaves_nothing() {
    with_world(|world| async move {
        let server = world.server(brisk()).await;
        let instance = deaf(&world, &server.tenancy, 1).await;
        let process = instance.inspect(".State.Pid").await;
        let asked = SystemClock.now();
        instance.power(Power::Deleted).await;
        let deleting = instance
            .until(|status| status.phase == Phase::Deleting && status.deadline.is_some())
            .await;
        assert!(deleting.deadline >= Some(asked.plus(DEADLINES.stop)));
        instance.until_gone().await;
        assert!(SystemClock.now() >= asked.plus(DEADLINES.stop));
        assert_eq!(world.objects().await, [""; 0]);
        let ended = !std::path::Path::new("/proc").join(process).exists();
        assert!(ended, "its process lives on");
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn f09_a_stop_that_its_server_does_not_see_the_end_of_is_finished_by_the_next() {
    with_world(|world| async move {
        let mut server = world.server(brisk_to_take_over()).await;
        let mut instance = deaf(&world, &server.tenancy, 2).await;
        for killed in [false, true] {
            let asked = SystemClock.now();
            instance.power(Power::Suspended).await;
            instance.until_asked_to_end().await;
            if killed {
                server.kill().await;
            } else {
                server.stop().await;
            }
            // Nobody is there to kill it: it hears, and goes on.
            assert_eq!(instance.inspect(".State.Running").await, "true");
            server = world.server(brisk_to_take_over()).await;
            instance = instance.at(&server.tenancy);
            instance
                .until(|status| status.phase == Phase::Suspended)
                .await;
            assert_eq!(instance.inspect(".State.ExitCode").await, "137");
            assert!(SystemClock.now() >= asked.plus(DEADLINES.stop));
            instance.power(Power::Running).await;
            instance
                .until(|status| status.phase == Phase::Running)
                .await;
        }
        instance.power(Power::Deleted).await;
        instance.until_gone().await;
        assert_eq!(world.objects().await, [""; 0]);
        server.stop().await;
    })
    .await;
}

/// A running instance that hears SIGTERM, and serves on for an hour; so do all its starts but for the first, up to
/// `starts` of them.
async fn deaf(world: &World, tenancy: &Tenancy, starts: u32) -> Instance {
    let instance = Instance::running(world, tenancy).await;
    instance
        .at_next_starts(starts, "STAND_IN_DRAIN_MS=3600000")
        .await;
    instance.restarted().await;
    instance
}

/// Its last start came after the whole grace, and there were `starts` in all.
async fn killed_after_grace(instance: &Instance, asked: Timestamp, starts: usize) {
    let seen = instance.starts().await;
    assert_eq!(seen.len(), starts);
    let last = seen[starts - 1];
    assert!(last >= asked.plus(DEADLINES.stop), "{seen:?}");
}
