//! The rules of [`HostScheduler`].
//!
//! A scheduler is pure, so there is no fixture: the expression given to the macro is the scheduler.

use std::collections::BTreeMap;

use super::Rule;
use crate::clock::Timestamp;
use crate::host::{Host, HostFacts, HostState, Overcommit, Reserved, Shortage, StorageQuota};
use crate::id::HostId;
use crate::plan::Limits;
use crate::quantity::{Bytes, MilliCpus};
use crate::scheduler::{Fleet, HostScheduler, Refusal, Request};

/// Every rule.
pub const RULES: &[Rule<dyn HostScheduler>] = crate::conformance_scheduler!(@list table []);

/// Expands to one `#[test]` for each rule of
/// [`HostScheduler`](crate::scheduler::HostScheduler).
///
/// The argument is an expression that is evaluated anew for each test: the scheduler.
#[macro_export]
macro_rules! conformance_scheduler {
    (@list $how:ident [$($with:tt)*]) => {
        $crate::conformance_scheduler! { @$how [$($with)*]
            place_is_deterministic
            place_never_chooses_a_host_without_room
            place_finds_the_only_room
            place_leaves_hosts_that_take_nothing
            place_breaks_ties_by_the_least_id
            place_keeps_to_the_labels
            place_gives_the_capacity_it_chose_by
            refusal_names_each_host
            refusal_is_hopeless_only_where_no_empty_host_would_do
        }
    };
    (@test [$scheduler:expr] $($rule:ident)*) => {
        $(
            #[test]
            fn $rule() {
                $crate::conformance::scheduler::$rule(&$scheduler);
            }
        )*
    };
    (@table [] $($rule:ident)*) => {
        &[$($crate::conformance::Rule {
            name: stringify!($rule),
            check: |scheduler| Box::pin(async move { $rule(scheduler) }),
        }),*]
    };
    ($scheduler:expr) => {
        $crate::conformance_scheduler! { @list test [$scheduler] }
    };
}

fn id(name: &str) -> HostId {
    HostId::new(name).expect("a label")
}

/// A ready host with 4 CPUs and 9 GiB, of which 8 GiB are for instances.
fn host(name: &str) -> Host {
    Host {
        id: id(name),
        labels: BTreeMap::new(),
        cordoned: false,
        state: HostState::Ready,
        facts: Some(HostFacts {
            cpu: MilliCpus(4000),
            memory: Bytes::gib(9),
            swap: Some(Bytes(0)),
            swap_measured_at: None,
            swap_limit: true,
            storage_quota: StorageQuota::None,
            engine_version: "kit".to_owned(),
            api_version: "1.41".to_owned(),
            operating_system: "kit".to_owned(),
            markers: Vec::new(),
            subnets: Vec::new(),
            unaccounted: 0,
        }),
        marker: None,
        reserved: Reserved::default(),
    }
}

fn request(memory_mib: u64) -> Request {
    Request {
        limits: Limits {
            cpu: MilliCpus(1000),
            memory: Bytes::mib(memory_mib),
            swap: Bytes(0),
            storage: Bytes::gib(1),
            pids: 64,
        },
        floor: Bytes::mib(512),
        labels: BTreeMap::new(),
    }
}

fn fleet(hosts: &[Host]) -> Fleet {
    Fleet::new(hosts, &Overcommit::default())
}

fn chosen(scheduler: &dyn HostScheduler, request: &Request, hosts: &[Host]) -> HostId {
    let placed = scheduler.place(request, &fleet(hosts));
    placed.expect("a host has room").host
}

fn refused(scheduler: &dyn HostScheduler, request: &Request, hosts: &[Host]) -> Refusal {
    let placed = scheduler.place(request, &fleet(hosts));
    placed.expect_err("no host has room")
}

/// Three hosts, unequally full.
fn unequal() -> Vec<Host> {
    let mut hosts = vec![host("h1"), host("h2"), host("h3")];
    for (host, instances) in hosts.iter_mut().zip([1_u64, 3, 2]) {
        for _ in 0..instances {
            host.reserved = host.reserved.with(&request(1024).limits);
        }
    }
    hosts
}

/// The same question has the same answer, also when the hosts are told in another order.
pub fn place_is_deterministic(scheduler: &dyn HostScheduler) {
    let mut hosts = unequal();
    let first = chosen(scheduler, &request(1024), &hosts);
    for _ in 0..6 {
        hosts.rotate_left(1);
        assert_eq!(chosen(scheduler, &request(1024), &hosts), first);
        hosts.swap(0, 1);
        assert_eq!(chosen(scheduler, &request(1024), &hosts), first);
    }
}

/// Filling a fleet to the end gives every instance room, and ends in a refusal.
pub fn place_never_chooses_a_host_without_room(scheduler: &dyn HostScheduler) {
    let mut hosts = unequal();
    // Sizes that leave remainders, so that what is full for one is not for another.
    for size in [1024, 1536, 3072, 700].into_iter().cycle().take(200) {
        let request = request(size);
        let Ok(placed) = scheduler.place(&request, &fleet(&hosts)) else {
            continue;
        };
        let host = hosts.iter_mut().find(|host| host.id == placed.host);
        let host = host.expect("a host of the fleet");
        let facts = host.facts.as_ref().expect("looked at");
        let capacity = Overcommit::default().capacity(facts);
        let lack = capacity.shortage(&host.reserved, &request.limits, request.floor);
        assert_eq!(lack, None, "{} was chosen at {:?}", host.id, host.reserved);
        host.reserved = host.reserved.with(&request.limits);
    }
    refused(scheduler, &request(1024), &hosts);
}

/// One host with room among many without is found.
pub fn place_finds_the_only_room(scheduler: &dyn HostScheduler) {
    for open in 0..5 {
        let mut hosts: Vec<_> = (0..5).map(|n| host(&format!("h{n}"))).collect();
        for (n, host) in hosts.iter_mut().enumerate() {
            if n != open {
                host.reserved.memory = Bytes::gib(8);
            }
        }
        assert_eq!(
            chosen(scheduler, &request(1024), &hosts),
            id(&format!("h{open}"))
        );
    }
}

/// Cordoned, unreachable, quarantined and unknown hosts are not chosen.
pub fn place_leaves_hosts_that_take_nothing(scheduler: &dyn HostScheduler) {
    let mut hosts = closed();
    hosts.push(host("z-open"));
    assert_eq!(chosen(scheduler, &request(1024), &hosts), id("z-open"));
}

fn closed() -> Vec<Host> {
    let since = Timestamp::from_seconds(1_800_000_000);
    let reason = "kit".to_owned();
    let states = [
        HostState::New,
        HostState::Unreachable {
            since,
            reason: reason.clone(),
        },
        HostState::Quarantined { since, reason },
    ];
    let mut hosts: Vec<_> = states
        .into_iter()
        .enumerate()
        .map(|(n, state)| Host {
            state,
            ..host(&format!("closed-{n}"))
        })
        .collect();
    hosts.push(Host {
        cordoned: true,
        ..host("closed-3")
    });
    hosts
}

/// Among equal hosts the one with the least id is chosen.
pub fn place_breaks_ties_by_the_least_id(scheduler: &dyn HostScheduler) {
    for names in [["b", "a", "c"], ["c", "b", "a"], ["a", "c", "b"]] {
        let hosts = names.map(host);
        assert_eq!(chosen(scheduler, &request(1024), &hosts), id("a"));
    }
}

/// Only a host with every label that is asked for is chosen.
pub fn place_keeps_to_the_labels(scheduler: &dyn HostScheduler) {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut hosts = vec![host("h1"), host("h2"), host("h3")];
    hosts[1].labels = BTreeMap::from([label("disk", "ssd")]);
    hosts[2].labels = BTreeMap::from([label("disk", "ssd"), label("zone", "b")]);
    hosts[2].reserved = hosts[2].reserved.with(&request(1024).limits);
    let mut wanted = request(1024);
    wanted.labels = hosts[2].labels.clone();
    assert_eq!(chosen(scheduler, &wanted, &hosts), id("h3"));
    wanted.labels = BTreeMap::from([label("disk", "tape")]);
    let refusal = refused(scheduler, &wanted, &hosts);
    let lacks =
        |lack: &Shortage| matches!(lack, Shortage::NotTaking { reason } if reason.contains("disk"));
    assert!(
        refusal.hosts.iter().all(|(_, lack)| lacks(lack)),
        "{refusal:?}"
    );
}

/// The answer carries the capacity the choice was made by, which the store checks again.
pub fn place_gives_the_capacity_it_chose_by(scheduler: &dyn HostScheduler) {
    let overcommit = Overcommit {
        cpu_percent: 250,
        memory_percent: 80,
        memory_reserve: Bytes::gib(2),
    };
    let only = host("h1");
    let fleet = Fleet::new(std::slice::from_ref(&only), &overcommit);
    let placed = scheduler.place(&request(1024), &fleet);
    let facts = only.facts.as_ref().expect("looked at");
    assert_eq!(
        placed.expect("a host has room").capacity,
        overcommit.capacity(facts)
    );
}

/// A refusal says of each host what it lacks, in the order of their ids.
pub fn refusal_names_each_host(scheduler: &dyn HostScheduler) {
    let mut hosts = closed();
    let mut full = host("a-full");
    full.reserved.memory = Bytes::gib(8);
    hosts.push(full);
    let refusal = refused(scheduler, &request(1024), &hosts);
    let named: Vec<_> = refusal.hosts.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(
        named,
        ["a-full", "closed-0", "closed-1", "closed-2", "closed-3"]
    );
    assert_eq!(
        refusal.hosts[0].1,
        Shortage::Memory {
            needed: Bytes::gib(1),
            available: Bytes(0)
        }
    );
    for (host, lack) in &refusal.hosts[1..] {
        assert!(
            matches!(lack, Shortage::NotTaking { .. }),
            "{host}: {lack:?}"
        );
    }
}

/// Waiting helps where a host is full or closed, and does not where it is too small.
pub fn refusal_is_hopeless_only_where_no_empty_host_would_do(scheduler: &dyn HostScheduler) {
    let too_much = request(9 * 1024);
    assert!(refused(scheduler, &too_much, &[host("h1"), host("h2")]).hopeless);
    let mut full = host("h1");
    full.reserved.memory = Bytes::gib(8);
    assert!(!refused(scheduler, &request(1024), &[full]).hopeless);
    assert!(!refused(scheduler, &request(1024), &closed()).hopeless);
    assert!(!refused(scheduler, &request(1024), &[]).hopeless);
}
