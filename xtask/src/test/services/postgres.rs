//! A PostgreSQL of the tests' own: fresh data, a free loopback port, gone at the end.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::Interrupt;
use crate::term::Step;
use crate::{platform, run};

/// A running server. Dropping it stops the server and removes its data.
#[derive(Debug)]
pub(super) struct Postgres {
    child: Child,
    folder: PathBuf,
    port: u16,
    password: String,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub(super) fn start() -> Result<Self> {
        if binaries().is_none() {
            platform::install(&["postgresql"], "Testing the PostgreSQL store")?;
        }
        let binaries = binaries().context("PostgreSQL 14 or later is installed and not found")?;
        let step = Step::begin("PostgreSQL");
        // Not under target/: the server runs as a user of its own, who may not enter a checkout
        // below root's home.
        let folder = PathBuf::from(run::output(Command::new("mktemp").args([
            "--directory",
            "--tmpdir",
            "openclaw-tenancy-postgres.XXXXXX",
        ]))?);
        let password = password()?;
        let secret = folder.join("password");
        fs::write(&secret, &password).context("cannot write the password file")?;
        if platform::is_root() {
            run::output(Command::new("chown").args(["-R", "postgres:"]).arg(&folder))?;
        }
        let data = folder.join("data");
        run::output(
            as_server(&binaries.join("initdb"))
                .arg("--pgdata")
                .arg(&data)
                .args([
                    "--username=postgres",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                ])
                .args(["--locale=C", "--no-sync", "--pwfile"])
                .arg(&secret)
                .current_dir("/"),
        )?;
        let log = platform::target_dir().join("xtask/postgres.log");
        fs::create_dir_all(log.parent().unwrap_or(Path::new(".")))?;
        let output =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let port = free_port()?;
        let child = as_server(&binaries.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                &format!("port={port}"),
            ])
            .args(["-c", "max_connections=300", "-c", "fsync=off"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", folder.display()))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start PostgreSQL")?;
        let server = Self {
            child,
            folder,
            port,
            password,
        };
        let ready = || {
            run::output(Command::new(binaries.join("pg_isready")).args([
                "--quiet",
                "--host=127.0.0.1",
                &format!("--port={port}"),
            ]))
            .ok()
        };
        if run::poll(Duration::from_secs(30), ready).is_none() {
            bail!(
                "PostgreSQL did not answer within 30 s:\n{}",
                run::log_tail(&log)
            );
        }
        step.done(&format!("127.0.0.1:{port}"));
        Ok(server)
    }

    /// How a superuser connects.
    pub(super) fn url(&self) -> String {
        format!(
            "postgres://postgres:{}@127.0.0.1:{}/postgres",
            self.password, self.port
        )
    }

    /// Waits for an interruption; its own end before that is an error.
    pub(super) fn wait(&mut self) -> Result<()> {
        match Interrupt::listen()?.or_end_of(&mut self.child)? {
            None => Ok(()),
            Some(status) => bail!("PostgreSQL ended with {status}"),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown: it does not wait for a test's open connection.
        run::signal(self.child.id(), "INT").ok();
        let ended = run::poll(Duration::from_secs(15), || {
            self.child.try_wait().ok().flatten()
        });
        if ended.is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// A command that runs as the user `postgres` where we are root, because PostgreSQL refuses root,
/// and that ends with this process, however this process ends.
fn as_server(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if platform::is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command.args(["--pdeathsig", "INT"]).arg(program);
    command
}

/// The folder of the newest server's programs: Debian keeps them off the search path.
fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path().join("bin");
            (version >= 14 && folder.join("initdb").is_file()).then_some((version, folder))
        })
        .collect();
    versions.sort();
    let newest = versions.pop().map(|(_, folder)| folder);
    newest.or_else(|| run::find("initdb")?.parent().map(Path::to_owned))
}

/// A port nobody listens on now. Another process may take it before we do; then the start fails
/// loudly.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}

fn password() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
