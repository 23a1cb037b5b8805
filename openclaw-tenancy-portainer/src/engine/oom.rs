//! Processes of a container that the kernel killed for memory.
//!
//! An engine's `OOMKilled` is about the main process; of a child alone there is an `oom` event. Events are hints: an
//! engine keeps the newest 256 of everything on the host, and none from before its own start.

use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt as _;
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::container::{ContainerDetail, EngineId, RunState};
use openclaw_tenancy::error::chain;

use super::Engine;

/// An instance younger than this is looked at too often to be asked about, and is asked about later.
const YOUNG: Duration = Duration::from_secs(10);

/// What an engine keeps comes at once. One whose clock is behind ours would then wait for what is to come.
const PATIENCE: Duration = Duration::from_secs(1);

impl Engine {
    /// When processes of a container that runs, or that ended badly, were killed for memory since its start.
    pub(super) async fn oom_kills(
        &self,
        detail: &ContainerDetail,
        started_at: Timestamp,
    ) -> Vec<Timestamp> {
        let worth_it = match detail.state {
            RunState::Running { .. } => self.clock.now().since(started_at) >= YOUNG,
            RunState::Exited { code, .. } => code != 0,
            RunState::Created | RunState::Paused | RunState::Other(_) => false,
        };
        if !worth_it {
            return Vec::new();
        }
        let mut kills = Vec::new();
        // What came before the time ran out counts.
        tokio::select! {
            () = self.read_oom_events(&detail.seen.id, started_at, &mut kills) => {}
            () = self.clock.sleep(PATIENCE) => {}
        }
        kills.sort_unstable();
        kills
    }

    async fn read_oom_events(
        &self,
        id: &EngineId,
        started_at: Timestamp,
        kills: &mut Vec<Timestamp>,
    ) {
        let filters = [("event", vec!["oom"]), ("container", vec![id.0.as_str()])];
        let options = EventsOptionsBuilder::default()
            .since(&in_seconds(started_at))
            .until(&in_seconds(self.clock.now()))
            .filters(&filters.into())
            .build();
        let mut events = std::pin::pin!(self.docker.events(Some(options)));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let at = event.time_nano.map(|nanos| nanos / 1_000_000);
                    let at = at.or(event.time.map(|seconds| seconds * 1000));
                    kills.extend(
                        at.map(Timestamp::from_millis)
                            .filter(|at| *at >= started_at),
                    );
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::debug!(host = %self.host, container = %id, error, "no events");
                    return;
                }
            }
        }
    }
}

/// Seconds with a fraction, as the engine reads times.
fn in_seconds(at: Timestamp) -> String {
    let millis = at.as_millis().max(0);
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
