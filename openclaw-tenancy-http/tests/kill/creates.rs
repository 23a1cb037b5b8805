//! F4: the engine is killed while it makes networks, then containers.
//!
//! What a create came to whose answer was lost is found by its name and labels once the engine has returned, and is
//! adopted or undone: each instance has one of each, and nothing is anybody's.

use std::collections::BTreeMap;
use std::time::Instant;

use reqwest::Method;
use serde_json::Value;
use test_support::proxy::Mode;

use crate::dice::Dice;
use crate::in_flight::{IN_FLIGHT, KILL_WITHIN};
use crate::world::{LOOK, PATIENCE, World, field, is_ghost_hold};

/// The calls that are cut, and the kind of object that each makes.
const CALLS: [(&str, &str); 2] = [
    ("/networks/create", "network"),
    ("/containers/create", "container"),
];
/// A kill that found too few in flight is one more: answers may come between the decision and the signal.
const TRIES: usize = 3;

impl World<'_> {
    /// Kills the engine once while it makes each kind of object, with enough creates in flight.
    pub(crate) async fn creates(&mut self, dice: &mut Dice) {
        for (call, kind) in CALLS {
            let mut tries = 0;
            self.kill_within = KILL_WITHIN;
            while !self.cut_creates(call, kind, tries, dice).await {
                tries += 1;
                let in_flight = &self.figures.in_flight;
                assert!(tries < TRIES, "{call}: too few in flight: {in_flight:?}");
            }
        }
    }

    /// One kill; whether enough creates were in flight.
    async fn cut_creates(
        &mut self,
        call: &'static str,
        kind: &str,
        round: usize,
        dice: &mut Dice,
    ) -> bool {
        let before = self.hold(call);
        self.ask_for_all(&format!("{kind}-{round}")).await;
        let in_flight = self.kill_in_flight(before, dice).await;
        // Until it is counted what the killed engine had made, nobody adds to it.
        self.proxy.set(Mode::Stall);
        let back = self.engine.start().await;
        self.figures.engine_back_ms.push(back.as_millis());
        let made: usize = self.engine.of_tenants(kind).values().sum();
        // A bridge that was made before the killed engine wrote that it is its own stays on the machine, and the engine
        // makes another with the same address: whichever comes first in the machine's routes is reached. No engine tells
        // of it, so it is an operator's to remove.
        let strays = self.engine.remove_stray_bridges();
        println!(
            "{call}: {in_flight} unanswered, {made} made by the killed engine, {strays} bridges of no network"
        );
        let returned = Instant::now();
        self.proxy.set(Mode::Pass);
        self.remove_half_made_volumes().await;
        self.recover().await;
        println!("{call}: all run {:.1?} later", returned.elapsed());
        self.one_of_each().await;
        self.delete_all().await;
        for kind in ["container", "network", "volume"] {
            assert_eq!(self.engine.of_tenants(kind), BTreeMap::new(), "{kind}");
        }
        in_flight >= IN_FLIGHT
    }

    /// A volume that an engine made without the labels it was asked for cannot be told from somebody else's: its instance
    /// is held, and says which. It is an operator's to remove.
    async fn remove_half_made_volumes(&self) {
        let conflict =
            |answer: &Value| answer["phase"] == "held" && answer["status"]["reason"] == "conflict";
        let held = self
            .until_run_or(|answer| conflict(answer) || is_ghost_hold(answer))
            .await;
        for answer in held.values().filter(|answer| conflict(answer)) {
            let told = field(&answer["status"], "message");
            let name = told.split(' ').next().unwrap_or_default();
            println!("held: {told}");
            self.engine.remove_half_made(name);
            self.let_go(field(answer, "id")).await;
        }
    }

    /// The engine holds one container, one network and two volumes of each instance, and of nobody else.
    async fn one_of_each(&self) {
        let live: Vec<String> = self
            .look()
            .await
            .values()
            .map(|answer| field(answer, "id").to_owned())
            .collect();
        for (kind, each) in [("container", 1), ("network", 1), ("volume", 2)] {
            let wanted = live.iter().map(|id| (id.clone(), each)).collect();
            assert_eq!(self.engine.of_tenants(kind), wanted, "{kind}");
        }
    }

    async fn delete_all(&self) {
        for person in &self.people {
            let asked = person.ask(Method::DELETE, "/api/tenants/me", None).await;
            assert_eq!(asked.expect("the server is up").0, 202);
        }
        let end = Instant::now() + PATIENCE;
        for person in &self.people {
            loop {
                let asked = person.ask(Method::GET, "/api/tenants/me", None).await;
                let (status, answer) = asked.expect("the server is up");
                if status == 404 {
                    break;
                }
                assert!(Instant::now() < end, "still there: {answer}");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}
