//! F20: the engine is killed while it starts containers.

use std::path::Path;

use crate::dice::Dice;
use crate::in_flight::IN_FLIGHT;
use crate::world::World;

/// Kills in each mode.
const KILLS: usize = 4;
/// A kill that found fewer is one more, up to so many in all: answers may come between the decision and the signal.
const TRIES: usize = 3 * KILLS;

impl World<'_> {
    /// Kills the engine again and again while everybody's instance starts, and recovers each time.
    pub(crate) async fn starts(&mut self, dice: &mut Dice) {
        self.ask_for_all("once").await;
        self.until_all("running").await;
        while self.kills_that_count() < KILLS {
            let in_flight = &self.figures.in_flight;
            assert!(in_flight.len() < TRIES, "too few in flight: {in_flight:?}");
            self.kill_with_starts_in_flight(dice).await;
            let back = self.engine.start().await;
            self.figures.engine_back_ms.push(back.as_millis());
            self.recover().await;
        }
        let records = second_writers(&self.engine.volumes());
        assert!(records.is_empty(), "second writers: {records:?}");
    }

    async fn kill_with_starts_in_flight(&mut self, dice: &mut Dice) {
        self.all("suspend").await;
        self.until_all("suspended").await;
        let before = self.hold("/start");
        self.all("resume").await;
        self.kill_in_flight(before, dice).await;
    }

    /// Kills with enough starts in flight.
    fn kills_that_count(&self) -> usize {
        let enough = |in_flight: &&u64| **in_flight >= IN_FLIGHT;
        self.figures.in_flight.iter().filter(enough).count()
    }
}

/// What instances recorded on their volumes about writers that came second.
fn second_writers(volumes: &Path) -> Vec<String> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let volume = entry.unwrap().path();
        std::fs::read_to_string(volume.join("_data/stand-in/second-writers.log")).ok()
    };
    std::fs::read_dir(volumes)
        .unwrap()
        .filter_map(read)
        .collect()
}
