//! The same on a phone, in Chinese, with the smallest plan: every page fits its screen, and Free really runs
//! `OpenClaw` where the host has swap (contracts/openclaw.md: 512 MiB of memory alone does not).

use std::time::Instant;

use crate::browser::Browser;
use crate::docker::Docker;
use crate::{PAGE, READY, sign_in_at_provider};

const MIB: u64 = 1 << 20;

pub(crate) async fn journey(browser: &mut Browser, public_url: &str, docker: &Docker) {
    browser.open(public_url).await;
    browser.shown("a.button.primary.wide", PAGE).await;
    browser.says("登录", PAGE).await;
    page(browser, "sign-in").await;
    sign_in_at_provider(browser, public_url).await;

    browser.shown("#create button.primary", PAGE).await;
    browser
        .press("#create label.plan:has(input[value=free])", PAGE)
        .await;
    page(browser, "create").await;
    let clicked = Instant::now();
    browser.press("#create button.primary", PAGE).await;
    browser.shown("#stage .instance.busy", PAGE).await;
    page(browser, "starting").await;

    // The instance's own address says the same until it is ready, and then becomes it.
    let address = browser.shown("#stage .instance a.address", PAGE).await;
    let address = address.property("href").await;
    browser.open(&address).await;
    browser.shown("main #steps", PAGE).await;
    page(browser, "waiting").await;
    browser.open(public_url).await;
    browser
        .shown("#stage .instance a.button.primary", READY)
        .await;
    println!("Free: click to running {:.1?}", clicked.elapsed());
    page(browser, "ready").await;
    has_the_plans_limits(docker).await;

    browser.press("#stage [data-action=delete]", PAGE).await;
    browser.shown("#delete-dialog button.danger", PAGE).await;
    page(browser, "delete").await;
    browser.press("#delete-dialog button.danger", PAGE).await;
    browser.shown("#create button.primary", READY).await;
}

/// Keeps a picture of a page of ours, which must not be wider than the screen.
async fn page(browser: &mut Browser, name: &str) {
    browser.picture(name).await;
    let (screen, page) = browser.widths().await;
    assert!(
        page <= screen,
        "{name} is {page} wide on a screen of {screen}"
    );
}

/// Free's memory and its swap, as much of it as this machine has, were granted, and nothing of it was killed for want
/// of more.
async fn has_the_plans_limits(docker: &Docker) {
    let found = docker.instances("{{.ID}}").await;
    let [container] = found.as_slice() else {
        panic!("not one container: {found:?}")
    };
    let format = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.NanoCpus}} \
                  {{.State.Running}} {{.State.OOMKilled}}";
    let told = docker
        .run(&["inspect", "--format", format, container])
        .await;
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let swap = meminfo
        .lines()
        .find_map(|line| {
            line.strip_prefix("SwapTotal:")?
                .strip_suffix("kB")?
                .trim()
                .parse()
                .ok()
        })
        .map_or(0, |kib: u64| kib * 1024);
    let (memory, swap) = (512 * MIB, swap.min(1024 * MIB));
    assert_eq!(
        told.trim(),
        format!("{memory} {} 500000000 true false", memory + swap)
    );
}
