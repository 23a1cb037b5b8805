//! Signing in at a provider with the real binary, and what its configuration and its printed link make of who comes.

use std::path::Path;

use openclaw_tenancy::clock::{Clock as _, SystemClock};
use reqwest::header::{ACCEPT, COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use test_support::provider::{CLIENT_ID, CLIENT_SECRET, Provider, set};

use crate::instances::{cookie, location, path};
use crate::server::{Server, client};
use crate::support::PATIENCE;

const SESSION: &str = "__Host-oct-session";
const CLAIM: &str = "__Host-oct-claim";

/// A server whose people sign in at a provider, and a browser that has not yet.
struct Company {
    provider: Provider,
    server: Server,
    browser: Client,
}

impl Company {
    /// Starts both; `of_provider` are the provider's further lines in the configuration.
    async fn start(data: &Path, of_provider: &str) -> Self {
        // So that there is a crypto provider.
        drop(client());
        let provider = Provider::start(SystemClock.now().as_seconds()).await;
        let issuer = provider.issuer();
        let config = format!(
            r#"
[[identity.oidc]]
id = "company"
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
plain_http_loopback = true
{of_provider}"#
        );
        std::fs::write(data.join("config.toml"), config).unwrap();
        let server = Server::start(data, &[]).await;
        let origin = server.api.replace("//127.0.0.1:", "//localhost:");
        provider.send_back_to(&format!("{origin}/api/auth/callback/company"));
        let browser = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            provider,
            server,
            browser,
        }
    }

    async fn open(&self, path: &str, cookies: &str) -> Response {
        let asked = self.browser.get(format!("{}{path}", self.server.api));
        let asked = asked.header(ACCEPT, "text/html").header(COOKIE, cookies);
        asked.send().await.unwrap()
    }

    /// Signs in at the provider with what else the browser holds; the session's cookie.
    async fn sign_in(&self, cookies: &str) -> String {
        let begun = self.open("/api/auth/login?provider=company", "").await;
        assert_eq!(begun.status(), 303, "{begun:?}");
        let login = cookie(&begun, "__Host-oct-login");
        let query = self.provider.authorize(&location(&begun)).await;
        let back = format!("/api/auth/callback/company?{query}");
        let signed_in = self.open(&back, &format!("{login}; {cookies}")).await;
        assert_eq!(signed_in.status(), 303, "{signed_in:?}");
        cookie(&signed_in, SESSION)
    }

    /// What the API says of a session.
    async fn me(&self, session: &str) -> Value {
        let me = self.open("/api/auth/me", session).await;
        assert_eq!(me.status(), 200, "{me:?}");
        me.json().await.unwrap()
    }

    /// The status of a page for administrators.
    async fn hosts(&self, session: &str) -> u16 {
        self.open("/api/hosts", session).await.status().as_u16()
    }

    async fn stop(self) -> String {
        let (code, log) = self.server.stop().await;
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

/// The code that is printed, and no other, makes whoever signs in next the administrator, and nobody after them.
#[tokio::test]
async fn the_printed_link_makes_one_sign_in_the_administrators() {
    let dir = tempfile::tempdir().unwrap();
    let company = Company::start(dir.path(), "").await;
    let printed = company.server.first_administrator();
    let (word, link) = printed.expect("a link is printed");
    assert_eq!(word, "open");
    let link = path(&link);
    let (_, code) = link.split_once("code=").expect("the link holds a code");

    // Without the link a sign-in is anybody's.
    let before = company.sign_in("").await;
    assert_eq!(company.me(&before).await["admin"], false);
    assert_eq!(company.hosts(&before).await, 403);

    let wrong = if code.starts_with('A') { "B" } else { "A" };
    let wrong = format!("/claim?code={wrong}{}", &code[1..]);
    for wrong in [&*wrong, "/claim?code=", "/claim"] {
        let refused = company.open(wrong, "").await;
        assert_eq!(refused.status(), 400, "{wrong}: {refused:?}");
        assert!(refused.headers().get("set-cookie").is_none(), "{refused:?}");
    }

    let opened = company.open(&link, "").await;
    assert_eq!(opened.status(), 303, "{opened:?}");
    let claim = cookie(&opened, CLAIM);
    let page = company.open(&location(&opened), &claim).await;
    let page = page.text().await.unwrap();
    assert!(page.contains("becomes the administrator"), "{page}");
    let first = company.sign_in(&claim).await;
    assert_eq!(company.me(&first).await["admin"], true);
    assert_eq!(company.hosts(&first).await, 200);

    // A second time it gives nothing: neither the link, nor the cookie that somebody kept of it.
    assert_eq!(company.open(&link, "").await.status(), 400);
    let somebody = json!("somebody else");
    company.provider.bend(|bends| {
        bends.claims = set("sub", somebody.clone());
        bends.userinfo = set("sub", somebody);
    });
    let second = company.sign_in(&claim).await;
    let me = company.me(&second).await;
    assert_eq!(me["account"]["subject"], "somebody else", "{me}");
    assert_eq!(me["admin"], false, "{me}");
    assert_eq!(company.hosts(&second).await, 403);
    assert_eq!(company.hosts(&first).await, 200, "the first still is");

    let code = code.to_owned();
    let log = company.stop().await;
    assert!(!log.contains(&code), "the code stands in the log");
}

/// From the configuration's text to what somebody may: each group gives what it stands for, and nothing else.
#[tokio::test]
async fn groups_of_the_configuration_give_administration_and_plans() {
    let dir = tempfile::tempdir().unwrap();
    let groups = r#"
admin_groups = ["ops"]
plan_groups = { staff = "pro", "interns & guests" = "basic" }
"#;
    let company = Company::start(dir.path(), groups).await;
    for (groups, admin, plan) in [
        (json!([]), false, json!(null)),
        (json!(["OPS", "ops ", "pro", "staffs"]), false, json!(null)),
        (json!(["interns & guests"]), false, json!("basic")),
        (json!(["staff"]), false, json!("pro")),
        (json!(["interns & guests", "staff"]), false, json!("pro")),
        (json!(["ops"]), true, json!("pro")),
    ] {
        let told = groups.clone();
        company
            .provider
            .bend(|bends| bends.claims = set("groups", told));
        let session = company.sign_in("").await;
        let me = company.me(&session).await;
        assert_eq!(
            (&me["admin"], &me["plan"]),
            (&json!(admin), &plan),
            "{groups}: {me}"
        );
        let hosts = if admin { 200 } else { 403 };
        assert_eq!(company.hosts(&session).await, hosts, "{groups}");
    }
    company.stop().await;
}
