//! Kills the engine while enough calls are in flight: it has them, and never answers them.
//!
//! Nothing of it hangs on who is fast. Every instance's call is held before the engine; the engine is stopped while they
//! are passed on to it, goes on with all of them before it, and is killed at a random moment, or as soon as it answers
//! the first. Where so many were answered until then that too few were left, the next kill comes at half the time.

use std::time::{Duration, Instant};

use test_support::proxy::{Mode, Released};

use crate::dice::Dice;
use crate::signals::Signals;
use crate::world::{INSTANCES, LOOK, PATIENCE, World};

/// As many calls as must be in flight at a kill: sent to the engine, and never answered.
pub(crate) const IN_FLIGHT: u64 = 8;
/// The kill comes at a random moment within this after the engine goes on with the calls before it.
pub(crate) const KILL_WITHIN: Duration = Duration::from_millis(600);
/// While calls are under way: an answer is to be seen before the next comes.
const CLOSE_LOOK: Duration = Duration::from_millis(2);

impl World<'_> {
    /// From now on such calls are held before the engine; answers how many have been held before.
    pub(crate) fn hold(&self, call: &'static str) -> u64 {
        let before = self.proxy.held();
        self.proxy.set(Mode::HoldRequest(call));
        before
    }

    /// Kills the engine when it has been sent the calls that are held, one of each instance, and has not answered
    /// enough of them. Answers how many it never answered.
    pub(crate) async fn kill_in_flight(&mut self, before: u64, dice: &mut Dice) -> u64 {
        let all = u64::try_from(INSTANCES).unwrap();
        let end = Instant::now() + PATIENCE;
        while self.proxy.held() - before < all {
            let held = self.proxy.held() - before;
            assert!(Instant::now() < end, "only {held} at once");
            tokio::time::sleep(LOOK).await;
        }
        let mut daemons = Signals::to(&self.engine.daemons());
        let moment = dice.within(self.kill_within);
        daemons.stop().await;
        let earlier = self.proxy.released();
        self.proxy.set(Mode::Pass);
        let too_few = |now: Released| now.passed_on - earlier.passed_on < all;
        while too_few(self.proxy.released()) {
            assert!(Instant::now() < end, "{:?}", self.proxy.released());
            tokio::time::sleep(CLOSE_LOOK).await;
        }
        let released = Instant::now();
        daemons.go_on();
        let none_answered = |now: Released| now.answered == earlier.answered;
        while released.elapsed() < moment && none_answered(self.proxy.released()) {
            tokio::time::sleep(CLOSE_LOOK).await;
        }
        let at_kill = self.proxy.released();
        daemons.kill();
        let killed_after = released.elapsed();
        // The dead engine's connections end; only then is it certain who never got an answer.
        while self.proxy.released().in_flight() > 0 {
            assert!(Instant::now() < end, "{:?}", self.proxy.released());
            tokio::time::sleep(CLOSE_LOOK).await;
        }
        self.proxy.cut();
        let answered_late = self.proxy.released().answered - at_kill.answered;
        let in_flight = at_kill.in_flight().saturating_sub(answered_late);
        if in_flight < IN_FLIGHT {
            self.kill_within = (killed_after.min(self.kill_within) / 2).max(CLOSE_LOOK);
        }
        self.figures.killed_after_ms.push(killed_after.as_millis());
        self.figures.in_flight.push(in_flight);
        in_flight
    }
}
