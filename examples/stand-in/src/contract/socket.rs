//! The WebSocket: who is admitted, and how the others are told.

use std::time::Duration;

use ::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Headers, NotOpened, Seen, Socket, connect};
use super::{Claim, Outcome, Target, expect_eq};

pub(super) async fn check(target: &Target) -> Vec<Claim> {
    let (mut claims, silent) = tokio::join!(check_protocol(target), silent(target));
    claims.push(Claim::new("a_silent_socket_is_closed_after_15_s", silent));
    claims
}

async fn check_protocol(target: &Target) -> Vec<Claim> {
    vec![
        Claim::new(
            "the_owner_is_admitted_without_token_or_device",
            admitted(target).await,
        ),
        Claim::new("any_path_upgrades", any_path(target).await),
        Claim::new("scopes_are_narrowed_by_the_proxy", narrowed(target).await),
        Claim::new(
            "an_unknown_method_is_an_error",
            unknown_method(target).await,
        ),
        Claim::new("an_unattributed_upgrade_is_403", unattributed(target).await),
        Claim::new(
            "a_page_without_identity_must_show_a_device",
            deviceless(target).await,
        ),
        Claim::new("a_stranger_is_refused", stranger(target).await),
        Claim::new(
            "a_missing_required_header_is_named",
            missing_header(target).await,
        ),
        Claim::new(
            "a_backend_without_credentials_must_pair",
            unpaired(target).await,
        ),
        Claim::new(
            "a_page_of_another_build_must_reload",
            another_build(target).await,
        ),
        Claim::new("a_foreign_origin_is_refused", foreign_origin(target).await),
        Claim::new("a_missing_origin_is_refused", missing_origin(target).await),
        Claim::new(
            "a_backend_s_origin_counts_too",
            backend_origin(target).await,
        ),
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

async fn admitted(target: &Target) -> Outcome {
    let (_, frame) = Socket::admitted(target).await?;
    expect_eq("id", &json!("c1"), &frame["id"])?;
    let payload = &frame["payload"];
    expect_eq("protocol", &json!(4), &payload["protocol"])?;
    expect_eq(
        "method",
        &json!("trusted-proxy"),
        &payload["auth"]["method"],
    )?;
    expect_eq("role", &json!("operator"), &payload["auth"]["role"])?;
    // Without a device only what the identity itself carries is granted.
    expect_eq(
        "scopes",
        &json!(["operator.admin"]),
        &payload["auth"]["scopes"],
    )?;
    expect_eq(
        "maxPayload",
        &json!(26_214_400),
        &payload["policy"]["maxPayload"],
    )?;
    expect_eq(
        "tickIntervalMs",
        &json!(30_000),
        &payload["policy"]["tickIntervalMs"],
    )
}

async fn any_path(target: &Target) -> Outcome {
    for path in ["/foo/ws", "/?x=1", "/healthz"] {
        Socket::open(target, path, Headers::browser(target))
            .await
            .map_err(|error| format!("{path}: {}", String::from(error)))?;
    }
    Ok(())
}

async fn narrowed(target: &Target) -> Outcome {
    for (cap, left) in [
        ("operator.read", json!([])),
        ("operator.admin, x", json!(["operator.admin"])),
    ] {
        let headers = Headers::browser(target).with("x-openclaw-scopes", cap);
        let (_, frame) = Socket::admitted_with(target, headers).await?;
        expect_eq(cap, &left, &frame["payload"]["auth"]["scopes"])?;
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

async fn deviceless(target: &Target) -> Outcome {
    for headers in [
        Headers::browser(target).without(&target.user_header),
        Headers::browser(target).with(&target.user_header, " "),
        Headers::browser(target).with(&target.user_header, "nobody-knows"),
    ] {
        refused(
            target,
            headers,
            json!({}),
            "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
            None,
        )
        .await?;
    }
    Ok(())
}

/// A client that is no page: it is told why, once it shows any credential at all.
fn backend() -> Value {
    json!({
        "client": { "id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend" },
        "auth": { "token": "not-the-token" },
    })
}

async fn stranger(target: &Target) -> Outcome {
    let headers = Headers::identified(target).with(&target.user_header, "nobody-knows");
    let reason = "trusted_proxy_user_not_allowed";
    refused(
        target,
        headers,
        backend(),
        "AUTH_UNAUTHORIZED",
        Some(reason),
    )
    .await
}

async fn missing_header(target: &Target) -> Outcome {
    for (name, _) in &target.required {
        let headers = Headers::identified(target).without(name);
        let reason = format!("trusted_proxy_missing_header_{name}");
        let code = "AUTH_IDENTITY_HEADER_REQUIRED";
        refused(target, headers, backend(), code, Some(&reason)).await?;
    }
    Ok(())
}

async fn unpaired(target: &Target) -> Outcome {
    let headers = Headers::identified(target).with(&target.user_header, "nobody-knows");
    let mut changes = backend();
    changes["auth"] = json!({});
    refused(target, headers, changes, "DEVICE_IDENTITY_REQUIRED", None).await
}

async fn another_build(target: &Target) -> Outcome {
    let (error, close) = exchange(target, Headers::browser(target), &connect(json!({}))).await?;
    let details = &error.ok_or("closed without an answer")?["details"];
    expect_eq("code", &json!("PROTOCOL_MISMATCH"), &details["code"])?;
    expect_eq("reloadRequired", &json!(true), &details["reloadRequired"])?;
    expect_eq("close", 1008, close.0)
}

async fn foreign_origin(target: &Target) -> Outcome {
    let doubled = format!("{}.evil.example", target.origin);
    for origin in ["http://evil.example", "null", doubled.as_str()] {
        let headers = Headers::browser(target).with("origin", origin);
        refused(
            target,
            headers,
            json!({}),
            "CONTROL_UI_ORIGIN_NOT_ALLOWED",
            None,
        )
        .await
        .map_err(|why| format!("{origin}: {why}"))?;
    }
    Ok(())
}

async fn missing_origin(target: &Target) -> Outcome {
    let headers = Headers::identified(target);
    refused(
        target,
        headers,
        json!({}),
        "CONTROL_UI_ORIGIN_NOT_ALLOWED",
        None,
    )
    .await
}

async fn backend_origin(target: &Target) -> Outcome {
    let headers = Headers::browser(target).with("origin", "http://evil.example");
    refused(
        target,
        headers,
        backend(),
        "CONTROL_UI_ORIGIN_NOT_ALLOWED",
        None,
    )
    .await
}

/// The refusal in its usual form: an error with a code, then 1008 with the same words.
async fn refused(
    target: &Target,
    headers: Headers,
    changes: Value,
    code: &str,
    reason: Option<&str>,
) -> Outcome {
    let (error, close) = exchange(target, headers, &connect(changes)).await?;
    let error = error.ok_or("closed without an answer")?;
    expect_eq("code", &json!(code), &error["details"]["code"])?;
    if let Some(reason) = reason {
        expect_eq(
            "authReason",
            &json!(reason),
            &error["details"]["authReason"],
        )?;
    }
    expect_eq("close", 1008, close.0)?;
    expect_eq(
        "words of the close",
        error["message"].as_str(),
        Some(close.1.as_str()),
    )
}

/// Sends one frame and reads to the close; also the error, if one came.
async fn exchange(
    target: &Target,
    headers: Headers,
    frame: &Value,
) -> Result<(Option<Value>, (u16, String)), String> {
    let mut socket = Socket::open(target, "/", headers).await?;
    socket.send(frame).await?;
    let mut error = None;
    loop {
        match socket.next().await? {
            Seen::Frame(frame) if frame["ok"] == false && error.is_none() => {
                error = Some(frame["error"].clone());
            }
            Seen::Frame(frame) => return Err(format!("was answered {frame}")),
            Seen::Closed(code, reason) => return Ok((error, (code, reason))),
        }
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
    let seen = socket.next_within(Duration::from_secs(25)).await?;
    expect_eq("seen", Seen::Closed(1000, String::new()), seen)?;
    let waited = since.elapsed();
    if (Duration::from_secs(14)..Duration::from_secs(20)).contains(&waited) {
        Ok(())
    } else {
        Err(format!("closed after {waited:?}"))
    }
}
