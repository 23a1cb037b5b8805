//! `cargo xtask up` as a newcomer runs it: started, signed in to with what it printed, ended, and started again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::check::{Person, Scratch};
use super::server::{self, FirstAdministrator, Places};
use super::{LAST_WORDS, OPEN, SIGN_IN, WITH_PASSWORD};
use crate::engine;
use crate::run::{self, Interrupt};
use crate::term::{Step, heading, note, seconds};

/// Ports and networks beside those of a server that runs here already: all that differs from a newcomer's.
const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
[edge]
listen = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"
[reconcile]
subnet_pool = "10.219.0.0/16"
"#;

/// Nothing has to be made any more at a second start, and a machine may be busy.
const QUICK: Duration = Duration::from_secs(30);

/// The first start may have to build the server.
const FIRST: Duration = Duration::from_secs(900);

/// The server drains for less.
const END: Duration = Duration::from_secs(90);

/// The plan that the administrator is promised.
const PLAN: &str = "pro";

/// Runs the command three times on one data folder of the test's own.
pub(super) fn perform() -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let engine = engine::ensure()?;
    let scratch = Scratch::new(&engine)?;
    fs::write(scratch.folder.join("config.toml"), CONFIG).context("cannot write config.toml")?;

    heading("First start");
    let up = Up::start(&scratch.folder)?;
    let (first, instance) = up.and_end(|up| {
        let said = up.wait_for_words(FIRST, &interrupt)?;
        let first = said.first.context("the first start printed no password")?;
        let mut person = Person::new(&said.places, &interrupt);
        person.sign_in(&first)?;
        let me = person.call("GET", "/api/auth/me", None)?;
        let me = me.ok("asking who this is")?.json()?;
        if me["admin"] != true || me["plan"] != PLAN {
            bail!("expected an administrator with the plan {PLAN:?}, got {me}");
        }
        Ok((first, person.create_and_wait()?))
    })?;

    heading("Second start");
    let started = Instant::now();
    let up = Up::start(&scratch.folder)?;
    up.and_end(|up| {
        let said = up.wait_for_words(QUICK, &interrupt)?;
        note(&format!(
            "the second start took {}",
            seconds(started.elapsed())
        ));
        if said.first.is_some() {
            bail!("the second start printed a password again");
        }
        let mut person = Person::new(&said.places, &interrupt);
        person.sign_in(&first)?;
        let kept = person.wait_until_running()?;
        // The edge has another port this time.
        if host(&kept) != host(&instance) {
            bail!("the instance of the first start was {instance}, and is {kept}");
        }
        person.delete_and_wait()?;
        scratch.must_hold_nothing()
    })?;

    heading("Interrupted while it starts");
    let mut up = Up::start(&scratch.folder)?;
    up.wait_for(QUICK, &interrupt, |line| line.contains(server::STARTING))?;
    if up.end()? {
        bail!("it was interrupted before it served, and says that all went well");
    }
    must_not_run(&scratch.folder)?;

    if elsewhere(&scratch.folder).exists() {
        bail!("with a folder of its own it wrote where the user's data is kept");
    }
    Ok(())
}

/// What a person reads on the terminal once it serves.
struct Words {
    places: Places,
    first: Option<FirstAdministrator>,
}

/// A running `cargo xtask up`. Dropping it ends it.
struct Up {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Up {
    fn start(data: &Path) -> Result<Self> {
        // This very program, also where a build has put another in its place meanwhile.
        let mut child = Command::new("/proc/self/exe")
            .args(["up", "--image", "stand-in", "--data-dir"])
            .arg(data)
            .env("XDG_DATA_HOME", elsewhere(data))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start this program once more")?;
        let (sender, lines) = channel();
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self {
            child,
            lines,
            said: Vec::new(),
        })
    }

    /// Does a job while it runs, then ends it as Ctrl-C or a service manager would.
    fn and_end<T>(mut self, job: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let done = job(&mut self);
        if done.is_err() {
            note("Its last lines:");
            self.said.extend(self.lines.try_iter());
            for line in self.said.iter().rev().take(40).rev() {
                note(&format!("  {line}"));
            }
        }
        let step = Step::begin("SIGTERM");
        if !self.end()? && done.is_ok() {
            bail!("`up` did not end well after SIGTERM");
        }
        step.done("ended well");
        done
    }

    /// Sends SIGTERM and tells whether it ended well.
    fn end(&mut self) -> Result<bool> {
        if self.child.try_wait()?.is_none() {
            run::signal(self.child.id(), "TERM")?;
        }
        let status = run::poll(END, || self.child.try_wait().ok().flatten());
        let status = status.context("`up` did not end after SIGTERM")?;
        Ok(status.success())
    }

    fn wait_for_words(&mut self, limit: Duration, interrupt: &Interrupt) -> Result<Words> {
        let step = Step::begin("up");
        self.wait_for(limit, interrupt, |line| line.trim() == LAST_WORDS)?;
        let after = |label: &str| {
            self.said
                .iter()
                .find_map(|line| line.trim_start().strip_prefix(label))
        };
        let public_url = after(OPEN).context("it printed no address")?.to_owned();
        let sign_in = after(SIGN_IN).context("it did not say how to sign in")?;
        let first = sign_in
            .split_once(WITH_PASSWORD)
            .map(|(user, password)| FirstAdministrator {
                user: user.to_owned(),
                password: password.to_owned(),
            });
        step.done(&public_url);
        let api = server::dialled(&public_url);
        Ok(Words {
            places: Places {
                public_url,
                edge: api.clone(),
                api,
            },
            first,
        })
    }

    fn wait_for(
        &mut self,
        limit: Duration,
        interrupt: &Interrupt,
        is_it: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < limit {
            interrupt.check()?;
            if let Ok(line) = self.lines.recv_timeout(Duration::from_millis(100)) {
                let found = is_it(&line);
                self.said.push(line);
                if found {
                    return Ok(());
                }
            } else if let Some(status) = self.child.try_wait()? {
                bail!("`up` ended with {status}");
            }
        }
        bail!("`up` did not come that far within {}", seconds(limit))
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.end().is_err() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Where a user's own data would be kept, for this test.
fn elsewhere(data: &Path) -> std::path::PathBuf {
    data.join("home")
}

fn host(url: &str) -> Option<&str> {
    url.rsplit_once(':').map(|(host, _)| host)
}

/// No process has the folder on its command line: the server ended with the command that started it.
fn must_not_run(data: &Path) -> Result<()> {
    let data = data.to_string_lossy();
    for process in fs::read_dir("/proc")
        .context("cannot read /proc")?
        .flatten()
    {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(&*data) {
            bail!("process {:?} runs on after `up` ended", process.file_name());
        }
    }
    Ok(())
}
