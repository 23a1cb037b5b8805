//! Starts the binary on a free port and stops it by its process id.
#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for a condition with a deadline"
)]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stand_in::contract::Target;
use tempfile::TempDir;

/// The longest that any condition of these tests takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The gateway section that our manager would write, for a proxy on loopback.
pub(crate) fn gateway() -> Value {
    json!({
        "mode": "local",
        "bind": "loopback",
        "trustedProxies": ["127.0.0.1"],
        "auth": {
            "mode": "trusted-proxy",
            "identityScopes": { "u-1": ["operator.admin"] },
            "trustedProxy": {
                "userHeader": "x-claw-user",
                "requiredHeaders": ["x-claw-proxy", "x-forwarded-proto"],
                "allowUsers": ["u-1"],
                "allowLoopback": true,
                "deviceAutoApprove": {
                    "enabled": true,
                    "scopes": ["operator.read", "operator.write", "operator.approvals"],
                },
            },
        },
        "controlUi": { "allowedOrigins": ["http://a1.localhost:8080"] },
        "terminal": { "enabled": false },
    })
}

/// A home directory with a configuration in it; instances come and go on it.
#[derive(Debug)]
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self::with(&gateway())
    }

    pub(crate) fn with(gateway: &Value) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(home.state().join("manager")).unwrap();
        let main = r#"{"gateway":{"$include":"./manager/gateway.json"}}"#;
        fs::write(home.state().join("openclaw.json"), main).unwrap();
        fs::write(home.gateway_file(), gateway.to_string()).unwrap();
        home
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.path().join(".openclaw")
    }

    pub(crate) fn gateway_file(&self) -> PathBuf {
        self.state().join("manager/gateway.json")
    }

    /// A command with nothing of our own environment in it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-stand-in"));
        command
            .args(["/app/dist/index.js", "gateway", "--port", "0"])
            .env_clear()
            .env("HOME", self.0.path())
            .env("STAND_IN_NAME", "a1")
            .stdout(Stdio::piped());
        command
    }

    pub(crate) fn start(&self) -> Instance {
        Instance::spawn(&mut self.command())
    }

    pub(crate) fn start_with(&self, variables: &[(&str, &str)]) -> Instance {
        Instance::spawn(self.command().envs(variables.iter().copied()))
    }

    /// Runs to the end and returns the exit code and the log.
    pub(crate) fn run(&self, variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let output = self
            .command()
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    pub(crate) fn edit(&self, text: &str) {
        replace(&self.gateway_file(), text);
    }
}

/// Replaces a file as a manager does: whole or not at all.
pub(crate) fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// A running instance, killed when dropped.
#[derive(Debug)]
pub(crate) struct Instance {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Instance {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&log);
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log holds `text`.
    pub(crate) fn logged(&self, text: &str) {
        eventually(&format!("`{text}` in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Where it listens, once it does.
    pub(crate) fn address(&self) -> SocketAddr {
        eventually("an open port", || {
            let log = self.log();
            let (_, rest) = log.split_once("http server listening on ")?;
            let (address, _) = rest.split_once('\n')?;
            address.parse().ok()
        })
    }

    /// Once it says that it is ready.
    pub(crate) fn ready(&self) -> SocketAddr {
        self.logged("[gateway] ready");
        self.address()
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            address: self.ready(),
            origin: "http://a1.localhost:8080".to_owned(),
            client: [198, 51, 100, 7].into(),
            user_header: "x-claw-user".to_owned(),
            user: "u-1".to_owned(),
            required: vec![
                ("x-claw-proxy".to_owned(), "1".to_owned()),
                ("x-forwarded-proto".to_owned(), "http".to_owned()),
            ],
        }
    }

    pub(crate) fn terminate(&self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the end of the process", || self.child.try_wait().unwrap())
    }

    /// GET, as the health check of a control plane; also what curl would show of the head.
    pub(crate) fn get(&self, path_and_query: &str) -> Reply {
        Reply::of(
            self.address(),
            "GET",
            path_and_query,
            "x-forwarded-for: 198.51.100.7\r\n",
            b"",
        )
    }

    pub(crate) fn json(&self, path_and_query: &str) -> Value {
        let reply = self.get(path_and_query);
        serde_json::from_slice(&reply.body)
            .unwrap_or_else(|error| panic!("{path_and_query}: {error}: {reply:?}"))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A whole answer, read to the end of the connection.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// One raw exchange; `headers` ends each of its lines with CRLF.
    pub(crate) fn of(
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Self {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: a1.localhost:8080\r\nconnection: close\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut bytes = Vec::new();
        // A connection that is cut still shows what came before.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{path}: no head in {bytes:?}"));
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }
}

/// Tries until there is a value, for [`DEADLINE`] at most.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(since.elapsed() < DEADLINE, "no {what} within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
