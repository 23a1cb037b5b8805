//! The two schedulers beside a bare scan for the best host over plain integers, as ratios measured in one run.
//!
//! Fleets of 10, 100 and 1,000 hosts, half full, and an instance of the Basic plan to place. The scan decides by the
//! same figures but knows no labels, no limit for one instance, no swap, no image floor and no ids: it is what no
//! placement can do without. `fleet` is what the reconciler pays beside it at each placement: making the fleet out of
//! the hosts that the store answered. Needs nothing.
//!
//! `PLACEMENT_BENCH_MILLIS` (default 20) is how long one turn takes, `PLACEMENT_BENCH_TURNS` (default 25) how many each
//! has.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use benches::turns::{from_env, median, median_ratio, nanos_each};
use openclaw_tenancy::host::{Host, HostFacts, HostState, Overcommit, Reserved, StorageQuota};
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::plan::{Limits, PlanCatalog};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::scheduler::{BinPack, Fleet, HostScheduler, Request, Spread};

fn main() -> anyhow::Result<()> {
    let lasts = Duration::from_millis(from_env("PLACEMENT_BENCH_MILLIS", 20)?);
    let turns = from_env("PLACEMENT_BENCH_TURNS", 25)?.max(1);
    println!("{turns} turns of {lasts:?} each; medians");
    println!(
        "{:>6} {:<9} {:>12} {:>12} {:>7} {:>12}",
        "hosts", "policy", "ns/placement", "ns/scan", "ratio", "ns/fleet"
    );
    for count in [10, 100, 1000] {
        let hosts = hosts(count)?;
        measure("spread", &Spread, &hosts, best_spread, turns, lasts)?;
        measure("bin-pack", &BinPack, &hosts, best_pack, turns, lasts)?;
    }
    Ok(())
}

/// What a host has left, and how many it has.
#[derive(Debug, Clone, Copy)]
struct Plain {
    memory_left: u64,
    cpu_left: u64,
    instances: u64,
}

fn measure(
    policy: &str,
    scheduler: &dyn HostScheduler,
    hosts: &[Host],
    scan: fn(&[Plain], Plain) -> Option<usize>,
    turns: u64,
    lasts: Duration,
) -> anyhow::Result<()> {
    let overcommit = Overcommit::default();
    let fleet = Fleet::new(hosts, &overcommit);
    let catalog = PlanCatalog::default();
    let basic = catalog
        .iter()
        .find(|plan| plan.name.as_str() == "basic")
        .context("the plans have a basic one")?;
    let request = Request {
        limits: basic.limits,
        floor: Bytes::gib(1),
        labels: BTreeMap::new(),
    };
    let (plain, needed) = (plain(hosts, &overcommit), needed(&request.limits));

    // Both must have done the same work.
    let placed = scheduler.place(&request, &fleet)?;
    let scanned = scan(&plain, needed).context("the scan finds no host")?;
    ensure!(
        placed.host == hosts[scanned].id,
        "{policy} takes {}, the scan {}",
        placed.host,
        hosts[scanned].id
    );

    let (mut ours, mut theirs, mut making) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..turns {
        ours.push(nanos_each(lasts, || {
            black_box(scheduler.place(black_box(&request), black_box(&fleet)).ok());
        }));
        theirs.push(nanos_each(lasts, || {
            black_box(scan(black_box(&plain), black_box(needed)));
        }));
        making.push(nanos_each(lasts, || {
            black_box(Fleet::new(black_box(hosts), &overcommit));
        }));
    }
    println!(
        "{:>6} {policy:<9} {:>12.0} {:>12.0} {:>7.2} {:>12.0}",
        hosts.len(),
        median(&ours),
        median(&theirs),
        median_ratio(&ours, &theirs),
        median(&making)
    );
    Ok(())
}

/// Hosts of 8 CPUs and 64 GiB that are half full: some a little more, some a little less.
fn hosts(count: u64) -> anyhow::Result<Vec<Host>> {
    let facts = HostFacts {
        cpu: MilliCpus(8000),
        memory: Bytes::gib(64),
        swap: Some(Bytes::gib(32)),
        swap_measured_at: None,
        swap_limit: true,
        storage_quota: StorageQuota::None,
        engine_version: "20.10.24".to_owned(),
        api_version: "1.41".to_owned(),
        operating_system: "Debian GNU/Linux 12".to_owned(),
        markers: vec!["0123456789abcdef".to_owned()],
        subnets: Vec::new(),
        unaccounted: 0,
    };
    let host = |n: u64| {
        // The same at every run, in no order: 12 to 19 instances of 1 CPU and 2 GiB.
        let instances = 12 + n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 8;
        Ok(Host {
            id: HostId::new(format!("worker-{n:04}"))?,
            labels: BTreeMap::from([("zone".to_owned(), format!("z{}", n % 3))]),
            cordoned: false,
            state: HostState::Ready,
            facts: Some(facts.clone()),
            marker: facts.markers.first().cloned(),
            reserved: Reserved {
                cpu: MilliCpus(1000 * instances),
                memory: Bytes::gib(2 * instances),
                swap: Bytes::mib(512 * instances),
                instances,
            },
        })
    };
    (0..count).map(host).collect()
}

fn plain(hosts: &[Host], overcommit: &Overcommit) -> Vec<Plain> {
    let known = |host: &Host| {
        host.facts
            .as_ref()
            .map(|facts| (host.reserved, facts.clone()))
    };
    let left = |(reserved, facts): (Reserved, HostFacts)| {
        let capacity = overcommit.capacity(&facts);
        Plain {
            memory_left: capacity.memory.0 - reserved.memory.0,
            cpu_left: capacity.cpu.0 - reserved.cpu.0,
            instances: reserved.instances,
        }
    };
    hosts.iter().filter_map(known).map(left).collect()
}

const fn needed(limits: &Limits) -> Plain {
    Plain {
        memory_left: limits.memory.0,
        cpu_left: limits.cpu.0,
        instances: 1,
    }
}

fn fits(host: &Plain, needed: Plain) -> bool {
    host.memory_left >= needed.memory_left && host.cpu_left >= needed.cpu_left
}

fn best_spread(hosts: &[Plain], needed: Plain) -> Option<usize> {
    let score = |host: &Plain| {
        (
            Reverse(host.memory_left),
            Reverse(host.cpu_left),
            host.instances,
        )
    };
    best(hosts, needed, score)
}

fn best_pack(hosts: &[Plain], needed: Plain) -> Option<usize> {
    best(hosts, needed, |host| (host.memory_left, host.cpu_left))
}

/// The first of the least.
fn best<S: Ord>(hosts: &[Plain], needed: Plain, score: impl Fn(&Plain) -> S) -> Option<usize> {
    hosts
        .iter()
        .enumerate()
        .filter(|(_, host)| fits(host, needed))
        .min_by_key(|(_, host)| score(host))
        .map(|(at, _)| at)
}
