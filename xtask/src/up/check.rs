//! `cargo xtask up --check`: the main job, end to end, on a server and with data of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::browser::Browser;
use super::server::{FirstAdministrator, Mode, Places, Server, Settings};
use super::websocket::WebSocket;
use crate::engine::{Engine, Object};
use crate::http::Request;
use crate::run::{self, Interrupt};
use crate::term::{Step, heading, note, say, seconds};

/// Every object of any deployment carries it.
const LABEL: &str = "io.openclaw-tenancy.deployment";

/// The role of the one object that outlives tenants: it marks the engine as known.
const HOST_MARKER: &str = "host-marker";

/// From the click to an instance that is ready: a slow machine needs its time, an endless wait is
/// a failure.
const READY_LIMIT: Duration = Duration::from_secs(300);

/// From the wish to delete to nothing left.
const DELETE_LIMIT: Duration = Duration::from_secs(120);

/// How often the person looks: often enough for the timings, rare enough to leave a log readable.
const LOOK: Duration = Duration::from_millis(250);

/// How long the edge may still say that an instance starts after the API said that it runs.
const WAITING_PAGE: Duration = Duration::from_secs(2);

/// How long a socket may say nothing.
const SOCKET_LIMIT: Duration = Duration::from_secs(20);

/// Runs the check. Whatever happens, nothing that it made stays on the engine or the disk.
pub(super) fn perform(settings: &Settings, engine: &Engine, json: bool) -> Result<()> {
    heading("Main job");
    let interrupt = Interrupt::listen()?;
    let scratch = Scratch::new(engine)?;
    let mut timings = Timings {
        steps: Vec::new(),
        interrupt: interrupt.clone(),
    };
    let started = Instant::now();
    let mut server = Server::start(settings, &scratch.folder, Mode::Check)?;
    let done = main_job(&mut server, &scratch, started, &mut timings);
    if done.is_err() {
        note("The server's last lines:");
        for line in server.last_words().lines() {
            note(&format!("  {line}"));
        }
    }
    let done = done.and_then(|()| {
        timings.step("server ends on SIGTERM", || {
            let status = server.stop()?;
            if !status.success() {
                bail!("it ended with {status}");
            }
            Ok(())
        })
    });
    report(settings, &timings, done.as_ref().err(), json);
    done
}

fn main_job(
    server: &mut Server,
    scratch: &Scratch<'_>,
    started: Instant,
    timings: &mut Timings,
) -> Result<()> {
    let (places, first) = server.wait_until_ready(&timings.interrupt)?;
    let first = first.context(
        "the server's first start printed no line `first administrator: <user> <password>`",
    )?;
    timings.add("server ready", started.elapsed());
    let mut person = Person::new(&places, &timings.interrupt);
    timings.step("sign in", || person.sign_in(&first))?;
    let clicked = Instant::now();
    let url = timings.step("create to running", || person.create_and_wait())?;
    let slug_url = url.trim_end_matches('/').to_owned();
    timings.step("a stranger is kept out", || {
        stranger_is_kept_out(&places, &slug_url)
    })?;
    timings.step("page through the edge", || person.open_page(&slug_url))?;
    timings.step("WebSocket through the edge", || person.connect(&slug_url))?;
    timings.add("click to connected", clicked.elapsed());
    timings.step("delete to nothing left", || {
        person.delete_and_wait()?;
        scratch.must_hold_nothing()
    })
}

/// The administrator at a browser.
pub(super) struct Person {
    browser: Browser,
    places: Places,
    token: String,
    interrupt: Interrupt,
}

impl Person {
    /// Somebody with a browser that knows nothing yet.
    pub(super) fn new(places: &Places, interrupt: &Interrupt) -> Self {
        Self {
            browser: Browser::new(places),
            places: places.clone(),
            token: String::new(),
            interrupt: interrupt.clone(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.places.public_url)
    }

    /// Signs in with the printed password, then takes a token for the API as a script would.
    pub(super) fn sign_in(&mut self, first: &FirstAdministrator) -> Result<()> {
        let origin = self.places.public_url.clone();
        let credentials = json!({ "username": first.user, "password": first.password });
        self.browser
            .send(&self.url("/api/auth/password"), |path| {
                Request::new("POST", path)
                    .header("Origin", &origin)
                    .json(&credentials)
            })?
            .ok("signing in")?;
        let answer = self
            .browser
            .send(&self.url("/api/auth/token"), |path| {
                Request::new("POST", path)
                    .header("Origin", &origin)
                    .json(&credentials)
            })?
            .ok("taking a token")?
            .json()?;
        self.token = answer["token"]
            .as_str()
            .context("no `token` in the answer")?
            .to_owned();
        Ok(())
    }

    /// Calls the API with the token and without cookies.
    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<crate::http::Response> {
        let mut request =
            Request::new(method, path).header("Authorization", &format!("Bearer {}", self.token));
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send(&self.places.api, Duration::from_secs(30))
    }

    /// Asks for an instance and answers its address once it runs.
    pub(super) fn create_and_wait(&self) -> Result<String> {
        let body = json!({ "email": "check@example.com" });
        self.call("POST", "/api/tenants", Some(&body))?
            .ok("creating an instance")?;
        self.wait_until_running()
    }

    /// Waits for the instance that there is, and answers its address.
    pub(super) fn wait_until_running(&self) -> Result<String> {
        let step = Step::begin("waiting for the instance");
        let mut phase = String::new();
        let url = run::poll_every(LOOK, READY_LIMIT, || match self.look(&mut phase, &step) {
            Ok(None) => None,
            Ok(Some(url)) => Some(Ok(url)),
            Err(error) => Some(Err(error)),
        });
        let url = url.with_context(|| {
            format!(
                "not running within {} s, but {phase}",
                READY_LIMIT.as_secs()
            )
        })??;
        step.done(&url);
        Ok(url)
    }

    fn look(&self, phase: &mut String, step: &Step) -> Result<Option<String>> {
        self.interrupt.check()?;
        let tenant = self
            .call("GET", "/api/tenants/me", None)?
            .ok("looking at it")?
            .json()?;
        let now = tenant["phase"]
            .as_str()
            .context("no `phase` in the answer")?;
        if now != phase.as_str() {
            now.clone_into(phase);
            step.detail(now);
        }
        match now {
            "running" => Ok(Some(tenant["url"].as_str().context("no `url`")?.to_owned())),
            "failed" | "held" | "host_lost" => bail!("it is {now}: {}", tenant["status"]),
            _ => Ok(None),
        }
    }

    fn open_page(&mut self, url: &str) -> Result<()> {
        let mut waited = None;
        let page = run::poll(WAITING_PAGE, || {
            match self.browser.open(&format!("{url}/")) {
                // The edge's own page, which reloads itself in a browser.
                Ok(page) if page.response.status == 503 => {
                    waited = Some(page);
                    None
                }
                answer => Some(answer),
            }
        });
        let page = page.or(waited.map(Ok)).context("no page was asked for")??;
        let text = page.response.text();
        let title = text
            .split("<title>")
            .nth(1)
            .and_then(|rest| rest.split('<').next());
        let title = title.unwrap_or_default();
        if page.response.status == 200 && page.url.starts_with(url) && title.contains("OpenClaw") {
            return Ok(());
        }
        bail!(
            "expected OpenClaw's page at {url}, got {} with the title {title:?} at {}",
            page.response.status,
            page.url
        )
    }

    /// Opens the WebSocket with the instance's cookie alone, and is greeted by OpenClaw: so the edge
    /// handed over who this is, without a token and without pairing.
    fn connect(&self, url: &str) -> Result<()> {
        let cookies = self.browser.cookies_for(&format!("{url}/"))?;
        let cookies = cookies.context("the edge set no cookie at the instance's host")?;
        let mut socket = open_socket(&self.places, url, Some(&cookies))?;
        let answer = socket.connect()?;
        if answer["ok"] != true {
            bail!("the instance refused the connection: {answer}");
        }
        Ok(())
    }

    /// Deletes the instance and waits until it is gone.
    pub(super) fn delete_and_wait(&self) -> Result<()> {
        self.call("DELETE", "/api/tenants/me", None)?
            .ok("deleting the instance")?;
        let gone = run::poll_every(LOOK, DELETE_LIMIT, || {
            let answer = self.call("GET", "/api/tenants/me", None);
            answer
                .is_ok_and(|answer| answer.status == 404)
                .then_some(())
        });
        gone.with_context(|| format!("still there {} s after the delete", DELETE_LIMIT.as_secs()))
    }
}

fn open_socket(places: &Places, url: &str, cookies: Option<&str>) -> Result<WebSocket> {
    let host = url.trim_start_matches("http://");
    let mut request = Request::new("GET", "/")
        .header("Host", host)
        .header("Origin", url);
    if let Some(cookies) = cookies {
        request = request.header("Cookie", cookies);
    }
    WebSocket::open(&places.edge, request, SOCKET_LIMIT)
}

/// Without a sign-in there is neither page nor socket.
fn stranger_is_kept_out(places: &Places, url: &str) -> Result<()> {
    let page = Browser::new(places).open(&format!("{url}/"))?;
    if page.url.starts_with(url) && page.response.status < 400 {
        bail!(
            "the edge served {} to somebody who is not signed in",
            page.url
        );
    }
    if open_socket(places, url, None).is_ok() {
        bail!("the edge opened a WebSocket to somebody who is not signed in");
    }
    Ok(())
}

/// What took how long as far as it came, and with `json` how it ended as well.
fn report(settings: &Settings, timings: &Timings, error: Option<&anyhow::Error>, json: bool) {
    heading("Summary");
    for (name, took) in &timings.steps {
        say(format_args!("  {name:<28} {:>10}", seconds(*took)));
    }
    if json {
        let steps: Vec<_> = timings
            .steps
            .iter()
            .map(|(name, took)| json!({ "name": name, "seconds": took.as_secs_f64() }))
            .collect();
        let mut summary = json!({ "ok": error.is_none(), "image": settings.image, "steps": steps });
        if let Some(error) = error {
            summary["error"] = json!(format!("{error:#}"));
        }
        println!("{summary}");
    }
}

/// What took how long.
#[derive(Debug)]
struct Timings {
    interrupt: Interrupt,
    steps: Vec<(&'static str, Duration)>,
}

impl Timings {
    fn step<T>(&mut self, name: &'static str, job: impl FnOnce() -> Result<T>) -> Result<T> {
        self.interrupt.check()?;
        let step = Step::begin(name);
        let value = job().with_context(|| format!("{name} failed"))?;
        self.add(name, step.done(""));
        Ok(value)
    }

    fn add(&mut self, name: &'static str, took: Duration) {
        self.steps.push((name, took));
    }
}

/// A data folder of the check's own, and what its deployment has on the engine.
pub(super) struct Scratch<'a> {
    engine: &'a Engine,
    pub(super) folder: PathBuf,
}

impl<'a> Scratch<'a> {
    /// An empty folder.
    pub(super) fn new(engine: &'a Engine) -> Result<Self> {
        let folder = PathBuf::from(run::output(Command::new("mktemp").args([
            "--directory",
            "--tmpdir",
            "openclaw-tenancy-check.XXXXXX",
        ]))?);
        Ok(Self { engine, folder })
    }

    /// An error that names what is left of its tenants on the engine.
    pub(super) fn must_hold_nothing(&self) -> Result<()> {
        let left: Vec<_> = self
            .objects()?
            .into_iter()
            .filter(|object| object.role != HOST_MARKER)
            .map(|object| object.to_string())
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        bail!("left on the engine: {}", left.join(", "))
    }

    /// By the deployment that the server has remembered in its folder: the engine may serve others meanwhile.
    fn objects(&self) -> Result<Vec<Object>> {
        let remembered = fs::read_to_string(self.folder.join("deployment")).unwrap_or_default();
        match remembered.split_whitespace().next() {
            Some(deployment) => self.engine.labelled(&format!("{LABEL}={deployment}")),
            // It never came as far as the engine.
            None => Ok(Vec::new()),
        }
    }
}

impl Drop for Scratch<'_> {
    /// The keys to these objects are in the data folder, so nobody else could ever remove them.
    fn drop(&mut self) {
        for object in self.objects().unwrap_or_default() {
            if let Err(error) = self.engine.remove(&object) {
                note(&format!("could not remove {object}: {error:#}"));
            }
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}
