//! Edits of a running instance's configuration, and its end.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Headers, Seen, Socket, get};
use super::{Claim, Outcome, Target, expect_eq};

/// Replaces the file that the instance includes as `gateway`, by an atomic rename or by archive.
pub type Write = dyn Fn(String) -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// An edit is seen within seconds; a busy machine gets more.
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// Longer than either implementation takes to look at an edit (OpenClaw: 0.6 to 2.3 s).
const LONG_ENOUGH: Duration = Duration::from_secs(4);
/// The user of the edit that takes the owner away.
const SUCCESSOR: &str = "u-successor";

/// Edits the configuration of a started instance and puts it back.
///
/// `gateway` is the content in force of the file that `write` replaces.
/// Takes 10 to 60 s; on return the file holds `gateway` again.
pub async fn check_reload(target: &Target, gateway: &Value, write: &Write) -> Vec<Claim> {
    let reload = Reload {
        target,
        gateway,
        write,
    };
    let mut claims = Vec::new();
    let name = "a_harmless_edit_keeps_sockets";
    reload.add(&mut claims, name, reload.harmless()).await;
    let name = "an_origin_taken_away_closes_its_sockets_1008";
    reload.add(&mut claims, name, reload.origin()).await;
    let name = "a_user_taken_away_closes_all_sockets_4001";
    reload.add(&mut claims, name, reload.user()).await;
    let name = "a_broken_edit_changes_nothing";
    reload
        .add(&mut claims, name, reload.broken("{nope".to_owned()))
        .await;
    let name = "an_unknown_key_changes_nothing";
    reload
        .add(
            &mut claims,
            name,
            reload.broken(reload.with("nonsense", json!(1))),
        )
        .await;
    claims
}

struct Reload<'a> {
    target: &'a Target,
    gateway: &'a Value,
    write: &'a Write,
}

impl Reload<'_> {
    /// Judges one edit and puts the file back, also when the edit was not taken as claimed.
    async fn add(
        &self,
        claims: &mut Vec<Claim>,
        name: &'static str,
        outcome: impl Future<Output = Outcome> + Send,
    ) {
        let outcome = outcome.await;
        let restored = self
            .restore()
            .await
            .map_err(|why| format!("cannot be put back: {why}"));
        claims.push(Claim::new(name, outcome.and(restored)));
    }

    /// The configuration with one setting changed; keys are separated by a slash.
    fn with(&self, pointer: &str, value: Value) -> String {
        let mut edited = self.gateway.clone();
        let mut place = &mut edited;
        for key in pointer.split('/') {
            place = &mut place[key];
        }
        *place = value;
        edited.to_string()
    }

    async fn restore(&self) -> Outcome {
        (self.write)(self.gateway.to_string()).await?;
        eventually("the owner is admitted again", || async {
            Socket::admitted(self.target).await.map(drop)
        })
        .await
    }

    async fn terminal_enabled(&self) -> Result<Option<bool>, String> {
        let headers = Headers::identified(self.target);
        let answer = get(self.target, "/control-ui-config.json", headers).await?;
        Ok(answer.json()["terminalEnabled"].as_bool())
    }

    async fn harmless(&self) -> Outcome {
        let (mut socket, _) = Socket::admitted(self.target).await?;
        let before = self
            .terminal_enabled()
            .await?
            .ok_or("terminalEnabled is not shown")?;
        (self.write)(self.with("terminal/enabled", json!(!before))).await?;
        eventually("terminal.enabled is in force", || async {
            expect_eq(
                "terminalEnabled",
                Some(!before),
                self.terminal_enabled().await?,
            )
        })
        .await?;
        let ping = json!({ "type": "req", "id": "p1", "method": "no.such", "params": {} });
        socket.send(&ping).await?;
        match socket.until(|frame| frame["id"] == "p1").await? {
            Seen::Frame(_) => Ok(()),
            Seen::Closed(code, reason) => Err(format!("closed {code} {reason}")),
        }
    }

    async fn origin(&self) -> Outcome {
        let (mut socket, _) = Socket::admitted(self.target).await?;
        let other = "http://moved.localhost:8080";
        (self.write)(self.with("controlUi/allowedOrigins", json!([other]))).await?;
        closed(&mut socket, 1008, "origin not allowed").await?;
        let moved = Target {
            origin: other.to_owned(),
            ..self.target.clone()
        };
        Socket::admitted(&moved).await.map(drop)?;
        match Socket::admitted(self.target).await {
            Ok(_) => Err("the old origin is still admitted".to_owned()),
            Err(_) => Ok(()),
        }
    }

    async fn user(&self) -> Outcome {
        let (mut socket, _) = Socket::admitted(self.target).await?;
        (self.write)(self.with("auth/trustedProxy/allowUsers", json!([SUCCESSOR]))).await?;
        closed(&mut socket, 4001, "gateway policy changed").await?;
        let successor = Target {
            user: SUCCESSOR.to_owned(),
            ..self.target.clone()
        };
        Socket::admitted(&successor).await.map(drop)
    }

    async fn broken(&self, text: String) -> Outcome {
        let (mut socket, _) = Socket::admitted(self.target).await?;
        (self.write)(text).await?;
        // Nothing is to happen, so there is nothing to wait for but the time in which it would have.
        tokio::time::sleep(LONG_ENOUGH).await;
        let ping = json!({ "type": "req", "id": "p1", "method": "no.such", "params": {} });
        socket.send(&ping).await?;
        match socket.until(|frame| frame["id"] == "p1").await? {
            Seen::Frame(_) => Socket::admitted(self.target).await.map(drop),
            Seen::Closed(code, reason) => Err(format!("closed {code} {reason}")),
        }
    }
}

async fn closed(socket: &mut Socket, code: u16, reason: &str) -> Outcome {
    match socket.until(|_| false).await? {
        Seen::Closed(seen, words) => expect_eq("close", (code, reason), (seen, words.as_str())),
        Seen::Frame(frame) => Err(format!("was sent {frame}")),
    }
}

/// Tries until it holds or the deadline has passed; then the last failure is the answer.
async fn eventually<F>(what: &str, mut attempt: impl FnMut() -> F) -> Outcome
where
    F: Future<Output = Outcome>,
{
    let since = Instant::now();
    loop {
        match attempt().await {
            Ok(()) => return Ok(()),
            Err(why) if DEADLINE < since.elapsed() => return Err(format!("{what}: {why}")),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Stops the instance by `stop` (a SIGTERM) and watches how it goes.
///
/// An open, a silent and a refused connection are watched; `stop` may return before the instance has ended.
pub async fn check_shutdown(
    target: &Target,
    stop: impl Future<Output = Result<(), String>> + Send,
) -> Vec<Claim> {
    let told = told(target, stop).await;
    let gone = eventually("the port is closed", || async {
        match get(target, "/healthz", Headers::bare(target)).await {
            Ok(answer) => Err(format!("still answers {}", answer.status)),
            Err(_) => Ok(()),
        }
    })
    .await;
    vec![
        Claim::new("sockets_are_told_of_the_shutdown_and_closed_1012", told),
        Claim::new("the_port_closes_after_the_shutdown", gone),
    ]
}

async fn told(target: &Target, stop: impl Future<Output = Result<(), String>> + Send) -> Outcome {
    let (mut socket, _) = Socket::admitted(target).await?;
    stop.await?;
    match socket.until(|frame| frame["event"] == "shutdown").await? {
        Seen::Frame(frame) => {
            expect_eq(
                "reason",
                &json!("gateway stopping"),
                &frame["payload"]["reason"],
            )?;
        }
        Seen::Closed(code, reason) => return Err(format!("closed {code} {reason} untold")),
    }
    closed(&mut socket, 1012, "service restart").await
}
