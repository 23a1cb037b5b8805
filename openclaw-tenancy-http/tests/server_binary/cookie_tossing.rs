//! A16 at the API's own origin: a page at a sibling host sets cookies for the domain that both are below, until every
//! request to us is too large.

use serde_json::Value;

use crate::server::Server;
use crate::wire::exchange;

const HOST: &str = "console.example.org";

/// A browser's cookies (RFC 6265bis §5.7, §5.8), as far as they matter here.
#[derive(Debug, Default)]
struct Jar(Vec<Cookie>);

#[derive(Debug, Clone)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    host_only: bool,
    path: String,
}

impl Cookie {
    fn read(line: &str) -> (Self, bool) {
        let mut parts = line.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: HOST.to_owned(),
            host_only: true,
            path: "/".to_owned(),
        };
        let mut ends = false;
        for attribute in parts {
            match attribute.split_once('=') {
                Some(("Domain", domain)) => {
                    cookie.domain = domain.to_owned();
                    cookie.host_only = false;
                }
                Some(("Path", path)) => path.clone_into(&mut cookie.path),
                Some(("Max-Age", age)) => ends = age == "0",
                _ => {}
            }
        }
        (cookie, ends)
    }

    /// One is overwritten by another of its name, domain and path, and by no other.
    fn is(&self, other: &Self) -> bool {
        let key = |cookie: &Self| {
            let Self {
                name,
                domain,
                host_only,
                path,
                ..
            } = cookie.clone();
            (name, domain, host_only, path)
        };
        key(self) == key(other)
    }

    fn is_sent_to(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&self.path);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        })
    }
}

impl Jar {
    /// What a sibling's page sets: 10 KB for the whole domain, and as much for each path.
    fn toss(&mut self, paths: &[&str]) {
        for path in paths {
            for number in 0..10 {
                self.0.push(Cookie {
                    name: format!("toss{number}"),
                    value: "x".repeat(1000),
                    domain: "example.org".to_owned(),
                    host_only: false,
                    path: (*path).to_owned(),
                });
            }
        }
    }

    /// Sends a request with the cookies for its path, takes those of the answer; its status line and body.
    async fn ask(
        &mut self,
        server: &Server,
        method: &str,
        path: &str,
        rest: &str,
    ) -> (u16, String) {
        let sent = self.0.iter().filter(|cookie| cookie.is_sent_to(path));
        let sent: Vec<_> = sent
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let cookies = if sent.is_empty() {
            String::new()
        } else {
            format!("Cookie: {}\r\n", sent.join("; "))
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nAccept: text/html\r\n\
             Accept-Language: zh-CN\r\n{cookies}{rest}"
        );
        let (head, body) = exchange(&server.api, &request).await;
        for line in head.split("\r\n") {
            let Some(line) = line.strip_prefix("set-cookie: ") else {
                continue;
            };
            let (cookie, ends) = Cookie::read(line);
            // A browser takes nothing for a domain that this host is not below.
            assert!(HOST.ends_with(&cookie.domain), "{line}");
            self.0.retain(|held| !held.is(&cookie));
            if !ends {
                self.0.push(cookie);
            }
        }
        (head[9..12].parse().unwrap(), body)
    }

    /// The same until it is not too large any more: each answer ends some of what was tossed.
    async fn ask_again(
        &mut self,
        server: &Server,
        method: &str,
        path: &str,
        rest: &str,
    ) -> (u16, String) {
        let mut refused = 0;
        loop {
            let held = self.0.len();
            let (status, body) = self.ask(server, method, path, rest).await;
            if status != 431 {
                assert!(refused > 0, "{method} {path} was not too large: {status}");
                return (status, body);
            }
            refused += 1;
            assert!(self.0.len() < held, "{path}: nothing is ended: {body}");
            // Whoever looks at it reads it, and is told what to do.
            assert!(
                body.contains("<html lang=\"zh-CN\"") && body.contains("刷新页面"),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn a16_cookie_overflow_at_the_api_ends_in_a_clean_sign_in() {
    let dir = tempfile::tempdir().unwrap();
    let environment = [("OPENCLAW_TENANCY__SERVER__HOST_NAMES", HOST)];
    let server = Server::start(dir.path(), &environment).await;
    let (name, password) = server.first_administrator().unwrap();
    let mut jar = Jar::default();

    jar.toss(&["/", "/login", "/api", "/api/", "/api/auth", "/api/auth/"]);
    let (status, page) = jar.ask_again(&server, "GET", "/login", "\r\n").await;
    assert_eq!(status, 200, "{page}");
    let body = serde_json::json!({ "username": name, "password": password }).to_string();
    let rest = format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, answer) = jar
        .ask_again(&server, "POST", "/api/auth/password", &rest)
        .await;
    assert_eq!(status, 200, "{answer}");
    let me = "/api/auth/me";
    let (status, answer) = jar.ask(&server, "GET", me, "\r\n").await;
    assert_eq!(status, 200, "{answer}");
    let whole: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(whole["account"]["subject"], *name);
    assert!(
        jar.0.iter().all(|cookie| !cookie.name.starts_with("toss")),
        "{jar:?}"
    );

    // Tossed again at somebody who is signed in: the session outlives the cure.
    jar.toss(&["/", me]);
    let (status, answer) = jar.ask_again(&server, "GET", me, "\r\n").await;
    assert_eq!(
        (status, serde_json::from_str(&answer).unwrap()),
        (200, whole)
    );
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
}
