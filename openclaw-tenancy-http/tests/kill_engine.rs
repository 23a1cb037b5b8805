//! F20, F4: kill -9 of an engine and its containerd while at least eight starts, or creates, are in flight.
//!
//! A start that was cut may leave a process that no engine lists (a ghost). What is true is therefore read from
//! processes, control groups and mounts: no volume ever has a second writer, and whatever runs unseen is named.
#![cfg(feature = "server")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "helpers of tests fail the test that calls them, and times are measured"
)]

#[path = "kill/creates.rs"]
mod creates;
#[path = "kill/dice.rs"]
mod dice;
#[path = "kill/engine.rs"]
mod engine;
#[path = "kill/given.rs"]
mod given;
#[path = "kill/in_flight.rs"]
mod in_flight;
#[path = "kill/people.rs"]
mod people;
#[path = "kill/pids.rs"]
mod pids;
#[path = "kill/processes.rs"]
mod processes;
#[path = "kill/server.rs"]
mod server;
#[path = "kill/signals.rs"]
mod signals;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::proxy::Proxy;
use tokio::sync::Mutex;

use crate::dice::Dice;
use crate::engine::PrivateEngine;
use crate::given::given;
use crate::in_flight::{IN_FLIGHT, KILL_WITHIN};
use crate::people::{People, Person};
use crate::server::{Server, free_port, last_words};

/// Kills in each mode.
const KILLS: usize = 4;
/// Instances, and so starts that can be in flight.
const INSTANCES: usize = 12;
/// A kill that found fewer is one more, up to so many in all: answers may come between the decision and the signal.
const TRIES: usize = 3 * KILLS;
/// Converged or in a named hold within 15 s after the engine answers again; five times that on a busy machine.
const CONVERGED: Duration = Duration::from_secs(75);
/// For what is arranged before a kill and has no figure of its own.
const PATIENCE: Duration = Duration::from_secs(150);
const LOOK: Duration = Duration::from_millis(200);

/// Two cores: the two modes take turns.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f20_engine_killed_with_starts_in_flight_with_live_restore() {
    run(true, During::Starts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f20_engine_killed_with_starts_in_flight_without_live_restore() {
    run(false, During::Starts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_engine_killed_with_creates_in_flight() {
    run(false, During::Creates).await;
}

/// Which calls a kill cuts.
#[derive(Debug, Clone, Copy)]
enum During {
    Starts,
    Creates,
}

async fn run(live_restore: bool, during: During) {
    let Some(shared) = given("docker", "TENANCY_TEST_DOCKER_HOST") else {
        return;
    };
    let Some(image) = given("docker", "TENANCY_TEST_STAND_IN_IMAGE") else {
        return;
    };
    if !may_run_an_engine() {
        return;
    }
    let _turn = TURN.lock().await;
    let mut dice = Dice::of_this_run();
    let mut engine = PrivateEngine::new(free_port(), live_restore);
    // Whatever becomes of it, no engine and no process stays behind.
    let outcome = AssertUnwindSafe(work(&mut engine, &mut dice, &shared, &image, during))
        .catch_unwind()
        .await;
    engine.remove().await;
    match outcome {
        Ok(figures) => println!("{during:?}, live-restore {live_restore}: {figures:?}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

async fn work(
    engine: &mut PrivateEngine,
    dice: &mut Dice,
    shared: &str,
    image: &str,
    during: During,
) -> Figures {
    let data = tempfile::tempdir().unwrap();
    engine.start().await;
    engine.load(shared, image);
    let upstream = ([127, 0, 0, 1], engine.port).into();
    let proxy = Proxy::start(upstream).await.unwrap();
    let api = free_port();
    let people = People::start(api).await;
    configure(data.path(), api, &proxy, engine.subnet, image, &people);
    let server = Server::start(data.path()).await;
    println!("server ready after {:.2?}", server.ready_after);
    let mut world = World {
        engine,
        proxy,
        admin: people.person("admin"),
        people: (0..INSTANCES)
            .map(|number| people.person(&format!("person-{number}")))
            .collect(),
        kill_within: KILL_WITHIN,
        figures: Figures::default(),
    };
    let outcome = AssertUnwindSafe(async {
        match during {
            During::Starts => world.starts(dice).await,
            During::Creates => world.creates(dice).await,
        }
    })
    .catch_unwind()
    .await;
    let (figures, engine_said) = (world.figures, world.engine.last_words());
    server.kill().await;
    if let Err(panic) = outcome {
        // What says most comes last: of a long log the end is kept.
        panic!(
            "the server's last lines:\n{}\nthe engine's last lines:\n{engine_said}\n{during:?}: {figures:?}\n{}",
            last_words(data.path()),
            said(&*panic)
        );
    }
    figures
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}

struct World<'a> {
    engine: &'a mut PrivateEngine,
    proxy: Proxy,
    admin: Person,
    people: Vec<Person>,
    /// The next kill comes at a random moment within this.
    kill_within: Duration,
    figures: Figures,
}

/// What was seen, over all kills of a mode.
#[derive(Debug, Default)]
struct Figures {
    /// Starts or creates that the engine had and never answered, at each kill.
    in_flight: Vec<u64>,
    /// When each kill came, in milliseconds after the engine went on with all of them before it.
    killed_after_ms: Vec<u128>,
    /// Containers with a live process on a volume that the returned engine did not list as running.
    ghosts: usize,
    /// Instances that were held: by such a process, or by a shim that keeps a task without one.
    held: usize,
    /// How long the engine took to answer again, in milliseconds.
    engine_back_ms: Vec<u128>,
    /// And from then on until every instance ran or was held.
    converged_ms: Vec<u128>,
}

impl World<'_> {
    async fn starts(&mut self, dice: &mut Dice) {
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

    /// The engine has returned: everything runs or is held, whoever is held is released, and everything runs.
    async fn recover(&mut self) {
        let returned = Instant::now();
        let held = self.converge().await;
        self.figures
            .converged_ms
            .push(returned.elapsed().as_millis());
        self.every_ghost_is_named(&held).await;
        self.release(&held).await;
        self.until_all("running").await;
        self.one_writer_each();
        self.what_runs_is_seen();
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

    /// Waits until each instance runs or is held; answers who is held. All the while no volume has two writers.
    async fn converge(&self) -> BTreeMap<String, Value> {
        self.until_run_or(is_ghost_hold).await
    }

    async fn until_run_or(
        &self,
        held: impl Fn(&Value) -> bool + Send + Sync,
    ) -> BTreeMap<String, Value> {
        let end = Instant::now() + CONVERGED;
        loop {
            self.one_writer_each();
            let now = self.look().await;
            if now
                .values()
                .all(|answer| answer["phase"] == "running" || held(answer))
            {
                return now.into_iter().filter(|(_, answer)| held(answer)).collect();
            }
            assert!(
                Instant::now() < end,
                "neither running nor held: {}",
                brief(&now)
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whoever lives without being listed by the engine has a tenant that is held.
    async fn every_ghost_is_named(&mut self, held: &BTreeMap<String, Value>) {
        self.figures.held += held.len();
        let named: BTreeSet<String> = held
            .values()
            .map(|answer| field(answer, "id").replace('-', ""))
            .collect();
        let listed = self.engine.running();
        let mut ghosts = BTreeSet::new();
        for process in self.processes() {
            if !listed.contains(&process.container) {
                assert!(
                    named.iter().any(|tenant| process.volume.contains(tenant)),
                    "nobody names {process:?}"
                );
                ghosts.insert(process.container);
            }
        }
        self.figures.ghosts += ghosts.len();
    }

    /// What an operator does about a hold: ends what runs on the volume and the shim that keeps it, which names the
    /// container; then releases.
    async fn release(&self, held: &BTreeMap<String, Value>) {
        for answer in held.values() {
            let id = field(answer, "id");
            let tenant = id.replace('-', "");
            let told = field(&answer["status"], "message");
            let container = processes::container_id(told).expect("the hold names the container");
            let shims = pids::naming(container).into_iter().map(|(_, pid)| pid);
            let on_volume = self.processes().into_iter();
            let on_volume = on_volume
                .filter(|process| process.volume.contains(&tenant))
                .map(|process| process.pid);
            let pids: Vec<u32> = on_volume.chain(shims).collect();
            pids::kill(&pids);
            self.let_go(id).await;
        }
    }

    async fn let_go(&self, id: &str) {
        let path = format!("/api/tenants/{id}/release");
        let (status, answer) = self.admin.ask(Method::POST, &path, None).await.unwrap();
        assert!((200..300).contains(&status), "{status} {answer}");
    }

    fn one_writer_each(&self) {
        let mut writers = BTreeMap::<String, BTreeSet<String>>::new();
        for process in self.processes() {
            let of_volume = writers.entry(process.volume).or_default();
            of_volume.insert(process.container);
        }
        let twins: Vec<_> = writers.iter().filter(|(_, each)| each.len() > 1).collect();
        assert!(twins.is_empty(), "two writers on one volume: {twins:?}");
    }

    /// The evidence sees what there is: a writer for each instance, in the container that the engine lists.
    fn what_runs_is_seen(&self) {
        let seen: BTreeSet<String> = self
            .processes()
            .into_iter()
            .map(|found| found.container)
            .collect();
        let listed: BTreeSet<String> = self.engine.running().into_iter().collect();
        assert_eq!(seen.len(), INSTANCES);
        assert_eq!(seen, listed);
    }

    fn processes(&self) -> Vec<processes::OnVolume> {
        processes::on_volumes(self.engine.volumes().to_str().unwrap())
    }

    /// Everybody asks for an instance.
    async fn ask_for_all(&self, key: &str) {
        let body = json!({ "plan": "free" });
        for person in &self.people {
            let made = person.ask(Method::POST, "/api/tenants", Some((&body, key)));
            assert_eq!(made.await.expect("the server is up").0, 202);
        }
    }

    /// Everybody asks for a change at once.
    async fn all(&self, action: &str) {
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

    async fn until_all(&self, phase: &str) {
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

    async fn look(&self) -> BTreeMap<String, Value> {
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
fn brief(seen: &BTreeMap<String, Value>) -> String {
    let odd = seen.values().filter(|answer| answer["phase"] != "running");
    odd.map(|answer| format!("\n{} {}", field(answer, "id"), answer["status"]))
        .collect()
}

fn is_ghost_hold(answer: &Value) -> bool {
    answer["phase"] == "held" && answer["status"]["reason"] == "ghost_suspected"
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

/// Whether this process may start an engine.
fn may_run_an_engine() -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let installed = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    let may = root
        && ["dockerd", "containerd", "tini", "unshare", "ip"]
            .into_iter()
            .all(installed);
    let required = std::env::var("TENANCY_TEST_REQUIRE").unwrap_or_default();
    assert!(
        may || required != "all",
        "TENANCY_TEST_REQUIRE=all, but only root with dockerd, containerd, tini, unshare and ip can run this"
    );
    if !may {
        println!("skipped: only root with dockerd, containerd, tini, unshare and ip can run this");
    }
    may
}

fn configure(data: &Path, api: u16, proxy: &Proxy, subnet: u8, image: &str, people: &People) {
    let (edge, engine, identity) = (free_port(), proxy.address(), people.section());
    let config = format!(
        r#"
[server]
listen = "127.0.0.1:{api}"
[edge]
listen = "127.0.0.1:{edge}"
[metrics]
enabled = false
[[hosts]]
id = "private"
address = "tcp://{engine}"
[image]
reference = "{image}"
floor = "16 MiB"
[reconcile]
# Other tests on this machine have pools of their own.
subnet_pool = "10.234.{subnet}.0/24"
cpu_percent = 4000
{identity}"#
    );
    std::fs::write(data.join("config.toml"), config).unwrap();
}

/// The text of a field of an answer.
fn field<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_default()
}
