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
#[path = "kill/recover.rs"]
mod recover;
#[path = "kill/server.rs"]
mod server;
#[path = "kill/signals.rs"]
mod signals;
#[path = "kill/starts.rs"]
mod starts;
#[path = "kill/world.rs"]
mod world;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use futures::FutureExt as _;
use test_support::private_engine::{Ground, PrivateEngine, may_run_an_engine};
use test_support::proxy::Proxy;
use tokio::sync::Mutex;

use crate::dice::Dice;
use crate::given::given;
use crate::in_flight::KILL_WITHIN;
use crate::people::People;
use crate::server::{Server, free_port, last_words};
use crate::world::{Figures, INSTANCES, World};

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
    let port = free_port();
    let mut engine = private_engine(port, live_restore);
    // Whatever becomes of it, no engine and no process stays behind.
    let outcome = AssertUnwindSafe(work(&mut engine, port, &mut dice, &shared, &image, during))
        .catch_unwind()
        .await;
    engine.remove().await;
    match outcome {
        Ok(figures) => println!("{during:?}, live-restore {live_restore}: {figures:?}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// One that listens on a port too, for a proxy in between.
fn private_engine(port: u16, live_restore: bool) -> PrivateEngine {
    // Networks of a run that was killed may still be there.
    let third = u8::try_from(std::process::id() % 250).unwrap() + u8::from(live_restore);
    let ground = Ground {
        bridge: "octkill0",
        address: "10.235.255.1/29",
        networks: [10, 234, third],
    };
    let restore = if live_restore { "--live-restore" } else { "" };
    PrivateEngine::new(
        ground,
        format!("-H tcp://127.0.0.1:{port} --tls=false {restore}"),
    )
}

async fn work(
    engine: &mut PrivateEngine,
    port: u16,
    dice: &mut Dice,
    shared: &str,
    image: &str,
    during: During,
) -> Figures {
    let data = tempfile::tempdir().unwrap();
    engine.start().await;
    engine.load(shared, image);
    let upstream = ([127, 0, 0, 1], port).into();
    let proxy = Proxy::start(upstream).await.unwrap();
    let api = free_port();
    let people = People::start(api).await;
    configure(data.path(), api, &proxy, &engine.pool(), image, &people);
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

fn configure(data: &Path, api: u16, proxy: &Proxy, pool: &str, image: &str, people: &People) {
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
subnet_pool = "{pool}"
cpu_percent = 4000
{identity}"#
    );
    std::fs::write(data.join("config.toml"), config).unwrap();
}
