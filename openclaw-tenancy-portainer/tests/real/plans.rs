//! Each plan that fits the host, proven from inside: what a process reads of its limits, and what it gets.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_tenancy::container::{EngineId, ObjectRef};
use openclaw_tenancy::plan::PlanCatalog;

use crate::engine::RealEngine;
use crate::limits::{BUSY, burn, window};
use crate::{PATIENCE, with_tenant};

/// The kernel's files of both cgroup versions, as a process in the container sees them; what is not there is left out.
const FILES: &str = "cd /sys/fs/cgroup && for file in cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu.max \
    memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory.max memory.swap.max \
    pids/pids.max pids.max; do [ -f $file ] && echo \"$file $(cat $file)\"; done; true";

/// A plan's limits in one form: CPU as a share, everything else in bytes or numbers.
#[derive(Debug, PartialEq)]
struct Inside {
    cpu: f64,
    memory: u64,
    /// Beyond the memory; none where the kernel does not account for swap.
    swap: Option<u64>,
    pids: u64,
}

async fn inside(engine: &RealEngine, id: &EngineId) -> Inside {
    let ran = engine.run(&id.0, FILES).await;
    let files: BTreeMap<&str, &str> = ran
        .output
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let number = |file: &str| -> Option<u64> { files.get(file)?.trim().parse().ok() };
    let whole = |version_1: &str, version_2: &str| {
        let found = number(version_1).or_else(|| number(version_2));
        found.unwrap_or_else(|| panic!("neither {version_1} nor {version_2} in {ran:?}"))
    };
    let memory = whole("memory/memory.limit_in_bytes", "memory.max");
    let (quota, period) = files.get("cpu.max").map_or_else(
        || {
            let part = |name: &str| number(&format!("cpu/cpu.cfs_{name}_us")).unwrap();
            (part("quota"), part("period"))
        },
        |both| {
            let (quota, period) = both.split_once(' ').unwrap();
            (quota.parse().unwrap(), period.trim().parse().unwrap())
        },
    );
    let both = number("memory/memory.memsw.limit_in_bytes");
    Inside {
        cpu: quota as f64 / period as f64,
        memory,
        swap: both
            .map(|both| both - memory)
            .or_else(|| number("memory.swap.max")),
        pids: whole("pids/pids.max", "pids.max"),
    }
}

/// The share of the whole host's time in which a CPU had nothing to do, since `before`.
async fn idle(engine: &RealEngine, id: &EngineId, before: Option<(f64, f64)>) -> (f64, (f64, f64)) {
    let ran = engine.run(&id.0, "head -n 1 /proc/stat").await;
    let times: Vec<f64> = ran
        .output
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // Idle and waiting for a disk are the fourth and fifth; the two after the eighth are counted before already.
    let now = (times[3] + times[4], times[..8].iter().sum::<f64>());
    let before = before.unwrap_or_default();
    ((now.0 - before.0) / (now.1 - before.1), now)
}

#[tokio::test]
async fn each_plan_that_fits_is_read_from_inside_and_met_by_a_busy_process() {
    with_tenant(|engine, t| async move {
        let _busy = BUSY.lock().await;
        t.ground().await;
        let host = t.backend.host(&t.host).await.unwrap();
        let catalog = PlanCatalog::default();
        let fit = catalog.iter().filter(|plan| plan.limits.cpu <= host.cpu);
        for (generation, plan) in (1..).zip(fit) {
            let (name, limits) = (&plan.name, plan.limits);
            let id = t.make(&t.instance(generation, limits)).await.unwrap().id;
            t.start(&id).await.unwrap();
            let cpus = limits.cpu.0 as f64 / 1000.0;
            let expected = Inside {
                cpu: cpus,
                memory: limits.memory.0,
                swap: host.swap_limit.then_some(limits.swap.0),
                pids: limits.pids.into(),
            };
            assert_eq!(inside(&engine, &id).await, expected, "{name}");

            burn(&engine, &id).await;
            let (mut best, mut used_up) = (0.0_f64, 0.0);
            let (_, before) = idle(&engine, &id, None).await;
            let begin = tokio::time::Instant::now();
            while best < cpus * 0.97 && begin.elapsed() < PATIENCE {
                let seen = window(&engine, &id, Duration::from_secs(5)).await;
                seen.check(cpus);
                best = best.max(seen.share);
                used_up += seen.used_up;
            }
            let (idle, _) = idle(&engine, &id, Some(before)).await;
            println!(
                "{name}: {cpus} CPU, {best:.3} measured, {used_up} periods used up, the host {:.1} % idle",
                idle * 100.0
            );
            assert_eq!(inside(&engine, &id).await, expected, "{name}, busy");
            // It had the plan's share or met its limit. Only a limit as large as the host cannot be met: there it had
            // all that others left.
            let had_the_rest = limits.cpu >= host.cpu && idle < 0.03;
            assert!(
                best >= cpus * 0.97 || used_up > 0.0 || had_the_rest,
                "{name}: {best:.3} of {cpus} CPU at best, the host {idle:.3} idle"
            );
            t.remove(&ObjectRef::Container(id)).await.unwrap();
        }
    })
    .await;
}
