//! The WebSocket's own rules: where it opens, what may be said first, when it closes.

use std::time::Duration;

use ::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Headers, NotOpened, Seen, Socket, connect, exchange};
use super::{Claim, Outcome, Target, expect_eq};

pub(super) async fn check(target: &Target) -> Vec<Claim> {
    let (mut claims, silent) = tokio::join!(check_protocol(target), silent(target));
    claims.push(Claim::new("a_silent_socket_is_closed_after_15_s", silent));
    claims
}

async fn check_protocol(target: &Target) -> Vec<Claim> {
    vec![
        Claim::new("any_path_upgrades", any_path(target).await),
        Claim::new(
            "an_unknown_method_is_an_error",
            unknown_method(target).await,
        ),
        Claim::new("an_unattributed_upgrade_is_403", unattributed(target).await),
        Claim::new("text_that_is_no_json_is_closed_1000", no_json(target).await),
        Claim::new(
            "json_that_is_no_request_is_closed_1008",
            no_request(target).await,
        ),
        Claim::new(
            "the_first_request_must_be_connect",
            not_connect(target).await,
        ),
        Claim::new(
            "connect_parameters_are_checked",
            bad_parameters(target).await,
        ),
        Claim::new("another_protocol_is_closed_1002", protocol(target).await),
        Claim::new("an_unknown_role_is_refused", role(target).await),
        Claim::new(
            "a_first_frame_past_64_kib_is_closed_1009",
            oversized(target).await,
        ),
    ]
}

async fn any_path(target: &Target) -> Outcome {
    for path in ["/foo/ws", "/?x=1", "/healthz"] {
        Socket::open(target, path, Headers::browser(target))
            .await
            .map_err(|error| format!("{path}: {}", String::from(error)))?;
    }
    Ok(())
}

async fn unknown_method(target: &Target) -> Outcome {
    let (mut socket, _) = Socket::admitted(target).await?;
    socket
        .send(&json!({ "type": "req", "id": "m1", "method": "no.such", "params": {} }))
        .await?;
    match socket.until(|frame| frame["id"] == "m1").await? {
        Seen::Frame(frame) => {
            expect_eq("ok", &json!(false), &frame["ok"])?;
            expect_eq("code", &json!("INVALID_REQUEST"), &frame["error"]["code"])?;
            expect_eq(
                "message",
                &json!("unknown method: no.such"),
                &frame["error"]["message"],
            )
        }
        Seen::Closed(code, reason) => Err(format!("closed {code} {reason}")),
    }
}

async fn unattributed(target: &Target) -> Outcome {
    let headers = Headers::browser(target).with("x-forwarded-for", "127.0.0.1");
    match Socket::open(target, "/", headers).await {
        Ok(_) => Err("was upgraded".to_owned()),
        Err(NotOpened::Answered(status, body)) => {
            expect_eq("status", StatusCode::FORBIDDEN, status)?;
            expect_eq(
                "type",
                &json!("proxy_attribution_required"),
                &body["error"]["type"],
            )
        }
        Err(NotOpened::Failed(why)) => Err(why),
    }
}

async fn no_json(target: &Target) -> Outcome {
    let mut socket = Socket::open(target, "/", Headers::browser(target)).await?;
    socket.send_text("{nope".to_owned()).await?;
    expect_eq(
        "seen",
        Seen::Closed(1000, String::new()),
        socket.next().await?,
    )
}

async fn no_request(target: &Target) -> Outcome {
    let (error, close) = exchange(target, Headers::browser(target), &json!({ "a": 1 })).await?;
    expect_eq("error", None, error)?;
    expect_eq("close", (1008, "invalid request frame".to_owned()), close)
}

async fn not_connect(target: &Target) -> Outcome {
    let frame = json!({ "type": "req", "id": "h1", "method": "health", "params": {} });
    invalid(
        target,
        &frame,
        "invalid handshake: first request must be connect",
        1008,
    )
    .await
}

async fn bad_parameters(target: &Target) -> Outcome {
    let frame = json!({ "type": "req", "id": "h1", "method": "connect", "params": {} });
    invalid(target, &frame, "invalid connect params: ", 1008).await?;
    invalid(
        target,
        &connect(json!({ "wat": 1 })),
        "invalid connect params: ",
        1008,
    )
    .await
}

async fn protocol(target: &Target) -> Outcome {
    let frame = connect(json!({ "minProtocol": 1, "maxProtocol": 2 }));
    invalid(target, &frame, "protocol mismatch", 1002).await
}

async fn role(target: &Target) -> Outcome {
    invalid(
        target,
        &connect(json!({ "role": "king" })),
        "invalid role",
        1008,
    )
    .await
}

async fn invalid(target: &Target, frame: &Value, message: &str, code: u16) -> Outcome {
    let (error, close) = exchange(target, Headers::browser(target), frame).await?;
    let error = error.ok_or("closed without an answer")?;
    expect_eq("code", &json!("INVALID_REQUEST"), &error["code"])?;
    let seen = error["message"].as_str().unwrap_or_default();
    if !seen.starts_with(message) {
        return Err(format!("message: expected `{message}…`, saw `{seen}`"));
    }
    expect_eq("close", code, close.0)
}

async fn oversized(target: &Target) -> Outcome {
    let mut socket = Socket::open(target, "/", Headers::browser(target)).await?;
    socket.send_text("x".repeat(70_000)).await?;
    match socket.next().await? {
        Seen::Closed(code, _) => expect_eq("close", 1009, code),
        Seen::Frame(frame) => Err(format!("was answered {frame}")),
    }
}

async fn silent(target: &Target) -> Outcome {
    let mut socket = Socket::open(target, "/", Headers::browser(target)).await?;
    let since = Instant::now();
    let seen = socket.next_within(Duration::from_secs(80)).await?;
    expect_eq("seen", Seen::Closed(1000, String::new()), seen)?;
    let waited = since.elapsed();
    if (Duration::from_secs(14)..Duration::from_secs(75)).contains(&waited) {
        Ok(())
    } else {
        Err(format!("closed after {waited:?}"))
    }
}
