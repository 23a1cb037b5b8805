//! The binary as a server that runs.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{PATIENCE, command};

/// Free ports, and an engine that does not answer.
pub(crate) const NOWHERE: [(&str, &str); 5] = [
    ("OPENCLAW_TENANCY__SERVER__LISTEN", "127.0.0.1:0"),
    ("OPENCLAW_TENANCY__EDGE__LISTEN", "127.0.0.1:0"),
    ("OPENCLAW_TENANCY__METRICS__LISTEN", "127.0.0.1:0"),
    ("OPENCLAW_TENANCY__HOSTS__0__ID", "nowhere"),
    (
        "OPENCLAW_TENANCY__HOSTS__0__ADDRESS",
        "unix:///nowhere/docker.sock",
    ),
];

/// A running server.
pub(crate) struct Server {
    child: Child,
    _stdout: Lines<BufReader<ChildStdout>>,
    stderr: JoinHandle<String>,
    /// What it printed before it was ready.
    pub(crate) said: Vec<String>,
    pub(crate) api: String,
    pub(crate) edge: String,
    pub(crate) metrics: String,
}

impl Server {
    /// Starts on free ports, with an engine that does not answer, and waits until it serves.
    pub(crate) async fn start(data: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_by(command(data), environment).await
    }

    /// The same by a command of its own: the binary, or what becomes it.
    pub(crate) async fn start_by(mut command: Command, environment: &[(&str, &str)]) -> Self {
        let mut child = command
            .arg("serve")
            .envs(NOWHERE)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut errors = child.stderr.take().unwrap();
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            errors
                .read_to_string(&mut text)
                .await
                .expect("log lines are UTF-8");
            text
        });
        let mut said = Vec::new();
        loop {
            let line = timeout(PATIENCE, stdout.next_line())
                .await
                .expect("it becomes ready");
            let Some(line) = line.unwrap() else {
                panic!("it ended early: {}", stderr.await.unwrap());
            };
            if let Some(places) = line.strip_prefix("ready: ") {
                let place = |name: &str| {
                    let found = places.split(' ').find_map(|place| place.strip_prefix(name));
                    found.unwrap_or_default().trim_start_matches('=').to_owned()
                };
                // Not every resolver knows `localhost`.
                let api = place("api").replace("//localhost:", "//127.0.0.1:");
                let (edge, metrics) = (place("edge"), place("metrics"));
                return Self {
                    child,
                    _stdout: stdout,
                    stderr,
                    said,
                    api,
                    edge,
                    metrics,
                };
            }
            said.push(line);
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// The first administrator's name and password, if this start made one.
    pub(crate) fn first_administrator(&self) -> Option<(String, String)> {
        let line = self
            .said
            .iter()
            .find_map(|line| line.strip_prefix("first administrator: "))?;
        let (name, password) = line.split_once(' ')?;
        Some((name.to_owned(), password.to_owned()))
    }

    pub(crate) async fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(sent.await.unwrap().success());
    }

    /// Waits for its end; its exit code and its log lines.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("it ends")
            .unwrap();
        (status.code(), self.stderr.await.unwrap())
    }

    /// SIGTERM; its exit code and its log lines.
    pub(crate) async fn stop(self) -> (Option<i32>, String) {
        self.signal("TERM").await;
        self.ended().await
    }

    /// What the server says of its health, once that is 200: its writes may wait for a busy disk longer than it allows.
    pub(crate) async fn healthy(&self) -> Value {
        let asked = async {
            loop {
                let (status, health) = self.get("/api/health", "").await;
                if status == 200 {
                    return health;
                }
                assert_eq!(status, 503, "{health}");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .expect("it is healthy")
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        send(
            client()
                .get(format!("{}{path}", self.api))
                .bearer_auth(token),
        )
        .await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> (u16, Value) {
        send(
            client()
                .delete(format!("{}{path}", self.api))
                .bearer_auth(token),
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> (u16, Value) {
        send(
            client()
                .post(format!("{}{path}", self.api))
                .bearer_auth(token)
                .json(&body),
        )
        .await
    }
}

pub(crate) fn client() -> reqwest::Client {
    // More than one test of a process may come first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}
