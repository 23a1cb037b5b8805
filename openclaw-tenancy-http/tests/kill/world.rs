//! The world around an engine that is killed: who asks, what they are told, and the figures of what was seen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use test_support::private_engine::PrivateEngine;
use test_support::proxy::Proxy;

use crate::people::Person;

/// Instances, and so calls that can be in flight.
pub(crate) const INSTANCES: usize = 12;
/// For what is arranged before a kill and has no figure of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);
/// How often the world is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// A server, its private engine behind a proxy, and the people who have instances.
pub(crate) struct World<'a> {
    pub(crate) engine: &'a mut PrivateEngine,
    pub(crate) proxy: Proxy,
    pub(crate) admin: Person,
    pub(crate) people: Vec<Person>,
    /// The next kill comes at a random moment within this.
    pub(crate) kill_within: Duration,
    pub(crate) figures: Figures,
}

/// What was seen, over all kills of a mode.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Starts or creates that the engine had and never answered, at each kill.
    pub(crate) in_flight: Vec<u64>,
    /// When each kill came, in milliseconds after the engine went on with all of them before it.
    pub(crate) killed_after_ms: Vec<u128>,
    /// Containers with a live process on a volume that the returned engine did not list as running.
    pub(crate) ghosts: usize,
    /// Containers with a live process in their control group that the returned engine did not list as running.
    pub(crate) unlisted_groups: usize,
    /// Instances that were held: by such a process, or by a shim that keeps a task without one.
    pub(crate) held: usize,
    /// How long the engine took to answer again, in milliseconds.
    pub(crate) engine_back_ms: Vec<u128>,
    /// And from then on until every instance ran or was held.
    pub(crate) converged_ms: Vec<u128>,
}

impl World<'_> {
    /// Everybody asks for an instance.
    pub(crate) async fn ask_for_all(&self, key: &str) {
        let body = json!({ "plan": "free" });
        for person in &self.people {
            let made = person.ask(Method::POST, "/api/tenants", Some((&body, key)));
            assert_eq!(made.await.expect("the server is up").0, 202);
        }
    }

    /// Everybody asks for a change at once.
    pub(crate) async fn all(&self, action: &str) {
        let path = format!("/api/tenants/me/{action}");
        let asked = self
            .people
            .iter()
            .map(|person| person.ask(Method::POST, &path, None));
        for answer in futures::future::join_all(asked).await {
            let (status, answer) = answer.expect("the server is up");
            assert_eq!(status, 202, "{answer}");
        }
    }

    /// Waits until every instance is in this phase.
    pub(crate) async fn until_all(&self, phase: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.look().await;
            if now.values().all(|answer| answer["phase"] == phase) {
                return;
            }
            assert!(Instant::now() < end, "not {phase}: {}", brief(&now));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What each person is told of their instance, by their names.
    pub(crate) async fn look(&self) -> BTreeMap<String, Value> {
        let mut seen = BTreeMap::new();
        for person in &self.people {
            let asked = person.ask(Method::GET, "/api/tenants/me", None).await;
            let (status, answer) = asked.expect("the server is up");
            assert_eq!(status, 200, "{answer}");
            seen.insert(person.name.clone(), answer);
        }
        seen
    }
}

/// Who is not running, and why.
pub(crate) fn brief(seen: &BTreeMap<String, Value>) -> String {
    let odd = seen.values().filter(|answer| answer["phase"] != "running");
    odd.map(|answer| format!("\n{} {}", field(answer, "id"), answer["status"]))
        .collect()
}

/// Whether an instance is held for a process that may run unseen.
pub(crate) fn is_ghost_hold(answer: &Value) -> bool {
    answer["phase"] == "held" && answer["status"]["reason"] == "ghost_suspected"
}

/// The text of a field of an answer.
pub(crate) fn field<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_default()
}
