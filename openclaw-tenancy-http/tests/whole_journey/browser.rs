//! A person's browser: headless Chromium, driven by the `WebDriver` protocol.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How the protocol names a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// One command of the protocol, a page's load included.
const COMMAND: Duration = Duration::from_secs(120);

/// What Chromium says of requests that waited for a connection when the machine's network changed, such as by an
/// engine that makes one for a container. No server hears of these.
const NETWORK_CHANGED: &str = "net::ERR_NETWORK_CHANGED";

/// What it says of those whose answer a page's service worker was to fetch, and lost.
const WORKER_FAILED: &str = "net::ERR_FAILED";

/// What the person looks at, and the language that the browser asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    /// A desktop's, in English.
    Desk,
    /// A phone's of 390 by 844, in Chinese.
    Phone,
}

/// A browser with a profile of its own.
pub(crate) struct Browser {
    client: reqwest::Client,
    session: String,
    pictures: PathBuf,
    taken: usize,
    /// What pages have asked for, by the browser's number.
    asked_for: HashMap<String, String>,
    /// The network has changed while a page was loading.
    changed: bool,
    _driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts the driver and through it the browser; pictures go to `pictures`.
    pub(crate) async fn start(
        driver: &str,
        chromium: &str,
        screen: Screen,
        pictures: PathBuf,
    ) -> Self {
        std::fs::create_dir_all(&pictures).unwrap();
        let mut child = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the driver starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("it names its port");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let languages = match screen {
            Screen::Desk => "en-US,en",
            Screen::Phone => "zh-CN,zh",
        };
        let mut options = json!({
            "binary": chromium,
            "args": arguments,
            "prefs": { "intl.accept_languages": languages },
        });
        if screen == Screen::Phone {
            options["mobileEmulation"] = json!({
                "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 2.0, "touch": true },
            });
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(COMMAND)
            .build()
            .unwrap();
        let mut browser = Self {
            client,
            session: format!("http://127.0.0.1:{port}/session"),
            pictures,
            taken: 0,
            asked_for: HashMap::new(),
            changed: false,
            _driver: child,
            _profile: profile,
        };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "performance": "ALL" },
        }}});
        let session = browser.post("", wanted).await.expect("a session");
        let id = session["sessionId"].as_str().expect("a session's id");
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await.unwrap();
    }

    /// Where the person is.
    pub(crate) async fn url(&self) -> String {
        let answer = self.send(self.client.get(format!("{}/url", self.session)));
        answer.await.unwrap().as_str().unwrap().to_owned()
    }

    /// Waits until an element is there and shown, and answers it.
    pub(crate) async fn shown(&self, css: &str, within: Duration) -> Element<'_> {
        let end = Instant::now() + within;
        loop {
            if let Some(id) = self.find(css).await {
                return Element {
                    browser: self,
                    path: format!("/element/{id}"),
                };
            }
            self.look_again(end, css).await;
        }
    }

    async fn find(&self, css: &str) -> Option<String> {
        let script = "const e = document.querySelector(arguments[0]); \
            return e && e.checkVisibility() ? e : null";
        let found = self.script(script, json!([css])).await;
        found[ELEMENT].as_str().map(str::to_owned)
    }

    /// Clicks on an element once it is shown, again where the page drew itself anew in between.
    pub(crate) async fn press(&self, css: &str, within: Duration) {
        let end = Instant::now() + within;
        loop {
            let element = self.shown(css, within).await;
            let path = format!("{}/click", element.path);
            match self.post(&path, json!({})).await {
                Ok(_) => return,
                Err(why) => assert!(Instant::now() < end, "{css} cannot be clicked: {why}"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How wide the screen is, and the page, in CSS pixels. A page that is wider than its screen also makes a phone
    /// show more than its width.
    pub(crate) async fn widths(&self) -> (u64, u64) {
        let script = "return [screen.width, \
            Math.max(document.documentElement.scrollWidth, window.innerWidth)]";
        let widths = self.script(script, json!([])).await;
        let width = |at: usize| widths[at].as_u64().expect("a width");
        (width(0), width(1))
    }

    /// Waits until the page's text says `words`.
    pub(crate) async fn says(&self, words: &str, within: Duration) {
        let end = Instant::now() + within;
        while !self.text().await.contains(words) {
            self.look_again(end, words).await;
        }
    }

    /// Waits until a page of many parts shows an element, and loads it again where the network changed meanwhile, as
    /// a person would.
    pub(crate) async fn loads(&mut self, css: &str, within: Duration) {
        let end = Instant::now() + within;
        loop {
            if self.network_changed().await {
                println!("the machine's network changed under the page: loaded again");
                self.post("/refresh", json!({})).await.unwrap();
            } else if self.find(css).await.is_some() {
                return;
            }
            self.look_again(end, css).await;
        }
    }

    /// A moment later, unless what is waited for is overdue.
    async fn look_again(&self, end: Instant, awaited: &str) {
        assert!(
            Instant::now() < end,
            "no {awaited:?} in time at {}, but: {}",
            self.url().await,
            self.text().await
        );
        tokio::time::sleep(LOOK).await;
    }

    /// Whether requests to this machine were lost to a change of the network since this was last asked. Any other
    /// loss fails the test: an error of the connection, or an answer of the edge's of 500 and more.
    pub(crate) async fn network_changed(&mut self) -> bool {
        let log = self.post("/se/log", json!({ "type": "performance" })).await;
        let log = log.expect("the browser's log");
        let mut lost = Vec::new();
        for entry in log.as_array().unwrap() {
            let entry: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let (event, about) = (&entry["message"]["method"], &entry["message"]["params"]);
            let id = about["requestId"].as_str().unwrap_or_default();
            if event == "Network.requestWillBeSent" {
                let url = about["request"]["url"].as_str().unwrap_or_default();
                self.asked_for.insert(id.to_owned(), url.to_owned());
            }
            let Some(url) = self.asked_for.get(id).filter(|url| is_here(url)) else {
                continue;
            };
            match event.as_str().unwrap_or_default() {
                "Network.responseReceived" => {
                    let answer = &about["response"];
                    let failed = answer["status"].as_u64().unwrap_or_default() >= 500;
                    // `OpenClaw`'s own are plain JSON, such as 502 for an avatar that the internet has.
                    let of_edge = answer["mimeType"] != "application/json";
                    assert!(!(failed && of_edge), "{url} was answered with {answer}");
                }
                // One that the page itself gave up is not lost.
                "Network.loadingFailed" if about["canceled"] != true => {
                    let why = about["errorText"].as_str().unwrap_or_default();
                    lost.push((url.clone(), why.to_owned()));
                }
                _ => {}
            }
        }
        self.changed |= lost.iter().any(|(_, why)| why == NETWORK_CHANGED);
        for (url, why) in &lost {
            let by_network = why == NETWORK_CHANGED || (self.changed && why == WORKER_FAILED);
            assert!(by_network, "{url} was lost: {why}");
        }
        !lost.is_empty()
    }

    /// What the page says, as a person reads it. A page on its way says nothing yet.
    pub(crate) async fn text(&self) -> String {
        let text = self
            .script(
                "return document.body ? document.body.innerText : ''",
                json!([]),
            )
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Goes to the window that was opened last, once there are `count`.
    pub(crate) async fn window(&self, count: usize, within: Duration) {
        let end = Instant::now() + within;
        loop {
            let handles = self.send(self.client.get(format!("{}/window/handles", self.session)));
            let handles = handles.await.unwrap();
            let handles = handles.as_array().unwrap();
            if handles.len() == count {
                let last = json!({ "handle": handles[count - 1] });
                self.post("/window", last).await.unwrap();
                return;
            }
            assert!(Instant::now() < end, "{} windows", handles.len());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Closes the window that the person is in.
    pub(crate) async fn close_window(&self) {
        let close = self.client.delete(format!("{}/window", self.session));
        self.send(close).await.unwrap();
    }

    /// Keeps what is on the screen as a numbered picture.
    pub(crate) async fn picture(&mut self, name: &str) {
        let taken = self.send(self.client.get(format!("{}/screenshot", self.session)));
        let png = STANDARD.decode(taken.await.unwrap().as_str().unwrap());
        self.taken += 1;
        let file = self.pictures.join(format!("{:02}-{name}.png", self.taken));
        std::fs::write(file, png.unwrap()).unwrap();
    }

    /// Ends the browser; a driver that is merely killed would leave it behind.
    pub(crate) async fn quit(self) {
        let quit = self.client.delete(&self.session);
        self.send(quit).await.ok();
    }

    /// Runs a script in the page; `Null` while the page is being replaced.
    async fn script(&self, script: &str, args: Value) -> Value {
        let call = json!({ "script": script, "args": args });
        self.post("/execute/sync", call).await.unwrap_or_default()
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, Value> {
        let request = self.client.post(format!("{}{path}", self.session));
        self.send(request.json(&body)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Value> {
        let answer = request.send().await.expect("the driver answers");
        let well = answer.status().is_success();
        let mut body: Value = answer.json().await.expect("the driver speaks JSON");
        let value = body["value"].take();
        if well { Ok(value) } else { Err(value) }
    }
}

/// An element of the page that is open.
pub(crate) struct Element<'a> {
    browser: &'a Browser,
    path: String,
}

impl Element<'_> {
    /// Clicks on it.
    pub(crate) async fn click(&self) {
        let path = format!("{}/click", self.path);
        self.browser.post(&path, json!({})).await.unwrap();
    }

    /// A property of it, as a text.
    pub(crate) async fn property(&self, name: &str) -> String {
        let url = format!("{}{}/property/{name}", self.browser.session, self.path);
        let value = self.browser.send(self.browser.client.get(url)).await;
        value.unwrap().as_str().unwrap_or_default().to_owned()
    }

    /// Types into it.
    pub(crate) async fn type_in(&self, text: &str) {
        let path = format!("{}/value", self.path);
        let typed = self.browser.post(&path, json!({ "text": text })).await;
        typed.unwrap();
    }
}

/// Whether a URL is this machine's: Chromium and `OpenClaw` ask elsewhere too, where there may be no network.
fn is_here(url: &str) -> bool {
    let url: Option<reqwest::Url> = url.parse().ok();
    url.as_ref()
        .and_then(reqwest::Url::host_str)
        .is_some_and(|host| host.rsplit('.').next() == Some("localhost"))
}
