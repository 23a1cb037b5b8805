//! A Docker Engine of the test's own: its own data, state, containerd and socket. Its networks are a part of the
//! machine's, without firewall rules, or apart from the machine's, with the rules that any engine makes.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test whose engine cannot be had fails, and its starts are measured"
)]

mod control_groups;
mod ground;
mod looks;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};

pub use self::ground::Ground;
use crate::network_namespace::NetworkNamespace;
use crate::processes;
use crate::services::{REQUIRE_VARIABLE, is_required};

/// An engine's start takes about 3 s, and 11 s where it has to end what survived; five times that here.
const START: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// An engine in process and mount namespaces of its own: when its first process ends, the kernel ends every other,
/// and no mount is left, also when the test itself was killed.
#[derive(Debug)]
pub struct PrivateEngine {
    dir: tempfile::TempDir,
    /// `None` is a network of its own.
    ground: Option<Ground>,
    /// What `dockerd` is told beside what every private engine is.
    options: String,
    first: Child,
    shell: ChildStdin,
}

impl PrivateEngine {
    /// One with nothing on it, not started, on a part of the machine's network that no other test has. `options` are
    /// `dockerd`'s, such as where it listens beside its socket. Whatever becomes of it, it is to be
    /// [removed](Self::remove).
    ///
    /// # Panics
    /// Where this process [may not](may_run_an_engine) run one.
    #[must_use]
    pub fn new(ground: Ground, options: impl Into<String>) -> Self {
        ground.make_bridge();
        Self::begin(Some(ground), &[], options.into())
    }

    /// The same in a [network](Self::network) of its own, in which it makes firewall rules as any engine does, and
    /// which ends with it.
    ///
    /// # Panics
    /// Where this process [may not](may_run_an_engine) run one.
    #[must_use]
    pub fn apart(options: impl Into<String>) -> Self {
        Self::begin(None, &["--net"], options.into())
    }

    fn begin(ground: Option<Ground>, namespaces: &[&str], options: String) -> Self {
        // The shell starts one engine after the other; it ends with its input, and everything ends with it.
        let mut first = tokio::process::Command::new("unshare")
            .args(namespaces)
            .args(["--pid", "--fork", "--mount-proc", "--", "tini", "--", "sh"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("unshare and tini are installed");
        Self {
            dir: tempfile::tempdir().unwrap(),
            ground,
            options,
            shell: first.stdin.take().unwrap(),
            first,
        }
    }

    /// Starts it, on what is there; tells how long it took to answer on its socket.
    ///
    /// # Panics
    /// When it does not answer in a time that is long for any machine; with its last words.
    pub async fn start(&mut self) -> Duration {
        let started = Instant::now();
        let dir = self.dir.path().display();
        let network = match &self.ground {
            Some(ground) => format!(
                "--bridge={} --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false",
                ground.bridge
            ),
            None => String::new(),
        };
        let options = &self.options;
        // What a killed one leaves would make the next refuse to start.
        fs::remove_file(self.dir.path().join("docker.pid")).ok();
        let line = format!(
            "dockerd --data-root {dir}/data --exec-root {dir}/exec --pidfile {dir}/docker.pid \
             -H unix://{dir}/docker.sock {network} {options} >>{dir}/engine.log 2>&1 &\n"
        );
        self.shell.write_all(line.as_bytes()).await.unwrap();
        self.shell.flush().await.unwrap();
        while !self.try_docker(&["version"]).0 {
            assert!(started.elapsed() < START, "{}", self.last_words());
            tokio::time::sleep(LOOK).await;
        }
        started.elapsed()
    }

    /// The addresses of the networks that are made on it, for instance `10.234.7.0/24`.
    ///
    /// # Panics
    /// When its network is its own: it has all addresses then.
    #[must_use]
    pub fn pool(&self) -> String {
        self.ground().pool()
    }

    /// The network that it is in.
    ///
    /// # Panics
    /// Before it was started, or when it has ended.
    #[must_use]
    pub fn network(&self) -> NetworkNamespace {
        NetworkNamespace::of(self.first.id().expect("it runs"))
    }

    /// Where its volumes are.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.dir.path().join("data/volumes")
    }

    /// The engine and its containerd: found before the moment to kill them, for looking takes long.
    ///
    /// # Panics
    /// When there are not these two.
    #[must_use]
    pub fn daemons(&self) -> Vec<u32> {
        let own = processes::naming(self.dir.path().to_str().unwrap());
        let found: Vec<_> = own
            .into_iter()
            .filter(|(name, _)| name == "dockerd" || name == "containerd")
            .collect();
        assert_eq!(found.len(), 2, "an engine and its containerd: {found:?}");
        found.into_iter().map(|(_, pid)| pid).collect()
    }

    /// Removes everything: processes, mounts, networks, files.
    ///
    /// # Panics
    /// When something is left.
    pub async fn remove(self) {
        let Self {
            dir,
            ground,
            mut first,
            shell,
            ..
        } = self;
        drop(shell);
        let ended = tokio::time::timeout(START, first.wait()).await;
        ended.expect("the kernel ends them all").unwrap();
        if let Some(ground) = ground {
            ground.clear();
        }
        let left = processes::naming(dir.path().to_str().unwrap());
        assert!(left.is_empty(), "{left:?}");
        dir.close().expect("its files can be removed");
    }

    /// What its log says of errors, the end of it.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("engine.log")).unwrap_or_default();
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| !line.contains("level=info"))
            .collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn ground(&self) -> &Ground {
        self.ground.as_ref().expect("a part of the machine's")
    }

    /// Its socket, as `DOCKER_HOST` has it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.dir.path().display())
    }
}

/// Whether this process may start an engine; says so where it may not, and the test may be skipped.
///
/// # Panics
/// When it may not although [`REQUIRE_VARIABLE`] lists `private-engine` or `all`.
#[must_use]
pub fn may_run_an_engine() -> bool {
    use std::os::unix::fs::MetadataExt as _;

    const NEEDED: &str = "only root with dockerd, containerd, tini, unshare and ip can run this";

    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let installed = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    let may = root
        && ["dockerd", "containerd", "tini", "unshare", "ip"]
            .into_iter()
            .all(installed);
    assert!(
        may || !is_required("private-engine"),
        "{REQUIRE_VARIABLE} wants it, but {NEEDED}"
    );
    if !may {
        println!("skipped: {NEEDED}");
    }
    may
}
