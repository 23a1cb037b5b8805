//! A provider of somebody else's making, run as a program of its own.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use url::Url;

use super::browser::{Browser, Found};
use super::forms::{Entry, Form};

/// Every person's password.
pub const PASSWORD: &str = "correct horse battery staple";

/// Generous: a program of many modules and key generation on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// A sign-in has three forms and their redirects.
const MAX_STEPS: usize = 12;

/// Somebody whom each of these providers knows, with the address `{login}@example.com`.
pub(super) struct Person {
    pub(super) login: &'static str,
    pub(super) name: &'static str,
    pub(super) groups: &'static [&'static str],
}

pub(super) const PEOPLE: [Person; 2] = [
    Person {
        login: "ann",
        name: "Ann Example",
        groups: &["staff"],
    },
    Person {
        login: "bob",
        name: "Bob Example",
        groups: &[],
    },
];

impl Person {
    pub(super) fn email(&self) -> String {
        format!("{}@example.com", self.login)
    }
}

/// A running provider that knows `ann` (Ann Example, of the group `staff`) and `bob`; it ends when dropped.
#[derive(Debug)]
pub struct ProviderProgram {
    issuer: String,
    redirect_uri: String,
    decline: Entry<'static>,
    /// Its end is the sign to stop.
    _stdin: Option<ChildStdin>,
    _child: Child,
}

impl ProviderProgram {
    /// Starts `command`, which prints one line with its issuer and ends when its standard input does. It sends browsers
    /// back to `redirect_uri`; somebody who makes the entry `decline` there is not signed in.
    ///
    /// # Panics
    /// When it does not start; with its last words.
    pub(super) async fn start(
        mut command: Command,
        redirect_uri: &str,
        decline: Entry<'static>,
    ) -> Self {
        // Not ours: Node makes what it inherits refuse what does not fit at once, also to us.
        let errors = tempfile::NamedTempFile::new().expect("a file can be made");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.reopen().expect("the file is there"))
            .kill_on_drop(true)
            .spawn()
            .expect("the provider is installed");
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let read = tokio::time::timeout(START_DEADLINE, stdout.read_line(&mut line)).await;
        let started: Option<Value> = serde_json::from_str(&line).ok();
        let started = started.unwrap_or_else(|| {
            let words = std::fs::read_to_string(errors.path()).unwrap_or_default();
            panic!("the provider does not say where it is: {read:?}, {line:?}\n{words}")
        });
        let issuer = started["issuer"].as_str().expect("an issuer").to_owned();
        let answers = tokio::time::timeout(START_DEADLINE, answers(&issuer)).await;
        answers.expect("the provider answers");
        Self {
            issuer,
            redirect_uri: redirect_uri.to_owned(),
            decline,
            _stdin: child.stdin.take(),
            _child: child,
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Opens an authorization request in a new browser, signs in there as `login` and agrees. Returns the query string
    /// that the browser brings back.
    ///
    /// # Panics
    /// When the provider shows an error page or does not come to an end.
    pub async fn sign_in(&self, url: &str, login: &str) -> String {
        self.visit(url, &entries(login)).await
    }

    /// The same by somebody who does not go through with it.
    ///
    /// # Panics
    /// When the provider shows an error page or does not come to an end.
    pub async fn decline(&self, url: &str, login: &str) -> String {
        let mut all = vec![self.decline];
        all.extend(entries(login));
        self.visit(url, &all).await
    }

    async fn visit(&self, url: &str, entries: &[Entry<'_>]) -> String {
        let mut browser = Browser::new();
        let mut url = Url::parse(url).expect("an absolute URL");
        let mut body = None;
        for _ in 0..MAX_STEPS {
            match browser.open(&url, body.take()).await {
                Found::Redirect(to) if to.as_str().starts_with(&self.redirect_uri) => {
                    return to.query().unwrap_or_default().to_owned();
                }
                Found::Redirect(to) => url = to,
                Found::Page(page) => {
                    let forms = Form::all(&page);
                    let form = entries
                        .iter()
                        .find_map(|entry| forms.iter().find(|form| form.offers(*entry)))
                        .or(forms.first())
                        .unwrap_or_else(|| panic!("no form on {page}"));
                    url = url.join(form.action()).expect("an action is a URL");
                    body = Some(form.filled(entries));
                }
            }
        }
        panic!("the sign-in does not come to an end; last at {url}");
    }
}

/// Waits for its first answers, for which a program of many modules may take long.
async fn answers(issuer: &str) {
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client");
    let get = async |url: &str| {
        let answer = client.get(url).send().await.expect("it listens");
        answer.json::<Value>().await.expect("it is JSON")
    };
    let discovery = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let keys = get(&discovery).await["jwks_uri"].clone();
    get(keys.as_str().expect("its keys")).await;
}

/// What `login` enters, in the names that these providers give their fields.
fn entries(login: &str) -> [Entry<'_>; 4] {
    [
        ("login", login),
        ("sub", login),
        ("password", PASSWORD),
        ("answer", "accept"),
    ]
}
