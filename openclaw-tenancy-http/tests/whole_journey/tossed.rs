//! A16 in a real browser: what a sibling's page tossed is gone after one look at our page, and the person signs in.

use std::path::Path;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::browser::{Browser, Screen};
use crate::given::given;
use crate::server::{Server, free_port};
use crate::{PAGE, pictures, watched};

/// Both are below it, and Chromium lets either set cookies for it.
const SHARED: &str = "claw.localhost";

/// Tosses 12 KB at every path on the way to the pages: enough to lock out, little enough to be set.
async fn toss() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for path in ["/", "/login", "/api", "/api/auth"] {
        for number in 0..12 {
            let value = "x".repeat(1000);
            let cookie = format!("toss{number}={value}; Domain={SHARED}; Path={path}");
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
    }
    headers
}

#[tokio::test]
async fn a16_cookie_overflow_in_a_real_browser_ends_in_a_clean_sign_in() {
    let Some(driver) = given("chromium", "TENANCY_TEST_CHROMEDRIVER") else {
        return;
    };
    let Some(chromium) = given("chromium", "TENANCY_TEST_CHROMIUM") else {
        return;
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let evil = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let evil_url = format!(
        "http://evil.{SHARED}:{}/",
        evil.local_addr().unwrap().port()
    );
    let router = Router::new().route("/", get(async || (toss().await, "hello")));
    let evil = tokio::spawn(async move { axum::serve(evil, router).await });

    let api = free_port();
    let public_url = format!("http://console.{SHARED}:{api}");
    let data = tempfile::tempdir().unwrap();
    let config = format!(
        r#"
[server]
listen = "127.0.0.1:{api}"
public_url = "{public_url}"
[edge]
listen = "127.0.0.1:0"
[metrics]
enabled = false
[[hosts]]
id = "nowhere"
address = "unix:///nowhere/docker.sock"
"#
    );
    std::fs::write(data.path().join("config.toml"), config).unwrap();
    let server = Server::start(data.path()).await;
    let password = account(data.path(), "ann").await;

    let browser = Browser::start(&driver, &chromium, Screen::Phone, pictures().join("tossed"));
    watched(browser.await, async |browser| {
        let login = format!("{public_url}/login");
        browser.open(&login).await;
        browser.shown("input[name=username]", PAGE).await;
        browser.open(&evil_url).await;
        browser.says("hello", PAGE).await;

        browser.open(&login).await;
        browser.says("431", PAGE).await;
        browser.says("请刷新页面", PAGE).await;
        browser.picture("too-large").await;
        browser.open(&login).await;
        let name = browser.shown("input[name=username]", PAGE).await;
        name.type_in("ann").await;
        let input = browser.shown("input[name=password]", PAGE).await;
        input.type_in(&password).await;
        // The form goes to another path, at which more was tossed.
        browser.press("form button.primary", PAGE).await;
        browser.says("431", PAGE).await;
        browser.open(&login).await;
        let name = browser.shown("input[name=username]", PAGE).await;
        name.type_in("ann").await;
        let input = browser.shown("input[name=password]", PAGE).await;
        input.type_in(&password).await;
        browser.press("form button.primary", PAGE).await;
        browser.shown(".avatar", PAGE).await;
        browser.picture("signed-in").await;
    })
    .await;
    server.kill().await;
    evil.abort();
}

/// Makes a local account; its password.
async fn account(data: &Path, name: &str) -> String {
    let made = Command::new(env!("CARGO_BIN_EXE_openclaw-tenancy"))
        .args(["account", "add", name, "--data"])
        .arg(data)
        .env_clear()
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
