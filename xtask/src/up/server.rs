//! The reference server as a process of ours.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::http::Address;
use crate::run::Interrupt;
use crate::term::{Step, say};
use crate::{platform, run};

/// How the server's line about the first administrator begins; user name and password follow.
const FIRST_ADMINISTRATOR: &str = "first administrator: ";

/// How the line begins that says where everything is.
const READY: &str = "ready: ";

/// The access log of a check that waits would push everything else out of what is kept.
const LOOKING: &str = r#"route="/api/tenants/me" status=200"#;

/// The step until it serves.
pub(super) const STARTING: &str = "Starting the server";

/// A first start makes keys and tables, on a slow disk too.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The server drains for less.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// What every server of this tool is started with.
#[derive(Debug)]
pub(super) struct Settings {
    /// The built program.
    pub(super) program: PathBuf,
    /// The engine it manages, unless its own configuration names engines.
    pub(super) host: Option<String>,
    /// What instances run, unless its own configuration says so.
    pub(super) image: Option<String>,
    /// What the image needs of memory, where it is not OpenClaw.
    pub(super) floor: Option<&'static str>,
}

impl Settings {
    /// What the server is told, and its other commands have to be told as well, as environment variables: on other data
    /// `token` would speak for another deployment, and with another image `doctor` would look for that.
    pub(super) fn told(&self, data: &Path) -> Vec<(&'static str, String)> {
        let mut told = vec![("OPENCLAW_TENANCY_DATA", data.display().to_string())];
        if let Some(host) = &self.host {
            told.push(("OPENCLAW_TENANCY__HOSTS__0__ID", "local".to_owned()));
            told.push(("OPENCLAW_TENANCY__HOSTS__0__ADDRESS", host.clone()));
        }
        if let Some(image) = &self.image {
            told.push(("OPENCLAW_TENANCY__IMAGE__REFERENCE", image.clone()));
        }
        if let Some(floor) = self.floor {
            told.push(("OPENCLAW_TENANCY__IMAGE__FLOOR", floor.to_owned()));
        }
        told
    }
}

/// How a server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Where people expect it, with its log on the terminal.
    Usual,
    /// On free ports beside any other server, quiet unless something fails.
    Check,
}

/// The account that a first start makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FirstAdministrator {
    /// User name.
    pub(super) user: String,
    /// Password, shown once.
    pub(super) password: String,
}

/// Where a started server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// The origin of API and pages, as browsers write it.
    pub(super) public_url: String,
    /// Where the API is dialled.
    pub(super) api: Address,
    /// Where the edge is dialled.
    pub(super) edge: Address,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    said: Arc<Mutex<Said>>,
    readers: Vec<JoinHandle<()>>,
}

/// What a server has printed.
#[derive(Debug, Default)]
struct Said {
    first: Option<FirstAdministrator>,
    ready: Option<Places>,
    last_lines: Vec<String>,
}

/// Builds the server and answers where the program is.
pub(super) fn build() -> Result<PathBuf> {
    let step = Step::begin("Server program");
    let log = platform::target_dir().join("xtask/build.log");
    let mut command = platform::cargo();
    command.args([
        "build",
        "--package",
        "openclaw-tenancy-http",
        "--bin",
        "openclaw-tenancy",
    ]);
    run::logged(&mut command, &log)?;
    let program = platform::target_dir().join("debug/openclaw-tenancy");
    step.done("");
    Ok(program)
}

impl Server {
    /// Starts it on a data folder, whose `config.toml` it reads where there is one.
    pub(super) fn start(settings: &Settings, data: &Path, mode: Mode) -> Result<Self> {
        fs::create_dir_all(data)
            .with_context(|| format!("cannot make the data folder {}", data.display()))?;
        let mut command = Command::new(&settings.program);
        command.arg("serve").envs(settings.told(data));
        if mode == Mode::Check {
            for listener in ["server.listen", "edge.listen", "metrics.listen"] {
                command.args(["--set", &format!("{listener}=127.0.0.1:0")]);
            }
            // A check beside a running server must not hand out the same networks.
            command.args(["--set", "reconcile.subnet_pool=10.214.0.0/16"]);
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
            readers.push(listen(stdout, Arc::clone(&said), Said::take_line));
        }
        if let Some(stderr) = child.stderr.take() {
            let shown = mode == Mode::Usual;
            readers.push(listen(stderr, Arc::clone(&said), move |said, line| {
                if shown {
                    say(format_args!("{line}"));
                } else if !line.contains(LOOKING) {
                    said.keep(line);
                }
            }));
        }
        Ok(Self {
            child,
            said,
            readers,
        })
    }

    /// Waits until it serves; tells where, and the first administrator where this start made one.
    pub(super) fn wait_until_ready(
        &mut self,
        interrupt: &Interrupt,
    ) -> Result<(Places, Option<FirstAdministrator>)> {
        let step = Step::begin(STARTING);
        let outcome = run::poll(START_LIMIT, || {
            if let Err(interrupted) = interrupt.check() {
                return Some(Err(interrupted));
            }
            if let Some(places) = self.said().ready.clone() {
                return Some(Ok(places));
            }
            let status = self.child.try_wait().ok().flatten()?;
            Some(Err(anyhow!(
                "the server ended with {status}:\n{}",
                self.last_words()
            )))
        });
        match outcome {
            Some(Ok(places)) => {
                step.done(&places.public_url);
                let first = self.said().first.clone();
                Ok((places, first))
            }
            Some(Err(error)) => Err(error),
            None => bail!(
                "the server did not serve within {} s:\n{}",
                START_LIMIT.as_secs(),
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
        let ended = run::poll(STOP_LIMIT, || self.child.try_wait().ok().flatten());
        for reader in self.readers.drain(..) {
            reader.join().ok();
        }
        ended.context("the server did not end after SIGTERM")
    }

    /// Waits for Ctrl-C or SIGTERM, then ends the server; or for the server's own end.
    pub(super) fn run_until_interrupted(mut self, interrupt: &Interrupt) -> Result<()> {
        let status = match interrupt.or_end_of(&mut self.child)? {
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

impl Said {
    /// Takes a line of standard output, which holds what is for whoever started the server.
    fn take_line(&mut self, line: String) {
        if let Some(first) = first_administrator(&line) {
            // Shown once by whoever asks for it, and kept out of what an error shows.
            self.first = Some(first);
        } else if let Some(places) = places(&line) {
            self.ready = Some(places);
        } else {
            self.keep(line);
        }
    }

    fn keep(&mut self, line: String) {
        self.last_lines.push(line);
        if self.last_lines.len() > 40 {
            self.last_lines.remove(0);
        }
    }
}

fn listen(
    stream: impl std::io::Read + Send + 'static,
    said: Arc<Mutex<Said>>,
    take: impl Fn(&mut Said, String) + Send + 'static,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            take(&mut said, line);
        }
    })
}

fn first_administrator(line: &str) -> Option<FirstAdministrator> {
    let (user, password) = line.strip_prefix(FIRST_ADMINISTRATOR)?.split_once(' ')?;
    Some(FirstAdministrator {
        user: user.to_owned(),
        password: password.trim_end().to_owned(),
    })
}

/// Reads `ready: api=URL edge=URL metrics=URL`.
fn places(line: &str) -> Option<Places> {
    let fields = line.strip_prefix(READY)?;
    let field = |name: &str| {
        fields
            .split_whitespace()
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let public_url = field("api")?.to_owned();
    let api = dialled(&public_url);
    let edge = Address::Tcp(field("edge")?.strip_prefix("http://")?.to_owned());
    Some(Places {
        public_url,
        api,
        edge,
    })
}

/// Where a public address is dialled. Behind a proxy of the owner's it says nothing of that.
pub(super) fn dialled(public_url: &str) -> Address {
    let port = public_url.strip_prefix("http://localhost:");
    Address::Tcp(format!("127.0.0.1:{}", port.unwrap_or("3000")))
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

    #[test]
    fn the_ready_line_says_where_to_dial() {
        let line = "ready: api=http://localhost:3001 edge=http://127.0.0.1:8081 metrics=http://x";
        let places = places(line).unwrap();
        assert_eq!(places.public_url, "http://localhost:3001");
        assert_eq!(places.api, Address::Tcp("127.0.0.1:3001".to_owned()));
        assert_eq!(places.edge, Address::Tcp("127.0.0.1:8081".to_owned()));
    }
}
