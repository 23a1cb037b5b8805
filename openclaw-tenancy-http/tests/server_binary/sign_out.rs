//! A sign-out at the API and at the edge: by its owner, and by whoever runs the server.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::server::{Server, client};
use crate::support::{PATIENCE, run, text};

/// The value that an answer sets for a cookie.
fn cookie(answer: &Response, name: &str) -> String {
    let lines = answer.headers().get_all("set-cookie").iter();
    let mut pairs = lines.filter_map(|line| line.to_str().unwrap().split(';').next());
    let pair = pairs.find(|pair| pair.starts_with(&format!("{name}=")));
    pair.unwrap_or_else(|| panic!("no {name}: {answer:?}"))
        .to_owned()
}

fn location(answer: &Response) -> String {
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// A browser of the first administrator's, signed in at the API and at an instance.
struct Visit<'a> {
    server: &'a Server,
    browser: Client,
    session: String,
    csrf: String,
    instance: String,
    port: &'a str,
}

impl<'a> Visit<'a> {
    /// Signs in, and opens the instance `slug`, which is made if it is not there.
    async fn begin(server: &'a Server, slug: &str, name: &str, password: &str) -> Self {
        // So that there is a crypto provider.
        drop(client());
        let browser = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .unwrap();
        let signed_in = browser
            .post(format!("{}/api/auth/password", server.api))
            .json(&json!({ "username": name, "password": password }))
            .send()
            .await
            .unwrap();
        let session = cookie(&signed_in, "__Host-oct-session");
        let signed_in: Value = signed_in.json().await.unwrap();
        let mut visit = Self {
            server,
            browser,
            session,
            csrf: signed_in["csrf_token"].as_str().unwrap().to_owned(),
            instance: String::new(),
            port: server.edge.rsplit_once(':').unwrap().1,
        };
        // The engine does not answer: whoever may pass is told to wait, and nobody else.
        let made = visit.write("/api/tenants").json(&json!({ "name": slug }));
        let made = made.send().await.unwrap().status();
        assert!(made == 202 || made == 409, "{made}");
        let begun = visit.edge(slug, "/", "").header("accept", "text/html");
        let begun = begun.send().await.unwrap();
        let pre = cookie(&begun, "__Host-oct-pre");
        let authorize = location(&begun).replace("//localhost:", "//127.0.0.1:");
        let authorized = visit
            .browser
            .get(authorize)
            .header("cookie", &visit.session);
        let hand_over = location(&authorized.send().await.unwrap());
        let (_, hand_over) = hand_over.split_once(&format!(":{}", visit.port)).unwrap();
        let handed_over = visit.edge(slug, hand_over, &pre).send().await.unwrap();
        visit.instance = cookie(&handed_over, "__Host-oct-instance");
        for _ in 0..2 {
            let waiting = visit.edge(slug, "/", &visit.instance).send().await.unwrap();
            assert_eq!(waiting.status(), 503);
        }
        visit
    }

    fn write(&self, path: &str) -> RequestBuilder {
        let origin = self.server.api.replace("//127.0.0.1:", "//localhost:");
        self.browser
            .post(format!("{}{path}", self.server.api))
            .header("cookie", &self.session)
            .header("origin", origin)
            .header("x-csrf-token", &self.csrf)
    }

    fn edge(&self, slug: &str, path: &str, cookie: &str) -> RequestBuilder {
        self.browser
            .get(format!("{}{path}", self.server.edge))
            .header("host", format!("{slug}.localhost:{}", self.port))
            .header("cookie", cookie)
    }

    /// What its session is answered at the API, and its cookie at the instance.
    async fn statuses(&self, slug: &str) -> (u16, u16) {
        let me = format!("{}/api/auth/me", self.server.api);
        let api = self.browser.get(me).header("cookie", &self.session);
        let api = api.send().await.unwrap().status().as_u16();
        let edge = self.edge(slug, "/", &self.instance);
        (api, edge.send().await.unwrap().status().as_u16())
    }
}

/// The instance's cookie has passed a moment ago, and passes no more.
#[tokio::test]
async fn a20_cross_site_websocket_a_sign_out_holds_at_the_edge_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (name, password) = server.first_administrator().unwrap();
    let visit = Visit::begin(&server, "signed-out", &name, &password).await;
    let out = visit.write("/api/auth/logout").send().await.unwrap();
    assert_eq!(out.status(), 204);
    assert_eq!(visit.statuses("signed-out").await, (401, 401));
    assert_eq!(server.stop().await.0, Some(0));
}

/// Whoever had the old password, or signed in by it, is out; so is whoever is signed out by the operator.
#[tokio::test]
async fn a10_cookie_theft_a_new_password_and_an_operators_sign_out_end_every_session() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (name, mut password) = server.first_administrator().unwrap();
    let (code, bob) = somebody_else(&server, dir.path()).await;
    assert_eq!(code, Some(0));
    for command in [
        &["password"][..],
        &["account", "sign-out", "admin"],
        &["account", "sign-out"],
    ] {
        let visit = Visit::begin(&server, "ended", &name, &password).await;
        let bearer = run(dir.path(), &["token"], &[]).await;
        let bearer = text(&bearer.stdout).trim().to_owned();
        let (status, me) = server.get("/api/auth/me", &bearer).await;
        assert_eq!(status, 200, "{me}");
        let mut command = command.to_vec();
        if command == ["account", "sign-out"] {
            command.push(me["account"]["id"].as_str().unwrap());
        }
        let output = run(dir.path(), &command, &[]).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(
            text(&output.stderr).contains("every session and token"),
            "{}",
            text(&output.stderr)
        );
        if command == ["password"] {
            password = text(&output.stdout).trim().to_owned();
        } else {
            assert!(output.stdout.is_empty());
        }
        assert_eq!(server.get("/api/auth/me", &bearer).await.0, 401);
        // The edge is of another process than the command, and hears of it by asking again.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (api, edge) = visit.statuses("ended").await;
            assert_eq!(api, 401, "{command:?}");
            if edge == 401 {
                break;
            }
            assert_eq!(edge, 503);
            assert!(Instant::now() < deadline, "{command:?}");
            sleep(Duration::from_millis(50)).await;
        }
        let still = server.get("/api/auth/me", &bob).await;
        assert_eq!(still.0, 200, "nobody else's: {}", still.1);
    }
    let output = run(dir.path(), &["account", "sign-out", "nobody"], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("\"nobody\""));
    assert_eq!(server.stop().await.0, Some(0));
}

/// Somebody else, and a bearer of theirs.
async fn somebody_else(server: &Server, data: &std::path::Path) -> (Option<i32>, String) {
    let added = run(data, &["account", "add", "bob"], &[]).await;
    let asked = client()
        .post(format!("{}/api/auth/token", server.api))
        .json(&json!({ "username": "bob", "password": text(&added.stdout).trim() }));
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    (
        added.status.code(),
        answer["token"].as_str().unwrap().to_owned(),
    )
}
