//! A Docker Engine of the test's own, to be killed: its own data, state, containerd and socket, no firewall rules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};

use crate::processes;

/// An engine's start takes about 3 s, and 11 s where it has to end what survived; five times that here.
const START: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// An engine below a subreaper, which collects what a killed engine leaves behind.
pub(crate) struct PrivateEngine {
    dir: tempfile::TempDir,
    /// Where it listens, beside its socket.
    pub(crate) port: u16,
    live_restore: bool,
    _reaper: Child,
    shell: ChildStdin,
}

/// The private engine's default bridge.
const BRIDGE: &str = "octkill0";

/// Changes the machine's network. What is so already is no error: an earlier run may have been killed.
fn ip(arguments: &[&str]) {
    let changed = Command::new("ip").args(arguments).output();
    assert!(
        changed.is_ok(),
        "`ip` is not installed: apt-get install iproute2"
    );
}

impl PrivateEngine {
    /// One with nothing on it, not started. Whatever becomes of it, it is to be [removed](Self::remove).
    pub(crate) fn new(port: u16, live_restore: bool) -> Self {
        // A bridge of its own: an engine without one removes the machine's default bridge, whosever it is.
        ip(&["link", "add", BRIDGE, "type", "bridge"]);
        ip(&["addr", "add", "10.235.255.1/29", "dev", BRIDGE]);
        ip(&["link", "set", BRIDGE, "up"]);
        // The subreaper's shell starts one engine after the other.
        let mut reaper = tokio::process::Command::new("tini")
            .args(["-s", "--", "sh"])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("tini is installed");
        Self {
            dir: tempfile::tempdir().unwrap(),
            port,
            live_restore,
            shell: reaper.stdin.take().unwrap(),
            _reaper: reaper,
        }
    }

    /// Starts it, on what is there; tells how long it took to answer.
    pub(crate) async fn start(&mut self) -> Duration {
        let started = Instant::now();
        let dir = self.dir.path().display();
        let port = self.port;
        let restore = if self.live_restore {
            "--live-restore"
        } else {
            ""
        };
        // What a killed one leaves would make the next refuse to start.
        fs::remove_file(self.pid_file()).ok();
        let line = format!(
            "dockerd --data-root {dir}/data --exec-root {dir}/exec --pidfile {dir}/docker.pid \
             -H unix://{dir}/docker.sock -H tcp://127.0.0.1:{port} --tls=false --bridge={BRIDGE} --iptables=false \
             --ip6tables=false --ip-forward=false --ip-masq=false {restore} >>{dir}/engine.log 2>&1 &\n"
        );
        self.shell.write_all(line.as_bytes()).await.unwrap();
        self.shell.flush().await.unwrap();
        while !self.try_docker(&["version"]).0 {
            assert!(started.elapsed() < START, "{}", self.last_words());
            tokio::time::sleep(LOOK).await;
        }
        started.elapsed()
    }

    /// Kills the engine and its containerd with SIGKILL, as the kernel does when memory is gone.
    pub(crate) fn kill(&self) {
        let containerd = self.dir.path().join("exec/containerd/containerd.pid");
        for file in [self.pid_file(), containerd] {
            let pid = fs::read_to_string(&file).unwrap_or_else(|error| {
                panic!("{}: {error}", file.display());
            });
            processes::kill(pid.trim().parse().unwrap());
        }
    }

    /// Copies an image from another engine.
    pub(crate) fn load(&self, from: &str, image: &str) {
        let mut save = Command::new("docker")
            .args(["--host", from, "save", image])
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker's command line is installed");
        let load = Command::new("docker")
            .args(["--host", &self.host(), "load", "--quiet"])
            .stdin(save.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(save.wait().unwrap().success() && load.status.success());
    }

    /// The full ids of the containers that the engine believes to run.
    pub(crate) fn running(&self) -> Vec<String> {
        self.docker(&["ps", "--no-trunc", "--quiet"])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Where its volumes are.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.dir.path().join("data/volumes")
    }

    /// Removes everything: containers, networks, the engine, processes, mounts, files.
    pub(crate) async fn remove(self) {
        let listed = |args: &[&str]| {
            let (_, names) = self.try_docker(args);
            names.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for id in listed(&["ps", "--all", "--quiet"]) {
            self.try_docker(&["rm", "--force", &id]);
        }
        for id in listed(&["network", "ls", "--quiet", "--filter", "type=custom"]) {
            self.try_docker(&["network", "rm", &id]);
        }
        ip(&["link", "del", BRIDGE]);
        let dir = self.dir.path().to_str().unwrap().to_owned();
        let end = Instant::now() + START;
        // The engine, its containerd, the shims, and every process on a volume: all name this folder.
        loop {
            let mut left = processes::naming(&dir);
            left.extend(
                processes::on_volumes(&dir)
                    .into_iter()
                    .map(|found| found.pid),
            );
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(processes::kill);
            assert!(Instant::now() < end, "something does not end");
            tokio::time::sleep(LOOK).await;
        }
        unmount(self.dir.path());
        self.dir.close().expect("its files can be removed");
    }

    /// What its log says of errors, the end of it.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("engine.log")).unwrap_or_default();
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| !line.contains("level=info"))
            .collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn docker(&self, args: &[&str]) -> String {
        let (well, output) = self.try_docker(args);
        assert!(well, "docker {args:?}: {}", self.last_words());
        output
    }

    fn try_docker(&self, args: &[&str]) -> (bool, String) {
        let done = Command::new("docker")
            .args(["--host", &self.host()])
            .args(args)
            .output()
            .expect("docker's command line is installed");
        let output = String::from_utf8_lossy(&done.stdout).into_owned();
        (done.status.success(), output)
    }

    fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.dir.path().display())
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.path().join("docker.pid")
    }
}

/// Unmounts whatever is below `dir`, the deepest first.
fn unmount(dir: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut points: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|point| Path::new(point).starts_with(dir))
        .collect();
    points.sort_unstable_by_key(|point| std::cmp::Reverse(point.len()));
    for point in points {
        Command::new("umount").args(["--lazy", point]).status().ok();
    }
}
