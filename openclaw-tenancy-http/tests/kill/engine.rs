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

impl PrivateEngine {
    /// Starts one with nothing on it.
    pub(crate) async fn start(port: u16, live_restore: bool) -> Self {
        // The subreaper's shell starts one engine after the other.
        let mut reaper = tokio::process::Command::new("tini")
            .args(["-s", "--", "sh"])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("tini is installed");
        let shell = reaper.stdin.take().unwrap();
        let mut engine = Self {
            dir: tempfile::tempdir().unwrap(),
            port,
            live_restore,
            _reaper: reaper,
            shell,
        };
        engine.start_again().await;
        engine
    }

    /// Starts it on what is there; tells how long it took to answer.
    pub(crate) async fn start_again(&mut self) -> Duration {
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
             -H unix://{dir}/docker.sock -H tcp://127.0.0.1:{port} --tls=false --bridge=none --iptables=false \
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

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("engine.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
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
