//! The reference server as a process of ours.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Places;
use crate::engine::Engine;
use crate::http::{Address, Request};
use crate::run::Interrupt;
use crate::term::Step;
use crate::{platform, run};

/// How the server's line about the first administrator begins; user name and password follow.
const FIRST_ADMINISTRATOR: &str = "first administrator: ";

/// What every server of this tool is started with.
#[derive(Debug)]
pub(super) struct Settings {
    /// The built program.
    pub(super) program: PathBuf,
    /// The engine it manages.
    pub(super) engine: Engine,
    /// What instances run.
    pub(super) image: String,
    /// What the image needs of memory, where it is not OpenClaw.
    pub(super) floor: Option<&'static str>,
}

/// Where the server's own output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// To the terminal, as it comes.
    Shown,
    /// Nowhere, unless something fails: then its end is shown.
    Kept,
}

/// The account that a first start makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FirstAdministrator {
    /// User name.
    pub(super) user: String,
    /// Password, shown once.
    pub(super) password: String,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    address: Address,
    said: Arc<Mutex<Said>>,
    readers: Vec<JoinHandle<()>>,
}

/// What a server has printed.
#[derive(Debug, Default)]
struct Said {
    first: Option<FirstAdministrator>,
    last_lines: Vec<String>,
}

/// Builds the server and answers where the program is.
pub(super) fn build() -> Result<PathBuf> {
    let step = Step::begin("Server program");
    let log = platform::target_dir().join("xtask/build.log");
    let mut command = Command::new("cargo");
    command
        .args([
            "build",
            "--package",
            "openclaw-tenancy-http",
            "--bin",
            "openclaw-tenancy",
        ])
        .current_dir(platform::workspace());
    run::logged(&mut command, &log)?;
    let program = platform::target_dir().join("debug/openclaw-tenancy");
    step.done("");
    Ok(program)
}

impl Server {
    /// Starts it on a data folder.
    pub(super) fn start(
        settings: &Settings,
        data: &Path,
        places: &Places,
        output: Output,
    ) -> Result<Self> {
        fs::create_dir_all(data)
            .with_context(|| format!("cannot make the data folder {}", data.display()))?;
        for place in [places.api, places.edge, places.metrics] {
            std::net::TcpListener::bind(place)
                .with_context(|| format!("{place} is taken: is another server running here?"))?;
        }
        let mut command = Command::new(&settings.program);
        command.arg("serve").arg("--data").arg(data);
        let config = data.join("config.toml");
        if config.is_file() {
            command.arg("--config").arg(&config);
        }
        let mut set = |key: &str, value: &str| {
            command.env(format!("OPENCLAW_TENANCY__{key}"), value);
        };
        set("SERVER__LISTEN", &places.api.to_string());
        set("SERVER__PUBLIC_URL", &places.public_url());
        set("EDGE__LISTEN", &places.edge.to_string());
        set("METRICS__LISTEN", &places.metrics.to_string());
        set("HOSTS__0__ID", "local");
        set("HOSTS__0__ADDRESS", settings.engine.host());
        set("IMAGE__REFERENCE", &settings.image);
        if let Some(floor) = settings.floor {
            set("IMAGE__FLOOR", floor);
        }
        if output == Output::Kept {
            // A check beside a running server must not hand out the same networks.
            set("RECONCILE__SUBNET_POOL", "10.214.0.0/16");
        }
        // A group of its own: Ctrl-C reaches this tool, which then asks the server to end, once.
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", settings.program.display()))?;
        let said = Arc::new(Mutex::new(Said::default()));
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(listen(stdout, Arc::clone(&said), output));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(listen(stderr, Arc::clone(&said), output));
        }
        Ok(Self {
            child,
            address: Address::Tcp(places.api.to_string()),
            said,
            readers,
        })
    }

    /// Waits until it answers, and tells the first administrator where this start made one.
    pub(super) fn wait_until_ready(&mut self) -> Result<Option<FirstAdministrator>> {
        let step = Step::begin("Starting the server");
        let limit = Duration::from_secs(60);
        let outcome = run::poll(limit, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(Err(status));
            }
            Request::new("GET", "/api/health")
                .send(&self.address, Duration::from_secs(5))
                .ok()
                .filter(|answer| answer.status == 200)
                .map(Ok)
        });
        match outcome {
            Some(Ok(_)) => {
                step.done("");
                Ok(self.said().first.clone())
            }
            Some(Err(status)) => bail!("the server ended with {status}:\n{}", self.last_words()),
            None => bail!(
                "the server was not healthy within 60 s:\n{}",
                self.last_words()
            ),
        }
    }

    /// The end of what it printed.
    pub(super) fn last_words(&self) -> String {
        self.said().last_lines.join("\n")
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks it to end and waits for that.
    pub(super) fn stop(&mut self) -> Result<ExitStatus> {
        if self.child.try_wait()?.is_none() {
            run::signal(self.child.id(), "TERM")?;
        }
        let limit = Duration::from_secs(60);
        let ended = run::poll(limit, || self.child.try_wait().ok().flatten());
        for reader in self.readers.drain(..) {
            reader.join().ok();
        }
        ended.context("the server did not end within 60 s of SIGTERM")
    }

    /// Waits for Ctrl-C or SIGTERM, then ends the server; or for the server's own end.
    pub(super) fn run_until_interrupted(mut self) -> Result<()> {
        let status = match Interrupt::listen()?.or_end_of(&mut self.child)? {
            Some(status) => status,
            None => self.stop()?,
        };
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop().is_err() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn listen(
    stream: impl std::io::Read + Send + 'static,
    said: Arc<Mutex<Said>>,
    output: Output,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(first) = first_administrator(&line) {
                // Shown once more by whoever asked, and nowhere else.
                said.first = Some(first);
                continue;
            }
            if output == Output::Shown {
                eprintln!("{line}");
            }
            said.last_lines.push(line);
            if said.last_lines.len() > 40 {
                said.last_lines.remove(0);
            }
        }
    })
}

fn first_administrator(line: &str) -> Option<FirstAdministrator> {
    let (user, password) = line
        .trim()
        .strip_prefix(FIRST_ADMINISTRATOR)?
        .split_once(' ')?;
    Some(FirstAdministrator {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_administrator_is_read_from_its_line_only() {
        let first = first_administrator("first administrator: admin s3cret").unwrap();
        assert_eq!(
            (first.user.as_str(), first.password.as_str()),
            ("admin", "s3cret")
        );
        assert_eq!(
            first_administrator("INFO first administrator: admin x"),
            None
        );
    }
}
