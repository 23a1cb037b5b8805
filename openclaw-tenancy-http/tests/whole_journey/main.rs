//! The main job with nothing imitated: a person, a browser, an identity provider of somebody else's making, the
//! real server, a real engine and the real OpenClaw; and once more on a phone, with the smallest plan.
//!
//! The environment names the parts; `cargo xtask test` provides them. Where one is missing the test is skipped,
//! unless `TENANCY_TEST_REQUIRE` is `all`. Pictures of every step go to `TENANCY_TEST_PICTURES`.
#![cfg(feature = "server")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "helpers of tests fail the test that calls them, and a person's waiting is measured"
)]

mod browser;
mod contract;
mod deployment;
#[path = "../kill/docker.rs"]
mod docker;
#[path = "../kill/given.rs"]
mod given;
mod model;
#[path = "../kill/of_server.rs"]
mod of_server;
mod overlay;
mod phone;
#[path = "../kill/server.rs"]
mod server;
mod tossed;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use test_support::provider::program::PASSWORD;

use crate::browser::{Browser, Screen};
use crate::deployment::{Parts, on_a_deployment};
use crate::docker::{Docker, Kind};
use crate::model::ModelServer;

/// A page of ours or the provider's.
const PAGE: Duration = Duration::from_secs(30);
/// From the click to an instance that is ready: about 60 s on a busy machine, five times that here.
const READY: Duration = Duration::from_secs(300);
/// What OpenClaw's own page may take to load, and it to take a change, on little processor time.
const OPENCLAW: Duration = Duration::from_secs(120);
/// From the first message of an instance's life to its answer: OpenClaw makes its index and loads what an agent needs
/// meanwhile, 25 to 30 s of Basic's one processor, and four times that where its memory is wanted elsewhere.
const FIRST_ANSWER: Duration = Duration::from_secs(300);

/// Where a message is typed on OpenClaw's page.
const COMPOSER: &str = r#"textarea[aria-label="Chat composer"]"#;

#[tokio::test]
async fn a_person_signs_in_creates_opens_chats_and_deletes() {
    let Some(parts) = Parts::given() else { return };
    let model = ModelServer::start(reachable_from_instances()).await;
    let overlay = overlay::before(model.address);
    on_a_deployment(parts, "10.232.0.0/24", &overlay, async |deployment| {
        let desk = deployment.browser(Screen::Desk, "main-job").await;
        watched(desk, async |browser| {
            journey(browser, &deployment.public_url, &model).await;
            // The operator's change: another file, and the server started anew.
            deployment.restart(&overlay::after(model.address)).await;
            overlay::reaches(browser, &model, &deployment.docker).await;
            ending(browser, &deployment.docker).await;
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_person_with_a_phone_and_the_smallest_plan_gets_an_instance() {
    let Some(parts) = Parts::given() else { return };
    on_a_deployment(parts, "10.232.1.0/24", "", async |deployment| {
        let phone = deployment.browser(Screen::Phone, "phone").await;
        watched(phone, async |browser| {
            phone::journey(browser, &deployment.public_url, &deployment.docker).await
        })
        .await;
    })
    .await;
}

/// Ends the browser after `journey`, with a picture of where that failed.
async fn watched(mut browser: Browser, journey: impl AsyncFnOnce(&mut Browser)) {
    let outcome = AssertUnwindSafe(journey(&mut browser)).catch_unwind().await;
    if outcome.is_err() {
        browser.picture("failed").await;
    }
    browser.quit().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn journey(browser: &mut Browser, public_url: &str, model: &ModelServer) {
    browser.open(public_url).await;
    browser.shown("a.button.primary.wide", PAGE).await;
    browser.says("Company account", PAGE).await;
    browser.picture("sign-in").await;
    sign_in_at_provider(browser, public_url).await;

    browser.shown("#create button.primary", PAGE).await;
    browser.picture("create").await;
    let clicked = Instant::now();
    browser
        .shown("#create button.primary", PAGE)
        .await
        .click()
        .await;
    browser.shown("#stage .instance.busy", PAGE).await;
    browser.picture("starting").await;
    browser
        .shown("#stage .instance a.button.primary", READY)
        .await;
    let running = clicked.elapsed();
    browser.picture("ready").await;

    browser
        .shown("#stage .instance a.button.primary", PAGE)
        .await
        .click()
        .await;
    browser.window(2, PAGE).await;
    browser.loads(COMPOSER, OPENCLAW).await;
    browser.says("Connected", OPENCLAW).await;
    println!(
        "click to running {running:.1?}, to connected {:.1?}",
        clicked.elapsed()
    );
    let at = browser.url().await;
    assert!(at.contains(".localhost:"), "{at}");
    let text = browser.text().await.to_lowercase();
    assert!(!text.contains("pairing required"), "{text}");
    browser.picture("connected").await;

    let sent = Instant::now();
    let composer = browser.shown(COMPOSER, OPENCLAW).await;
    // U+E007 is the protocol's Enter.
    composer.type_in("ping\u{e007}").await;
    browser
        .shown(
            ".chat-group.assistant .chat-bubble .chat-text",
            FIRST_ANSWER,
        )
        .await;
    browser.says(model::ANSWER, OPENCLAW).await;
    println!("message to answer {:.1?}", sent.elapsed());
    assert_eq!(model.asked_last(), Some((model::KEYS[0], "m1".to_owned())));
    browser.network_changed().await;
    browser.picture("answered").await;
}

/// Back to the page of ours, where the instance is deleted.
async fn ending(browser: &mut Browser, docker: &Docker) {
    browser.close_window().await;
    browser.window(1, PAGE).await;

    let held = Instant::now();
    contract::is_kept(docker).await;
    println!("held against the contract in {:.1?}", held.elapsed());

    let deleted = Instant::now();
    // Its end has been noticed, or will be: the page draws itself anew meanwhile.
    browser.press("#stage [data-action=delete]", PAGE).await;
    browser.shown("#delete-dialog button.danger", PAGE).await;
    browser.picture("delete").await;
    browser
        .shown("#delete-dialog button.danger", PAGE)
        .await
        .click()
        .await;
    browser.shown("#create button.primary", READY).await;
    println!("delete to gone {:.1?}", deleted.elapsed());
    browser.picture("gone").await;
    nothing_left(docker).await;
}

/// The provider's own two forms: who somebody is, and that we may know.
async fn sign_in_at_provider(browser: &mut Browser, public_url: &str) {
    browser
        .shown("a.button.primary.wide", PAGE)
        .await
        .click()
        .await;
    browser
        .shown("input[name=login]", PAGE)
        .await
        .type_in("ann")
        .await;
    let password = browser.shown("input[name=password]", PAGE).await;
    password.type_in(PASSWORD).await;
    browser.picture("provider").await;
    browser
        .shown("button[type=submit]", PAGE)
        .await
        .click()
        .await;
    browser.says("asks who you are", PAGE).await;
    browser
        .shown("button[type=submit]", PAGE)
        .await
        .click()
        .await;
    browser.shown(".avatar", PAGE).await;
    let at = browser.url().await;
    assert_eq!(at.trim_end_matches('/'), public_url, "back where we began");
}

/// Only the host's marker outlives a tenant.
async fn nothing_left(docker: &Docker) {
    let asked_with = async {
        // The product asks a host with a container of a moment, which is nobody's and goes.
        while docker.instances("{{.ID}}").await.is_empty()
            && !docker.list(Kind::Container, "{{.ID}}").await.is_empty()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PAGE, asked_with)
        .await
        .expect("it goes");
    assert_eq!(docker.list(Kind::Container, "{{.Names}}").await, [""; 0]);
    assert_eq!(docker.list(Kind::Network, "{{.Name}}").await, [""; 0]);
    let role = r#"{{.Label "io.openclaw-tenancy.role"}}"#;
    assert_eq!(docker.list(Kind::Volume, role).await, ["host-marker"]);
}

/// This machine's own address, as instances reach it over their bridge's gateway: the one it would send from.
/// Nothing is sent to find it out.
fn reachable_from_instances() -> IpAddr {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    socket
        .connect(("198.51.100.1", 9))
        .expect("this machine has a default route");
    socket.local_addr().unwrap().ip()
}

fn pictures() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    std::env::var_os("TENANCY_TEST_PICTURES").map_or_else(|| target.join("pictures"), PathBuf::from)
}
