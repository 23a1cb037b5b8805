//! One socket, from the challenge to the close.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::Opening;
use super::admission::{self, Admitted, Refusal};
use super::frame::{self, Request};
use crate::app::{App, Phase, PreauthPlace};
use crate::clock;
use crate::config::Config;
use crate::log;
use crate::random;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The most a client may send before it is admitted.
const MAX_PREAUTH: usize = 64 * 1024;
const TICK: Duration = Duration::from_secs(30);
/// How long a client may take to answer a close.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// The longest reason that fits into a close frame.
const MAX_REASON: usize = 123;

/// Serves a socket until it is closed by either side.
pub(super) async fn run(app: &Arc<App>, mut socket: Socket, opening: Opening, place: PreauthPlace) {
    let challenge = frame::event(
        "connect.challenge",
        &json!({
            "nonce": random::identifier(),
            "ts": clock::unix_ms(),
            "capabilities": ["model-catalog-snapshot"],
        }),
    );
    if socket.send(Message::text(challenge)).await.is_err() {
        return;
    }
    let first = match handshake(app, &mut socket).await {
        Ok(Some(text)) => admission::judge(app, &opening, &text),
        Ok(None) => return,
        Err(refusal) => Err(refusal),
    };
    match first {
        Ok(admitted) => {
            drop(place);
            serve(app, socket, &opening, admitted).await;
        }
        Err(refusal) => {
            if let Some(frame) = refusal.frame {
                log::line("ws", &format!("closed before connect: {}", refusal.reason));
                let _ = socket.send(Message::text(frame)).await;
            }
            close(socket, refusal.code, &refusal.reason).await;
        }
    }
}

/// The first text of a client; `None` when it went away.
async fn handshake(app: &App, socket: &mut Socket) -> Result<Option<String>, Refusal> {
    let deadline = tokio::time::sleep(app.handshake_timeout);
    tokio::pin!(deadline);
    let mut phase = app.phase.clone();
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            () = &mut deadline => return Err(Refusal::silent(1000, "")),
            () = closing(&mut phase) => {
                return Err(Refusal::silent(1012, "service restart"));
            }
        };
        match message {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                if MAX_PREAUTH < message.len() {
                    return Err(Refusal::silent(1009, ""));
                }
                let text = message.into_text();
                return Ok(Some(text.map(|text| text.to_string()).unwrap_or_default()));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
        }
    }
}

async fn serve(app: &App, mut socket: Socket, opening: &Opening, admitted: Admitted) {
    if socket
        .send(Message::text(admitted.hello.clone()))
        .await
        .is_err()
    {
        return;
    }
    let mut ticks = ticks();
    let mut config = app.config.clone();
    // An edit between the admission and here must not be missed.
    config.mark_changed();
    let mut phase = app.phase.clone();
    loop {
        let reply = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(message)) => answer(app, message),
                Some(Err(_)) | None => return,
            },
            _ = ticks.tick() => {
                Some(Message::text(frame::event("tick", &json!({ "ts": clock::unix_ms() }))))
            }
            changed = config.changed() => {
                let now = Arc::clone(&config.borrow_and_update());
                if changed.is_ok() && let Some((code, reason)) = revoked(opening, &admitted, &now) {
                    close(socket, code, reason).await;
                    return;
                }
                None
            }
            () = closing(&mut phase) => {
                let event = frame::event("shutdown", &json!({ "reason": "gateway stopping" }));
                let _ = socket.send(Message::text(event)).await;
                close(socket, 1012, "service restart").await;
                return;
            }
        };
        if let Some(reply) = reply
            && socket.send(reply).await.is_err()
        {
            return;
        }
    }
}

/// Resolves when sockets are to be closed.
async fn closing(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase == Phase::Closing).await;
}

/// The first tick after one interval; a stalled instance does not catch up.
fn ticks() -> Interval {
    let mut ticks = interval_at(Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Whether an edit of the configuration ends this socket, as it would in OpenClaw.
fn revoked(opening: &Opening, admitted: &Admitted, now: &Config) -> Option<(u16, &'static str)> {
    if now.policy != admitted.policy {
        return Some((4001, "gateway policy changed"));
    }
    (admitted.by_origin && admission::check_origin(opening, now).is_err())
        .then_some((1008, "origin not allowed"))
}

/// OpenClaw knows some 300 methods, the stand-in one; whatever is no request is echoed, which OpenClaw does not do.
fn answer(app: &App, message: Message) -> Option<Message> {
    match message {
        Message::Text(text) => {
            let request = looks_like_json(&text)
                .then(|| {
                    serde_json::from_str::<Value>(&text)
                        .ok()
                        .and_then(Request::read)
                })
                .flatten();
            let Some(request) = request else {
                return Some(Message::Text(text));
            };
            Some(Message::text(match request.method.as_str() {
                "health" => frame::answer(
                    &request.id,
                    &json!({ "ok": true, "ts": clock::unix_ms(), "uptimeMs": app.uptime.elapsed_ms() }),
                ),
                other => frame::error(
                    &request.id,
                    "INVALID_REQUEST",
                    &format!("unknown method: {other}"),
                    json!({}),
                ),
            }))
        }
        Message::Binary(bytes) => Some(Message::Binary(bytes)),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => None,
    }
}

/// Keeps the parser away from bulk text that is sent to measure throughput.
fn looks_like_json(text: &str) -> bool {
    text.starts_with('{')
}

/// Sends a close and waits a moment for the client's own.
async fn close(mut socket: Socket, code: u16, reason: &str) {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let frame = CloseFrame {
        code: CloseCode::from(code),
        reason: reason[..end].into(),
    };
    if socket.close(Some(frame)).await.is_err() {
        return;
    }
    let drained = async { while let Some(Ok(_)) = socket.next().await {} };
    let _ = timeout(CLOSE_GRACE, drained).await;
}
