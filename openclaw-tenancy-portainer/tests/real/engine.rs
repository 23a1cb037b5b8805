//! A real engine, spoken to beside the backend: to arrange, to look, and to run a command inside.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use openclaw_tenancy::container::Image;
use openclaw_tenancy_portainer::docker::Endpoint;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The main process of a test container: it waits until it is told to end, and takes more memory than it may have
/// when a file says so.
pub(crate) const MAIN: &str = "trap 'exit 0' TERM; \
    while :; do \
    if [ -e /home/node/.openclaw/eat ]; then x=$(head -c 300000000 /dev/zero | tr '\\0' x); fi; \
    sleep 1 & wait $!; done";

/// Takes 200 MB.
///
/// The kernel chooses whom it kills, and at the edge of a limit that may be the main process; so this offers itself
/// first.
pub(crate) const GREEDY: &str = "echo 1000 > /proc/self/oom_score_adj; \
    x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}";

/// What ran inside a container, and what came of it.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i64,
    pub(crate) output: String,
}

/// The engine the tests are given.
#[derive(Debug, Clone)]
pub(crate) struct RealEngine {
    pub(crate) endpoint: Endpoint,
}

impl RealEngine {
    /// The engine of `TENANCY_TEST_DOCKER_HOST`; without it the test is skipped, or fails where
    /// `TENANCY_TEST_REQUIRE` names `docker` or `all`.
    pub(crate) fn from_env() -> Option<Self> {
        let address = given("TENANCY_TEST_DOCKER_HOST")?;
        Some(Self {
            endpoint: address.parse().unwrap(),
        })
    }

    /// A call without the backend: its status and its JSON answer.
    pub(crate) async fn raw(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let (status, bytes) = self.send(method, path, body).await;
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// The same with bytes both ways.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Bytes) -> (u16, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1.41{path}"))
            .header("host", "engine")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .unwrap();
        match &self.endpoint {
            Endpoint::Unix { path } => {
                exchange(
                    tokio::net::UnixStream::connect(path).await.unwrap(),
                    request,
                )
                .await
            }
            Endpoint::Tcp { host, port, .. } => {
                exchange(
                    tokio::net::TcpStream::connect((host.as_str(), *port))
                        .await
                        .unwrap(),
                    request,
                )
                .await
            }
            Endpoint::Tls { .. } => unreachable!("the text form of an endpoint knows no TLS"),
        }
    }

    pub(crate) async fn inspect(&self, id: &str) -> Value {
        let (status, body) = self
            .raw("GET", &format!("/containers/{id}/json"), Value::Null)
            .await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Runs a shell command inside a running container, as the container's own user.
    pub(crate) async fn run(&self, id: &str, command: &str) -> Ran {
        let exec =
            json!({ "Cmd": ["sh", "-c", command], "AttachStdout": true, "AttachStderr": true });
        let (status, made) = self
            .raw("POST", &format!("/containers/{id}/exec"), exec)
            .await;
        assert_eq!(status, 201, "{made}");
        let exec = made["Id"].as_str().unwrap();
        let start = Bytes::from(json!({ "Detach": false, "Tty": false }).to_string());
        let (_, stream) = self
            .send("POST", &format!("/exec/{exec}/start"), start)
            .await;
        let (_, ended) = self
            .raw("GET", &format!("/exec/{exec}/json"), Value::Null)
            .await;
        Ran {
            code: ended["ExitCode"].as_i64().unwrap(),
            output: unframed(&stream),
        }
    }

    /// An image whose container runs [`MAIN`]. It has the shell of the image that
    /// `TENANCY_TEST_IMAGE` names; its content id is given back.
    pub(crate) async fn waiting_image(&self) -> Option<Image> {
        // Made once per process: tests run side by side.
        static MADE: OnceCell<Image> = OnceCell::const_new();
        let base = given("TENANCY_TEST_IMAGE")?;
        Some(
            MADE.get_or_init(|| self.make_waiting_image(&base))
                .await
                .clone(),
        )
    }

    async fn make_waiting_image(&self, base: &str) -> Image {
        let reference = "127.0.0.1:1/oct-test-waits:1";
        let pinned = |shown: &Value| Image {
            reference: reference.to_owned(),
            digest: Some(shown["Id"].as_str().unwrap().to_owned()),
        };
        let (_, based) = self
            .raw("GET", &format!("/images/{base}/json"), Value::Null)
            .await;
        let base_id = based["Id"]
            .as_str()
            .unwrap_or_else(|| panic!("image {base} is not on the engine"));
        let recipe = format!("{base_id} {}", MAIN.len());
        let (status, there) = self
            .raw("GET", &format!("/images/{reference}/json"), Value::Null)
            .await;
        if status == 200 && there["Config"]["Labels"]["made-of"] == *recipe {
            return pinned(&there);
        }
        if let Some(outdated) = there["Id"].as_str() {
            self.raw("DELETE", &format!("/images/{outdated}"), Value::Null)
                .await;
        }
        let (status, made) = self
            .raw(
                "POST",
                "/containers/create",
                json!({ "Image": base, "Cmd": ["true"] }),
            )
            .await;
        assert_eq!(status, 201, "{made}");
        let id = made["Id"].as_str().unwrap();
        let changes = format!(
            "ENTRYPOINT {}\nLABEL made-of=\"{recipe}\"\nCMD []",
            json!(["/bin/sh", "-c", MAIN])
        );
        let query = format!(
            "container={id}&repo=127.0.0.1:1/oct-test-waits&tag=1&changes={}",
            encoded(&changes)
        );
        let (status, committed) = self
            .raw("POST", &format!("/commit?{query}"), Value::Null)
            .await;
        self.raw("DELETE", &format!("/containers/{id}?force=1"), Value::Null)
            .await;
        assert_eq!(status, 201, "{committed}");
        pinned(&committed)
    }
}

/// A variable of the test environment, or `None` where it may be missing.
pub(crate) fn given(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    let required = std::env::var("TENANCY_TEST_REQUIRE").unwrap_or_default();
    let must = required
        .split(',')
        .any(|part| part == "docker" || part == "all");
    assert!(
        value.is_some() || !must,
        "TENANCY_TEST_REQUIRE={required}, but {name} is not set"
    );
    if value.is_none() {
        eprintln!("skipped: {name} is not set");
    }
    value
}

async fn exchange(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> (u16, Bytes) {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    // An attached stream ends with its connection, which hyper may call an error.
    let body = answer
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    driver.abort();
    (status, body)
}

/// The output in a multiplexed stream: 8 bytes of header, the last four of them a length, then the bytes.
fn unframed(mut stream: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((header, rest)) = stream.split_at_checked(8) {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let (piece, rest) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(piece);
        stream = rest;
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
