//! A Docker Engine of the test's own, to be killed: its own data, state, containerd and socket, no firewall rules.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};

use crate::pids;

/// An engine's start takes about 3 s, and 11 s where it has to end what survived; five times that here.
const START: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// An engine in process and mount namespaces of its own: when its first process ends, the kernel ends every other,
/// and no mount is left, also when the test itself was killed.
pub(crate) struct PrivateEngine {
    dir: tempfile::TempDir,
    /// Where it listens, beside its socket.
    pub(crate) port: u16,
    /// The third number of its networks' addresses, `10.234.{subnet}.0/24`.
    pub(crate) subnet: u8,
    live_restore: bool,
    first: Child,
    shell: ChildStdin,
}

/// The private engine's default bridge.
const BRIDGE: &str = "octkill0";

/// Asks or changes the machine's network. What is so already is no error: an earlier run may have been killed.
fn ip(arguments: &[&str]) -> String {
    let done = Command::new("ip")
        .args(arguments)
        .output()
        .expect("`ip` is installed (apt-get install iproute2)");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// The machine's bridges in the addresses of the networks of a private engine.
fn bridges(subnet: u8) -> Vec<String> {
    let addresses = ip(&["-oneline", "-4", "address", "show"]);
    let ours = format!(" 10.234.{subnet}.");
    let of_ours = addresses.lines().filter(|line| line.contains(&ours));
    of_ours
        .map(|line| line.split_whitespace().nth(1).expect("a name").to_owned())
        .collect()
}

impl PrivateEngine {
    /// One with nothing on it, not started. Whatever becomes of it, it is to be [removed](Self::remove).
    pub(crate) fn new(port: u16, live_restore: bool) -> Self {
        // A bridge of its own: an engine without one removes the machine's default bridge, whosever it is.
        ip(&["link", "add", BRIDGE, "type", "bridge"]);
        ip(&["addr", "add", "10.235.255.1/29", "dev", BRIDGE]);
        ip(&["link", "set", BRIDGE, "up"]);
        // The shell starts one engine after the other; it ends with its input, and everything ends with it.
        let mut first = tokio::process::Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--", "tini", "--", "sh"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("unshare and tini are installed");
        Self {
            dir: tempfile::tempdir().unwrap(),
            port,
            // Networks of a run that was killed may still be there.
            subnet: u8::try_from(std::process::id() % 250).unwrap() + u8::from(live_restore),
            live_restore,
            shell: first.stdin.take().unwrap(),
            first,
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
        fs::remove_file(self.dir.path().join("docker.pid")).ok();
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

    /// The engine and its containerd: found before the moment to [kill](pids::kill) them, for looking takes long.
    pub(crate) fn daemons(&self) -> Vec<u32> {
        let own = pids::naming(self.dir.path().to_str().unwrap());
        let found: Vec<_> = own
            .into_iter()
            .filter(|(name, _)| name == "dockerd" || name == "containerd")
            .collect();
        assert_eq!(found.len(), 2, "an engine and its containerd: {found:?}");
        found.into_iter().map(|(_, pid)| pid).collect()
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

    /// How many objects of a kind (`container`, `volume`, `network`) each tenant has, by the tenant's label.
    pub(crate) fn of_tenants(&self, kind: &str) -> BTreeMap<String, usize> {
        let all: &[&str] = if kind == "container" { &["--all"] } else { &[] };
        let label = "io.openclaw-tenancy.tenant";
        let (filter, format) = (
            format!("label={label}"),
            format!("{{{{.Label \"{label}\"}}}}"),
        );
        let list = [kind, "ls", "--filter", &filter, "--format", &format];
        let mut counts = BTreeMap::new();
        for tenant in self.docker(&[&list, all].concat()).lines() {
            *counts.entry(tenant.to_owned()).or_default() += 1;
        }
        counts
    }

    /// Removes the bridges in its networks' addresses that are of no network it lists; answers how many there were.
    pub(crate) fn remove_stray_bridges(&self) -> usize {
        let listed = self.docker(&["network", "ls", "--quiet", "--no-trunc"]);
        let is_listed = |id: &str| listed.lines().any(|network| network.starts_with(id));
        let mut strays = bridges(self.subnet);
        strays.retain(|name| !name.strip_prefix("br-").is_some_and(is_listed));
        for name in &strays {
            ip(&["link", "del", name]);
        }
        strays.len()
    }

    /// Removes a volume that has no labels and that nobody ever wrote to.
    pub(crate) fn remove_half_made(&self, volume: &str) {
        let labels = self.docker(&["volume", "inspect", "--format", "{{json .Labels}}", volume]);
        assert!(matches!(labels.trim(), "null" | "{}"), "{volume}: {labels}");
        let files = fs::read_dir(self.volumes().join(volume).join("_data")).unwrap();
        assert_eq!(files.count(), 0, "{volume}");
        self.docker(&["volume", "rm", volume]);
    }

    /// Where its volumes are.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.dir.path().join("data/volumes")
    }

    /// Removes everything: processes, mounts, networks, files.
    pub(crate) async fn remove(self) {
        let Self {
            dir,
            subnet,
            mut first,
            shell,
            ..
        } = self;
        drop(shell);
        let ended = tokio::time::timeout(START, first.wait()).await;
        ended.expect("the kernel ends them all").unwrap();
        for name in bridges(subnet) {
            ip(&["link", "del", &name]);
        }
        ip(&["link", "del", BRIDGE]);
        let left = pids::naming(dir.path().to_str().unwrap());
        assert!(left.is_empty(), "{left:?}");
        dir.close().expect("its files can be removed");
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
}

/// Whether this process may start an engine.
pub(crate) fn may_run_an_engine() -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let installed = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    let may = root
        && ["dockerd", "containerd", "tini", "unshare", "ip"]
            .into_iter()
            .all(installed);
    let required = std::env::var("TENANCY_TEST_REQUIRE").unwrap_or_default();
    assert!(
        may || required != "all",
        "TENANCY_TEST_REQUIRE=all, but only root with dockerd, containerd, tini, unshare and ip can run this"
    );
    if !may {
        println!("skipped: only root with dockerd, containerd, tini, unshare and ip can run this");
    }
    may
}
