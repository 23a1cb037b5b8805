//! F27, F25: one of two servers is paused past the lease of its claims, or killed, in the middle of its work.
//!
//! The other takes over, and what the paused one does when it wakes changes nothing. What is true is asked of the
//! engine and of the kernel, and of both servers.

mod pair;

use std::any::Any;
use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use openclaw_tenancy::reconcile::Pace;
use serde_json::{Value, json};
use test_support::proxy::Mode;
use tokio::time::{Instant, sleep, timeout};

use crate::docker::Kind;
use crate::holdings::{no_twins, under_way};
use crate::left::{only_these_run, until_left};
use crate::signals::Signals;
use crate::support::PATIENCE;
use pair::{OTHER, Pair, VICTIM};

/// Somebody whose instance is at rest all the while.
const AT_REST: usize = 0;
/// Those whose instances are made and deleted meanwhile.
const BUSY: Range<usize> = 1..5;
/// Somebody who comes when it is over.
const NEWCOMER: usize = 5;
const PEOPLE: usize = 6;

/// The other has done the work within this after the end of the lease (F27).
const TAKEN_OVER: Duration = Duration::from_secs(5);
/// As many times that is a failure on any machine.
const SLACK: u32 = 5;
/// How often it is looked for what is soon over.
const MOMENT: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f27_one_of_two_servers_is_paused_past_its_lease_or_killed_and_the_other_takes_over() {
    // Most of each is waiting for a lease.
    let (one, two, three) = tokio::join!(
        round("paused_creating", "10.231.8.0/24", paused_creating),
        round("killed_creating", "10.231.9.0/24", killed_creating),
        round("paused_deleting", "10.231.10.0/24", paused_deleting),
    );
    for outcome in [one, two, three] {
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }
}

/// A round on a deployment of its own: whatever becomes of it, nothing stays on the engine.
async fn round(
    name: &'static str,
    subnets: &'static str,
    act: impl AsyncFnOnce(&mut Pair),
) -> Result<(), Box<dyn Any + Send>> {
    let Some(mut pair) = Pair::given(name, subnets, PEOPLE).await else {
        return Ok(());
    };
    let began = Instant::now();
    let outcome = AssertUnwindSafe(act(&mut pair)).catch_unwind().await;
    println!("{name}: {:.2?} in all", began.elapsed());
    if outcome.is_err() {
        println!("{name} failed; last lines of {}", pair.last_words().await);
    }
    pair.clear().await;
    outcome
}

/// What it had asked the engine for arrives when the other has done it all.
async fn paused_creating(pair: &mut Pair) {
    let victim = begin(pair).await;
    let asking = create(pair, VICTIM);
    let (mut signals, caught) =
        stop_in_the_middle(pair, &victim, "/containers/create", asking).await;
    taken_over("paused while it created", pair, &caught, is_running).await;
    assert!(pair.claims_of(&victim).await.is_empty(), "its claims");
    let_pass(pair).await;
    signals.go_on();
    let log = afterwards(pair).await;
    caught.all_fenced(&log);
}

/// What it had asked the engine for arrives, and nobody waits for the answer.
async fn killed_creating(pair: &mut Pair) {
    let victim = begin(pair).await;
    let asking = create(pair, VICTIM);
    let (mut signals, caught) = stop_in_the_middle(pair, &victim, "/start", asking).await;
    signals.kill();
    pair.is_killed(VICTIM).await;
    let_pass(pair).await;
    taken_over("killed while it started", pair, &caught, is_running).await;
    pair.start(VICTIM).await;
    afterwards(pair).await;
}

/// What it had asked the engine to remove is gone when that arrives.
async fn paused_deleting(pair: &mut Pair) {
    let victim = begin(pair).await;
    create(pair, OTHER).await;
    told(pair, 2 * PATIENCE, is_running).await;
    let asking = async { _ = join_all(BUSY.map(|person| delete(pair, VICTIM, person))).await };
    let (mut signals, caught) = stop_in_the_middle(pair, &victim, "DELETE ", asking).await;
    taken_over("paused while it deleted", pair, &caught, is_gone).await;
    let (_, at_rest) = pair.mine(OTHER, AT_REST).await;
    let left = BTreeSet::from([at_rest["id"].as_str().unwrap()]);
    until_left(&pair.docker(), &left, PATIENCE).await;
    let_pass(pair).await;
    signals.go_on();
    both_healthy(pair).await;
    until_left(&pair.docker(), &left, PATIENCE).await;
    create(pair, VICTIM).await;
    told(pair, 2 * PATIENCE, is_running).await;
    let log = afterwards(pair).await;
    caught.all_fenced(&log);
}

/// Starts the victim, which makes an instance alone and so shows its name in claims, then the other.
async fn begin(pair: &mut Pair) -> String {
    pair.start(VICTIM).await;
    ask_for_one(pair, VICTIM, AT_REST).await;
    let named = async {
        loop {
            if let Some(worker) = pair.workers().await.pop_first() {
                return worker;
            }
            sleep(MOMENT).await;
        }
    };
    let worker = timeout(PATIENCE, named).await.expect("it claims work");
    running(pair, VICTIM, AT_REST).await;
    pair.start(OTHER).await;
    worker
}

/// Everybody who is busy asks one of the servers for an instance.
async fn create(pair: &Pair, which: usize) {
    join_all(BUSY.map(|person| ask_for_one(pair, which, person))).await;
}

async fn ask_for_one(pair: &Pair, which: usize, person: usize) {
    let (server, bearer) = (pair.server(which), &pair.people[person]);
    let plan = json!({ "plan": "free" });
    let (status, made) = server.post("/api/tenants", bearer, plan).await;
    assert_eq!(status, 202, "{made}");
}

async fn delete(pair: &Pair, which: usize, person: usize) {
    let (server, bearer) = (pair.server(which), &pair.people[person]);
    let (status, deleted) = server.delete("/api/tenants/me", bearer).await;
    assert_eq!(status, 202, "{deleted}");
}

/// What the victim was stopped in.
struct Caught {
    at: Instant,
    /// Those that it holds.
    tenants: BTreeSet<String>,
    /// What was left then of the lease that ends last of these.
    lease: Duration,
}

/// Stops the victim while it holds everybody who is busy, with such a call on its way to the engine for each.
///
/// Nothing of it hangs on who is fast: the other stands still while the victim claims what is asked for.
async fn stop_in_the_middle(
    pair: &Pair,
    worker: &str,
    call: &'static str,
    asking: impl Future<Output = ()>,
) -> (Signals, Caught) {
    let mut other = Signals::to(&[pair.server(OTHER).pid()]);
    let stands_still = async {
        loop {
            other.stop().await;
            // Not with a claim in its own hand.
            if pair.workers().await.iter().all(|holder| holder == worker) {
                return;
            }
            other.go_on();
            sleep(MOMENT).await;
        }
    };
    timeout(PATIENCE, stands_still).await.expect("it rests");
    let before = pair.proxy.held();
    pair.proxy.set(Mode::HoldRequest(call));
    asking.await;
    let on_their_way = async {
        while pair.proxy.held() - before < BUSY.len() as u64 {
            sleep(LOOK).await;
        }
    };
    timeout(PATIENCE, on_their_way).await.expect(call);
    let mut victim = Signals::to(&[pair.server(VICTIM).pid()]);
    let end = Instant::now() + PATIENCE;
    let (at, lease, tenants) = loop {
        let at = Instant::now();
        victim.stop().await;
        let claims = pair.claims_of(worker).await;
        let lease = claims.values().copied().max().unwrap_or_default();
        let tenants: BTreeSet<String> = claims.into_keys().collect();
        // A call may be held twice for one of them, where the first took too long.
        let whole = tenants.len() == BUSY.len() && under_way(&pair.docker()).await == tenants;
        if whole || end < Instant::now() {
            break (at, lease, tenants);
        }
        victim.go_on();
        sleep(MOMENT).await;
    };
    assert_eq!(tenants.len(), BUSY.len(), "{call}: {tenants:?}");
    assert_eq!(under_way(&pair.docker()).await, tenants, "{call}");
    other.go_on();
    (victim, Caught { at, tenants, lease })
}

/// What was on its way to the engine arrives, and has its effect.
async fn let_pass(pair: &Pair) {
    pair.proxy.set(Mode::Pass);
    let arrives = async {
        loop {
            let calls = pair.proxy.released();
            if calls.passed_on >= BUSY.len() as u64 && calls.in_flight() == 0 {
                return;
            }
            sleep(MOMENT).await;
        }
    };
    timeout(PATIENCE, arrives).await.expect("it arrives");
}

impl Caught {
    /// By the log of the server that was stopped, none of its work on these tenants was taken.
    fn all_fenced(&self, log: &str) {
        // A call to the store that was under way has ended by its deadline: as good.
        let refused = ["another worker has taken over", "not settled"];
        for tenant in &self.tenants {
            let mut lines = log.lines().filter(|line| line.contains(tenant));
            let fenced = lines.any(|line| refused.iter().any(|told| line.contains(told)));
            assert!(fenced, "{tenant} was not fenced: {log}");
        }
    }
}

/// Waits until the other has done the work, and holds the time against the lease.
async fn taken_over(
    what: &str,
    pair: &Pair,
    caught: &Caught,
    done: impl Fn(&(u16, Value)) -> bool,
) {
    let lease = Pace::default().lease;
    told(pair, lease + SLACK * TAKEN_OVER, done).await;
    let took = caught.at.elapsed();
    let (tenants, left) = (caught.tenants.len(), caught.lease);
    println!(
        "{what}: {tenants} tenants in the middle of it, their leases {left:.2?} from their end; the other had done \
         everything {took:.2?} after the signal (goal: {:?})",
        lease + TAKEN_OVER
    );
    assert!(took <= lease + SLACK * TAKEN_OVER, "{took:?}");
    assert!(took >= left, "nobody takes what is held: {took:?}");
}

/// Waits until the other server tells everybody who is busy this of theirs. No instance has two processes meanwhile.
async fn told(pair: &Pair, within: Duration, wanted: impl Fn(&(u16, Value)) -> bool) {
    let docker = pair.docker();
    let end = Instant::now() + within;
    let mut looks = 0_u32;
    for person in BUSY {
        loop {
            let answer = pair.mine(OTHER, person).await;
            if wanted(&answer) {
                break;
            }
            assert!(Instant::now() < end, "{answer:?}");
            looks += 1;
            if looks.is_multiple_of(20) {
                no_twins(&docker).await;
            }
            sleep(LOOK).await;
        }
    }
}

fn is_running((_, answer): &(u16, Value)) -> bool {
    answer["phase"] == "running"
}

fn is_gone((status, _): &(u16, Value)) -> bool {
    *status == 404
}

/// Waits until one of the servers tells somebody that their instance runs; its id.
async fn running(pair: &Pair, which: usize, person: usize) -> String {
    let asked = async {
        loop {
            let answer = pair.mine(which, person).await;
            if is_running(&answer) {
                return answer.1["id"].as_str().unwrap().to_owned();
            }
            sleep(LOOK).await;
        }
    };
    timeout(2 * PATIENCE, asked).await.expect("it runs")
}

/// Waits until both servers find nothing wrong.
async fn both_healthy(pair: &Pair) {
    let healthy = async {
        for which in [VICTIM, OTHER] {
            let bearer = &pair.people[AT_REST];
            while pair.server(which).get("/api/health", bearer).await.1["status"] != "ok" {
                sleep(LOOK).await;
            }
        }
    };
    timeout(PATIENCE, healthy).await.expect("both are healthy");
}

/// Both run again and everybody's instance runs: both tell the same, the victim works on alone, and nothing is there
/// twice. The victim's log.
async fn afterwards(pair: &mut Pair) -> String {
    both_healthy(pair).await;
    let docker = pair.docker();
    let same = async {
        for person in AT_REST..NEWCOMER {
            loop {
                let told = [VICTIM, OTHER].map(|which| pair.mine(which, person));
                let told = join_all(told).await;
                if told[0] == told[1] && is_running(&told[0]) {
                    break;
                }
                no_twins(&docker).await;
            }
        }
    };
    timeout(PATIENCE, same).await.expect("both tell the same");

    pair.end(OTHER).await;
    ask_for_one(pair, VICTIM, NEWCOMER).await;
    let mut tenants = BTreeSet::new();
    for person in 0..PEOPLE {
        tenants.insert(running(pair, VICTIM, person).await);
    }
    let tenants = tenants.iter().map(String::as_str).collect();
    until_left(&docker, &tenants, PATIENCE).await;
    only_these_run(&docker, PEOPLE).await;

    join_all((0..PEOPLE).map(|person| delete(pair, VICTIM, person))).await;
    let gone = async {
        for person in 0..PEOPLE {
            while !is_gone(&pair.mine(VICTIM, person).await) {
                sleep(LOOK).await;
            }
        }
    };
    timeout(2 * PATIENCE, gone).await.expect("all is deleted");
    // With its end, whatever it had begun has ended.
    let log = pair.end(VICTIM).await;
    for (kind, of_the_host) in [(Kind::Container, 0), (Kind::Network, 0), (Kind::Volume, 1)] {
        let left = docker.list(kind, "{{json .}}").await;
        assert_eq!(left.len(), of_the_host, "{left:?}");
    }
    log
}
