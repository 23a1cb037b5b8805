//! A private PostgreSQL server that a test may start late, and kill.
#![expect(
    clippy::expect_used,
    reason = "a test whose service cannot be had fails"
)]

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_port;
use crate::services::is_required;

/// A server process with a data directory of its own, on a loopback port of its own.
#[derive(Debug)]
pub struct Server {
    directory: TempDir,
    programs: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Server {
    /// Makes a data directory and starts; `None`, with a word about it, where PostgreSQL is not installed.
    #[must_use]
    pub fn start() -> Option<Self> {
        let mut server = Self::prepare()?;
        server.run();
        Some(server)
    }

    /// Makes a data directory, for a server that is started later; `None` as for [`start`](Self::start).
    #[must_use]
    pub fn prepare() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                !is_required("postgres"),
                "PostgreSQL's initdb must be installed"
            );
            eprintln!("skipped: PostgreSQL's initdb is not installed");
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory");
        if is_root() {
            // The server refuses to run as root.
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(directory.path())
                .status();
            assert!(
                owned.is_ok_and(|status| status.success()),
                "the user postgres exists"
            );
        }
        let made = as_its_user(&programs.join("initdb"))
            .args([
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--pgdata"])
            .arg(directory.path().join("data"))
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Some(Self {
            directory,
            programs,
            port: free_port(),
            process: None,
        })
    }

    /// Where it listens once it runs.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The URL of its first database, over `address`, which may be a proxy's.
    #[must_use]
    pub fn url(&self, address: SocketAddr) -> String {
        format!("postgres://postgres@{address}/postgres?sslmode=disable")
    }

    /// Kills every process of it with SIGKILL: what was not committed is lost, what was is in the log.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let group = format!("-{}", process.id());
            let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
            assert!(
                killed.is_ok_and(|status| status.success()),
                "the server was running"
            );
            process.wait().expect("the server has ended");
        }
    }

    /// Starts it, again after a kill, and returns when it accepts connections.
    pub fn run(&mut self) {
        let data = self.directory.path().join("data");
        let deadline = deadline(Duration::from_secs(30));
        // What a killed server leaves behind keeps a new one from starting for a moment.
        while self.process.is_none() {
            let mut process = as_its_user(&self.programs.join("postgres"))
                .arg("-D")
                .arg(&data)
                .args([
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "unix_socket_directories=",
                ])
                .args(["-c", "fsync=off", "-c", "max_connections=50"])
                .arg("-c")
                .arg(format!("port={}", self.port))
                .stderr(Stdio::null())
                .stdout(Stdio::null())
                .process_group(0)
                .spawn()
                .expect("the server starts");
            while process.try_wait().expect("a child").is_none() {
                // Where somebody else has taken the port, this one ends, if not yet.
                let answers = TcpStream::connect(self.address()).is_ok();
                if answers && process.try_wait().expect("a child").is_none() {
                    self.process = Some(process);
                    break;
                }
                deadline.wait("the server accepts connections");
            }
            deadline.wait("the server starts");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A bound on waiting for a condition.
#[derive(Debug, Clone, Copy)]
struct Deadline(Instant);

/// A deadline `time` from now.
#[expect(clippy::disallowed_methods, reason = "a test waits for real processes")]
fn deadline(time: Duration) -> Deadline {
    Deadline(Instant::now() + time)
}

impl Deadline {
    /// Waits a little before the condition is looked at again.
    #[expect(clippy::disallowed_methods, reason = "a test waits for real processes")]
    fn wait(self, condition: &str) {
        assert!(Instant::now() < self.0, "in time: {condition}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

/// A command run by the user that PostgreSQL insists on.
fn as_its_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "--",
    ]);
    command.arg(program);
    command.current_dir("/");
    command
}

/// The directory of the server's programs: of the newest version where Debian puts them, or on the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok();
    let mut debian: Vec<PathBuf> = versions
        .into_iter()
        .flatten()
        .collect::<io::Result<Vec<_>>>()
        .ok()?
        .into_iter()
        .map(|version| version.path().join("bin"))
        .collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian
        .into_iter()
        .rev()
        .chain(std::env::split_paths(&path))
        .find(|directory| directory.join("initdb").exists())
}
