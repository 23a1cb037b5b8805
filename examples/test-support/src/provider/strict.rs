//! The npm package `oidc-provider` as a strict provider, run by node.
//!
//! It is a certified implementation by somebody else: what it accepts is not what we believe, but what the
//! standards say. It tells the e-mail address by `UserInfo` only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use url::{Url, form_urlencoded};

use crate::services;

/// Names the folder whose `node_modules` holds `oidc-provider`.
pub const DIR_VARIABLE: &str = "TENANCY_TEST_OIDC_PROVIDER_DIR";

/// The one client's id.
pub const CLIENT_ID: &str = "tenancy";
/// The one client's secret.
pub const CLIENT_SECRET: &str = "a secret: with + and % and &=";
/// Every user's password.
pub const PASSWORD: &str = "correct horse battery staple";

/// Generous: node and key generation on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// A sign-in has two forms and their redirects.
const MAX_STEPS: usize = 12;

/// The folder that [`DIR_VARIABLE`] names; `None` where it is not set.
///
/// # Panics
/// When it is not set although `TENANCY_TEST_REQUIRE` lists `oidc-provider` or `all`.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    services::given("oidc-provider", DIR_VARIABLE).map(PathBuf::from)
}

/// A running strict provider; it ends when dropped.
#[derive(Debug)]
pub struct StrictProvider {
    issuer: String,
    redirect_uri: String,
    /// Its end is the sign to stop.
    _stdin: Option<ChildStdin>,
    _child: Child,
}

impl StrictProvider {
    /// Starts it with one client that comes back to `redirect_uri`, and the users `ann` and `bob`.
    ///
    /// # Panics
    /// When node or the package is missing or does not start: the reason is in the message or on standard error.
    pub async fn start(folder: &Path, redirect_uri: &str) -> Self {
        let user = |sub: &str, name: &str, groups: &[&str]| {
            json!({
                "sub": sub,
                "password": PASSWORD,
                "name": name,
                "preferred_username": sub,
                "email": format!("{sub}@example.com"),
                "email_verified": true,
                "groups": groups,
            })
        };
        let configuration = json!({
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "redirectUris": [redirect_uri],
            "users": [user("ann", "Ann Example", &["staff"]), user("bob", "Bob Example", &[])],
        });
        let mut child = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/provider/strict.mjs"))
            .arg(folder)
            .arg(configuration.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        tokio::time::timeout(START_DEADLINE, BufReader::new(stdout).read_line(&mut line))
            .await
            .expect("the provider starts in time")
            .expect("the provider's output can be read");
        let started: Value = serde_json::from_str(&line).expect("the provider says where it is");
        Self {
            issuer: started["issuer"].as_str().expect("an issuer").to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            _stdin: child.stdin.take(),
            _child: child,
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Opens an authorization request, fills in the forms as `login` with `password`, and returns the query
    /// string that the browser brings back.
    ///
    /// # Panics
    /// When the provider shows an error page or does not come to an end.
    pub async fn authorize(&self, url: &str, login: &str, password: &str) -> String {
        let mut browser = Browser::new();
        let mut url = Url::parse(url).expect("an absolute URL");
        let mut form = None;
        for _ in 0..MAX_STEPS {
            let (location, page) = browser.open(&url, form.take()).await;
            match location {
                Some(to) if to.as_str().starts_with(&self.redirect_uri) => {
                    return to.query().unwrap_or_default().to_owned();
                }
                Some(to) => url = to,
                None => {
                    let action = attribute(&page, "action=\"");
                    url = url.join(&action).expect("a form's action is a URL");
                    form = Some(
                        form_urlencoded::Serializer::new(String::new())
                            .append_pair("login", login)
                            .append_pair("password", password)
                            .finish(),
                    );
                }
            }
        }
        panic!("the sign-in does not come to an end; last at {url}");
    }
}

/// As much of a browser as a sign-in needs: cookies of one host, redirects and forms by hand.
struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        Self {
            client,
            cookies: BTreeMap::new(),
        }
    }

    /// The redirect or else the page at `url`.
    async fn open(&mut self, url: &Url, form: Option<String>) -> (Option<Url>, String) {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match form {
            Some(form) => self
                .client
                .post(url.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form),
            None => self.client.get(url.clone()),
        };
        let response = request
            .header(COOKIE, cookies.join("; "))
            .send()
            .await
            .expect("the provider answers");
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("cookies are ASCII");
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = response.headers().get(LOCATION).map(|to| {
            url.join(to.to_str().expect("a URL is ASCII"))
                .expect("a redirect is a URL")
        });
        let status = response.status();
        let page = response.text().await.expect("a page can be read");
        assert!(
            location.is_some() || status.is_success(),
            "{status} at {url}: {page}"
        );
        (location, page)
    }
}

fn attribute(page: &str, start: &str) -> String {
    let from = page
        .find(start)
        .unwrap_or_else(|| panic!("no form on {page}"))
        + start.len();
    page[from..].chars().take_while(|c| *c != '"').collect()
}
