//! Stand-ins on a real engine, and the way of a person into one.

use std::path::Path;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{ACCEPT, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};
use test_support::services::given;
use tokio::time::{sleep, timeout};

use crate::docker::INSTANCE;
use crate::server::Server;
use crate::support::{PATIENCE, text};

/// An engine with the stand-in's image.
pub(crate) struct Engine {
    pub(crate) address: String,
    image: String,
}

impl Engine {
    /// What the environment names; `None` where the test may be skipped.
    pub(crate) fn given() -> Option<Self> {
        Some(Self {
            address: given("docker", "TENANCY_TEST_DOCKER_HOST")?,
            image: given("docker", "TENANCY_TEST_STAND_IN_IMAGE")?,
        })
    }

    /// A server's environment, with a pool of subnets that no other test on this engine uses.
    pub(crate) fn environment<'a>(&'a self, subnets: &'a str) -> [(&'a str, &'a str); 5] {
        [
            ("OPENCLAW_TENANCY__HOSTS__0__ID", "local"),
            ("OPENCLAW_TENANCY__HOSTS__0__ADDRESS", &self.address),
            ("OPENCLAW_TENANCY__IMAGE__REFERENCE", &self.image),
            ("OPENCLAW_TENANCY__IMAGE__FLOOR", "16 MiB"),
            ("OPENCLAW_TENANCY__RECONCILE__SUBNET_POOL", subnets),
        ]
    }

    /// The command line's output.
    pub(crate) async fn docker(&self, args: &[&str]) -> String {
        let done = tokio::process::Command::new("docker")
            .args(["--host", &self.address])
            .args(args)
            .output();
        let done = done.await.expect("docker's command line is installed");
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// The deployment's objects: all there is to inspect, by kind (`container`, `volume`, `network`).
    pub(crate) async fn of(&self, kind: &str, data: &Path) -> Vec<String> {
        let all: &[&str] = if kind == "container" { &["--all"] } else { &[] };
        self.listed(kind, all, data).await
    }

    /// The deployment's containers that are people's instances; a host's probe is none.
    pub(crate) async fn instances(&self, data: &Path) -> Vec<String> {
        let role = ["--all", "--filter", INSTANCE];
        self.listed("container", &role, data).await
    }

    async fn listed(&self, kind: &str, more: &[&str], data: &Path) -> Vec<String> {
        let deployment = std::fs::read_to_string(data.join("deployment")).expect("a server ran");
        let deployment = deployment.split_whitespace().next().expect("an id");
        let filter = format!("label=io.openclaw-tenancy.deployment={deployment}");
        let list = [&[kind, "ls", "--quiet", "--filter", &filter], more].concat();
        let listed = self.docker(&list).await;
        listed.lines().map(str::to_owned).collect()
    }

    /// Removes whatever a deployment left, the end of every test.
    pub(crate) async fn clear(&self, data: &Path) {
        for (kind, force) in [
            ("container", &["--force"][..]),
            ("volume", &[]),
            ("network", &[]),
        ] {
            for object in self.of(kind, data).await {
                self.docker(&[&[kind, "rm"], force, &[&object]].concat())
                    .await;
            }
        }
    }
}

/// Waits until the caller's instance is in this phase; the answer that said so.
pub(crate) async fn phase(server: &Server, token: &str, wanted: &str) -> Value {
    let asked = async {
        loop {
            let (_, answer) = server.get("/api/tenants/me", token).await;
            if answer["phase"] == wanted {
                return answer;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(2 * PATIENCE, asked).await.expect(wanted)
}

/// A browser that has signed in at an instance's own address.
pub(crate) struct Visitor {
    client: reqwest::Client,
    edge: String,
    host: String,
    cookie: String,
    /// Every secret that signing in gave the browser.
    pub(crate) secrets: Vec<String>,
}

impl Visitor {
    /// Signs in by password and follows the edge's way to the instance at `url`, by hand.
    pub(crate) async fn sign_in(server: &Server, url: &str, name: &str, password: &str) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let signed_in = client
            .post(format!("{}/api/auth/password", server.api))
            .header(ORIGIN, server.api.replace("127.0.0.1", "localhost"))
            .json(&json!({ "username": name, "password": password }))
            .send()
            .await
            .unwrap();
        assert!(signed_in.status().is_success(), "{signed_in:?}");
        let session = cookie(&signed_in, "__Host-oct-session");
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let mut visitor = Self {
            client,
            edge: server.edge.clone(),
            host: host.to_owned(),
            cookie: String::new(),
            secrets: Vec::new(),
        };
        let to_console = visitor.open("/").await;
        visitor.cookie = cookie(&to_console, "__Host-oct-pre");
        let console = location(&to_console);
        let console = format!("{}{}", server.api, path(&console));
        let handed = visitor
            .client
            .get(console)
            .header(COOKIE, &session)
            .header(ACCEPT, "text/html");
        let back = location(&handed.send().await.unwrap());
        let in_at_last = visitor.open(&path(&back)).await;
        let instance = cookie(&in_at_last, "__Host-oct-instance");
        let pre = std::mem::replace(&mut visitor.cookie, instance.clone());
        let (_, code) = back.split_once("code=").expect("a code");
        let code = code.split('&').next().unwrap().to_owned();
        let values = [session, pre, instance]
            .into_iter()
            .map(|pair| pair.split_once('=').unwrap().1.to_owned());
        visitor.secrets = values.chain([code]).collect();
        visitor
    }

    /// The instance's answer, or the edge's.
    pub(crate) async fn open(&self, path: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.edge.trim_end_matches('/')))
            .header(HOST, &self.host)
            .header(COOKIE, &self.cookie)
            .header(ACCEPT, "text/html")
            .send()
            .await
            .unwrap()
    }
}

/// Where an answer sends a browser.
pub(crate) fn location(answer: &Response) -> String {
    let to = answer.headers().get(LOCATION);
    let to = to.unwrap_or_else(|| panic!("no redirect: {answer:?}"));
    to.to_str().unwrap().to_owned()
}

/// Path and query of an address.
pub(crate) fn path(url: &str) -> String {
    let url: url::Url = url.parse().unwrap();
    url[url::Position::BeforePath..].to_owned()
}

/// The pair, name and value, that an answer sets for a cookie.
pub(crate) fn cookie(answer: &Response, name: &str) -> String {
    let mut set = answer.headers().get_all(SET_COOKIE).iter();
    set.find_map(|line| {
        let pair = line.to_str().unwrap().split(';').next()?;
        pair.starts_with(name).then(|| pair.to_owned())
    })
    .unwrap_or_else(|| panic!("no {name}: {answer:?}"))
}
