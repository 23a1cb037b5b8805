//! Limits as the engine holds them, and as a process inside meets them.

use std::time::Duration;

use openclaw_tenancy::backend::BackendError;
use openclaw_tenancy::container::{AppliedLimits, DATA_PATH, EngineId, RunState};
use openclaw_tenancy::plan::{Limits, PlanCatalog};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::common::{plan, told};
use crate::engine::{GREEDY, RealEngine};
use crate::{PATIENCE, until, with_tenant};

#[tokio::test]
async fn inspect_shows_the_figures_of_each_plan_that_fits_and_refuses_the_others() {
    with_tenant(|engine, t| async move {
        t.ground().await;
        let host = t.backend.host(&t.host).await.unwrap();
        for (generation, plan) in (1..).zip(PlanCatalog::default().iter()) {
            let made = t.make(&t.instance(generation, plan.limits)).await;
            if plan.limits.cpu > host.cpu {
                let refused = made.unwrap_err();
                assert!(
                    matches!(refused, BackendError::Refused { .. }),
                    "{}: {refused:?}",
                    plan.name
                );
                assert!(
                    told(&refused).contains("CPUs available"),
                    "{}",
                    told(&refused)
                );
                continue;
            }
            let id = made.unwrap().id;
            let shown = engine.inspect(&id.0).await;
            let config = &shown["HostConfig"];
            let limits = plan.limits;
            assert_eq!(
                config["NanoCpus"],
                limits.cpu.0 * 1_000_000,
                "{}",
                plan.name
            );
            assert_eq!(config["Memory"], limits.memory.0, "{}", plan.name);
            assert_eq!(
                config["MemorySwap"],
                limits.memory.0 + limits.swap.0,
                "{}",
                plan.name
            );
            assert_eq!(config["PidsLimit"], limits.pids, "{}", plan.name);
            let rotation = json!({ "max-size": "5m", "max-file": "3" });
            let log = json!({ "Type": "json-file", "Config": rotation });
            assert_eq!(config["LogConfig"], log, "{}", plan.name);
            let seen = t.backend.inspect(&t.host, &id).await.unwrap().unwrap();
            assert_eq!(seen.limits, AppliedLimits::from(limits), "{}", plan.name);
        }
    })
    .await;
}

/// What busy loops got in a window of time, by the kernel's own account.
#[derive(Debug)]
pub(crate) struct Window {
    /// CPU seconds per second.
    pub(crate) share: f64,
    /// CPU seconds.
    used: f64,
    /// In how many of the scheduler's periods they used up all they may have.
    pub(crate) used_up: f64,
}

impl Window {
    /// Neither more than the plan's `cpus`, nor the limit met below them.
    ///
    /// More no window may bring, save what two moments of reading differ by: a tenth of a second's share in five.
    /// How much less it brings is the machine's load, which a test does not know. But a period that ended for want of
    /// quota has brought the whole quota, however busy the machine: 3 % below it the limit would not be the plan's.
    pub(crate) fn check(&self, cpus: f64) {
        assert!(self.share < cpus * 1.03 + 0.01, "{self:?} of {cpus}");
        let whole = self.used_up * PERIOD.as_secs_f64() * cpus;
        assert!(self.used > whole * 0.97 - 0.02, "{self:?} of {cpus}");
    }
}

/// Tests that keep every CPU busy take turns, so as not to be each other's load.
pub(crate) static BUSY: Mutex<()> = Mutex::const_new(());

/// The scheduler's period, as engines set it.
const PERIOD: Duration = Duration::from_millis(100);

pub(crate) async fn window(engine: &RealEngine, id: &EngineId, span: Duration) -> Window {
    let path = format!("/containers/{}/stats?stream=false&one-shot=true", id.0);
    let account = || async {
        let (_, stats) = engine.raw("GET", &path, Value::Null).await;
        let at = stats["read"].as_str().unwrap();
        let at = time::OffsetDateTime::parse(at, &time::format_description::well_known::Rfc3339);
        let cpu = &stats["cpu_stats"];
        let used = cpu["cpu_usage"]["total_usage"].as_f64().unwrap();
        let throttled = cpu["throttling_data"]["throttled_periods"]
            .as_f64()
            .unwrap();
        (at.unwrap(), used, throttled)
    };
    let (began, used_before, throttled_before) = account().await;
    // The span is what is measured, not something waited for.
    tokio::time::sleep(span).await;
    let (ended, used, throttled) = account().await;
    let used = (used - used_before) / 1e9;
    Window {
        share: used / (ended - began).as_seconds_f64(),
        used,
        used_up: throttled - throttled_before,
    }
}

/// So many busy loops as make any limit of this host bite.
pub(crate) async fn burn(engine: &RealEngine, id: &EngineId) {
    engine
        .run(&id.0, "for i in 1 2 3 4; do (while :; do :; done) & done")
        .await;
}

#[tokio::test]
async fn a_process_inside_gets_the_cpu_of_its_plan_and_a_change_takes_effect_at_once() {
    with_tenant(|engine, t| async move {
        let _busy = BUSY.lock().await;
        let quarter = Limits {
            cpu: MilliCpus(250),
            ..plan("free")
        };
        let id = t.created(plan("free")).await;
        t.start(&id).await.unwrap();
        burn(&engine, &id).await;
        for (limits, expected) in [(plan("free"), 0.5), (quarter, 0.25)] {
            t.backend.update(&t.host, &id, &limits).await.unwrap();
            let mut best = 0.0_f64;
            let mut used_up = 0.0;
            let begin = tokio::time::Instant::now();
            while best < expected * 0.97 && begin.elapsed() < PATIENCE {
                let seen = window(&engine, &id, Duration::from_secs(5)).await;
                seen.check(expected);
                best = best.max(seen.share);
                used_up += seen.used_up;
            }
            assert!(
                used_up > 0.0,
                "the limit was never met; {best:.3} of {expected} at best"
            );
            println!("{expected} CPU: {best:.3} measured, {used_up} periods used up");
        }
    })
    .await;
}

#[tokio::test]
async fn a_process_inside_meets_the_memory_and_the_process_limit() {
    with_tenant(|engine, t| async move {
        let small = Limits {
            memory: Bytes::mib(64),
            swap: Bytes(0),
            pids: 20,
            ..plan("free")
        };
        let id = t.created(small).await;
        t.start(&id).await.unwrap();
        let seen = inside(&engine, &id).await;
        assert_eq!(seen, Some(64 << 20), "the limit as the kernel holds it");

        // A child that takes too much is killed, by the kernel and for memory; the container lives.
        let kills = oom_kills(&engine, &id).await;
        let greedy = engine.run(&id.0, GREEDY).await;
        assert_eq!(greedy.code, 137, "200 MB under a limit of 64: {greedy:?}");
        assert_eq!(oom_kills(&engine, &id).await, kills + 1, "{greedy:?}");

        let ran = engine.run(&id.0, MANY).await;
        let words = ran.output.to_lowercase();
        let refused = words.contains("cannot fork") || words.contains("can't fork");
        assert!(
            refused && ran.code == 2,
            "60 processes under a limit of 20: {ran:?}"
        );
        let counts = ran.output.lines().filter_map(|line| {
            let count = line.strip_prefix("processes: ")?;
            Some(count.parse::<u32>().unwrap())
        });
        assert_eq!(counts.max(), Some(20), "all of them, and no more: {ran:?}");
        let seen = t.backend.inspect(&t.host, &id).await.unwrap().unwrap();
        assert!(matches!(seen.state, RunState::Running { .. }), "{seen:?}");
    })
    .await;
}

/// Starts processes until it cannot, or has 60, and says after each how many the kernel counts.
///
/// The main process's own child is held meanwhile: a main process that could not start its next one would end.
const MANY: &str = "pids=/sys/fs/cgroup/pids; [ -d $pids ] || pids=/sys/fs/cgroup; \
    until held=$(pgrep -x sleep) && kill -STOP $held && \
    read -r pid name state rest < /proc/$held/stat && [ $state = T ]; do :; done; \
    trap 'kill $all; wait; kill -CONT $held' EXIT; \
    n=0; while [ $n -lt 60 ]; do sleep 60 & all=\"$all $!\"; n=$((n+1)); \
    read -r now < $pids/pids.current; echo \"processes: $now\"; done";

/// How many processes of the container the kernel has killed for memory, for either cgroup version.
async fn oom_kills(engine: &RealEngine, id: &EngineId) -> u64 {
    let command = "cat /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null || cat /sys/fs/cgroup/memory.events";
    let ran = engine.run(&id.0, command).await;
    let count = ran
        .output
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "));
    count.unwrap_or_else(|| panic!("{ran:?}")).parse().unwrap()
}

/// The memory limit as a file inside the container shows it, for either cgroup version.
async fn inside(engine: &RealEngine, id: &EngineId) -> Option<u64> {
    let command = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
    engine.run(&id.0, command).await.output.trim().parse().ok()
}

#[tokio::test]
async fn an_out_of_memory_kill_of_the_main_process_is_seen() {
    with_tenant(|engine, t| async move {
        let small = Limits {
            memory: Bytes::mib(32),
            swap: Bytes(0),
            ..plan("free")
        };
        let id = t.created(small).await;
        let none = Vec::new();
        t.backend
            .put_files(&t.host, &id, DATA_PATH, none)
            .await
            .unwrap();
        t.start(&id).await.unwrap();
        assert_eq!(
            engine
                .run(&id.0, &format!("touch {DATA_PATH}/eat"))
                .await
                .code,
            0
        );
        let state = until(&t, &id, |state| matches!(state, RunState::Exited { .. })).await;
        assert!(
            matches!(
                state,
                RunState::Exited {
                    code: 137,
                    oom_killed: true,
                    ..
                }
            ),
            "{state:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn f07_a_child_killed_for_memory_is_seen_although_the_container_lives() {
    with_tenant(|engine, t| async move {
        let small = Limits {
            memory: Bytes::mib(32),
            swap: Bytes(0),
            ..plan("free")
        };
        let id = t.created(small).await;
        t.start(&id).await.unwrap();
        let look = async || t.backend.inspect(&t.host, &id).await.unwrap().unwrap();
        for _ in 0..2 {
            let before = look().await.oom_kills.last().copied();
            let ran = engine.run(&id.0, GREEDY).await;
            assert_eq!(ran.code, 137, "200 MB under a limit of 32: {ran:?}");
            // An instance that has just started is asked about later.
            let seen = async {
                while look().await.oom_kills.last().copied() <= before {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            tokio::time::timeout(PATIENCE, seen).await.unwrap();
        }
        let seen = look().await;
        assert!(matches!(seen.state, RunState::Running { .. }), "{seen:?}");
        let shown = engine.inspect(&id.0).await;
        assert_eq!(shown["State"]["OOMKilled"], false);
    })
    .await;
}

#[tokio::test]
async fn f12_shrinking_below_use_is_refused_and_changes_nothing() {
    with_tenant(|engine, t| async move {
        let wide = Limits {
            memory: Bytes::mib(256),
            swap: Bytes(0),
            ..plan("free")
        };
        let id = t.created(wide).await;
        t.start(&id).await.unwrap();
        // In the tmpfs, so the kernel cannot take it back.
        let filled = engine
            .run(&id.0, "head -c 50000000 /dev/zero > /tmp/fill")
            .await;
        assert_eq!(filled.code, 0, "{filled:?}");
        let narrow = Limits {
            memory: Bytes::mib(32),
            ..wide
        };
        let refused = t.backend.update(&t.host, &id, &narrow).await.unwrap_err();
        assert!(
            matches!(refused, BackendError::Refused { .. }),
            "{refused:?}"
        );
        assert!(told(&refused).contains("32 MiB"), "{}", told(&refused));
        let seen = t.backend.inspect(&t.host, &id).await.unwrap().unwrap();
        assert_eq!(seen.limits, AppliedLimits::from(wide));
        // Up and down again, all fields at once.
        for limits in [
            plan("free"),
            Limits {
                memory: Bytes::mib(128),
                swap: Bytes(0),
                pids: 99,
                ..wide
            },
        ] {
            t.backend.update(&t.host, &id, &limits).await.unwrap();
            let seen = t.backend.inspect(&t.host, &id).await.unwrap().unwrap();
            assert_eq!(seen.limits, AppliedLimits::from(limits));
            assert_eq!(inside(&engine, &id).await, Some(limits.memory.0));
        }
    })
    .await;
}
