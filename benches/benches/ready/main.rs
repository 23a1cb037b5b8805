//! From *create* to *ready*: through everything of ours beside the bare engine calls, as a ratio measured in one run.
//!
//! Ours is the facade, the reconciler, the SQLite store and the direct Docker backend in this process, from the call of
//! `create` to the phase `running`. Raw is the requests that ours changed the engine with, recorded once and sent again
//! byte for byte over one connection, then `/startupz` asked every 10 ms: the same container without whoever decides.
//! The two take turns on the same engine, and each turn's container is gone before the next begins.
//!
//! First comes one turn of ours through a relay that writes down every request; the table of its calls says where the
//! time goes.
//!
//! Needs a Docker Engine on a unix socket (`TENANCY_TEST_DOCKER_HOST`, else `/var/run/docker.sock`), root or its group,
//! and the image: `READY_BENCH_IMAGE` is `stand-in` (default, named by `TENANCY_TEST_STAND_IN_IMAGE`) or `openclaw`
//! (named by `TENANCY_TEST_IMAGE`). `READY_BENCH_TURNS` (default 20; 5 with `openclaw`) is how many turns each has.

#![expect(clippy::disallowed_methods, reason = "a bench measures wall time")]

mod profile;
mod raw;
mod relay;
mod stack;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use benches::process::scratch;
use benches::turns::{from_env, median, median_ratio, percentile};
use openclaw_tenancy::quantity::Bytes;

use crate::raw::{Raw, RawTurn};
use crate::relay::Relay;
use crate::stack::{Stack, Turn};

/// How often either side is asked whether it is there yet.
const LOOK: Duration = Duration::from_millis(10);

/// A tenant that is starting is probed again after this (the default of `Pace::watch`).
const WATCH: Duration = Duration::from_millis(500);

/// What instances run.
#[derive(Debug, Clone)]
struct Image {
    reference: String,
    floor: Bytes,
    turns: u64,
    patience: Duration,
}

fn main() -> anyhow::Result<()> {
    let image = image()?;
    let turns = from_env("READY_BENCH_TURNS", image.turns)?.max(1);
    let engine = engine()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let dir = scratch("ready")?;
        let outcome = compare(&engine, &image, turns, &dir).await;
        raw::clean_up(&engine).await?;
        std::fs::remove_dir_all(dir)?;
        outcome
    })
}

async fn compare(engine: &Path, image: &Image, turns: u64, dir: &Path) -> anyhow::Result<()> {
    let relay = Relay::start(engine, &dir.join("engine.sock"))?;
    let stack = Stack::start(relay.path(), image, &dir.join("recorded.db")).await?;
    relay.take();
    let recorded = stack.turn().await?;
    let exchanges = relay.take();
    stack.remove().await?;
    stack.stop().await?;

    let raw = Raw::of(engine, &exchanges, recorded.upstream, image.patience)?;
    let stack = Stack::start(engine, image, &dir.join("measured.db")).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        ours.push(stack.turn().await?);
        stack.remove().await?;
        theirs.push(raw.turn().await?);
    }
    stack.stop().await?;

    println!("{}: {turns} turns of each, in turns", image.reference);
    profile::print(&recorded, &exchanges, &theirs);
    print(&ours, &theirs);
    Ok(())
}

fn print(ours: &[Turn], raw: &[RawTurn]) {
    println!(
        "{:<28} {:>10} {:>10} {:>10} {:>10} {:>6}",
        "ms", "ours", "p90", "raw", "p90", "ratio"
    );
    let line = |what: &str, ours: Vec<Duration>, raw: Vec<Duration>| {
        let millis = |all: Vec<Duration>| -> Vec<f64> {
            all.iter().map(|took| took.as_secs_f64() * 1e3).collect()
        };
        let (ours, raw) = (millis(ours), millis(raw));
        println!(
            "{what:<28} {:>10.0} {:>10.0} {:>10.0} {:>10.0} {:>6.2}",
            median(&ours),
            percentile(&ours, 90),
            median(&raw),
            percentile(&raw, 90),
            median_ratio(&ours, &raw)
        );
    };
    let of_ours = |of: fn(&Turn) -> Duration| ours.iter().map(of).collect();
    let of_raw = |of: fn(&RawTurn) -> Duration| raw.iter().map(of).collect();
    line(
        "create to ready",
        of_ours(|turn| turn.ready),
        of_raw(|turn| turn.ready),
    );
    line(
        "  create to started",
        of_ours(|turn| turn.started),
        of_raw(|turn| turn.started),
    );
    line(
        "  started to ready, and told",
        of_ours(|turn| turn.ready.saturating_sub(turn.started)),
        of_raw(|turn| turn.ready - turn.started),
    );
    let waited = ours.iter().filter(|turn| turn.probed >= WATCH).count();
    let told: Vec<f64> = ours
        .iter()
        .map(|turn| turn.ready.saturating_sub(turn.started + turn.probed))
        .map(|took| took.as_secs_f64() * 1e3)
        .collect();
    println!(
        "the first probe came too early in {waited} of {} turns; found ready is told after {:.0} ms",
        ours.len(),
        median(&told)
    );
}

fn image() -> anyhow::Result<Image> {
    let kind = std::env::var("READY_BENCH_IMAGE").unwrap_or_else(|_| "stand-in".to_owned());
    let (variable, floor, turns, patience) = match kind.as_str() {
        "stand-in" => ("TENANCY_TEST_STAND_IN_IMAGE", Bytes::mib(16), 20, 30),
        "openclaw" => ("TENANCY_TEST_IMAGE", Bytes::gib(1), 5, 180),
        other => bail!("READY_BENCH_IMAGE={other} is neither `stand-in` nor `openclaw`"),
    };
    let reference = std::env::var(variable).with_context(|| {
        format!(
            "{variable} is not set: `cargo xtask image {kind}` gets the image and prints its name"
        )
    })?;
    let patience = Duration::from_secs(patience);
    Ok(Image {
        reference,
        floor,
        turns,
        patience,
    })
}

/// The engine's socket.
fn engine() -> anyhow::Result<PathBuf> {
    let Ok(address) = std::env::var("TENANCY_TEST_DOCKER_HOST") else {
        return Ok(PathBuf::from("/var/run/docker.sock"));
    };
    let path = address.strip_prefix("unix://").with_context(|| {
        format!("TENANCY_TEST_DOCKER_HOST={address}: the relay needs a unix:///path/to.sock")
    })?;
    Ok(PathBuf::from(path))
}
