//! Who is admitted on a socket, and how the others are told.

use serde_json::{Value, json};

use super::client::{Headers, Seen, Socket, connect, exchange};
use super::{Claim, Outcome, Target, expect_eq};

pub(super) async fn check(target: &Target) -> Vec<Claim> {
    vec![
        Claim::new(
            "the_owner_is_admitted_without_token_or_device",
            admitted(target).await,
        ),
        Claim::new("scopes_are_narrowed_by_the_proxy", narrowed(target).await),
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
            "a_backend_with_the_identity_is_admitted",
            admitted_backend(target).await,
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

async fn another_build(target: &Target) -> Outcome {
    let (error, close) = exchange(target, Headers::browser(target), &connect(json!({}))).await?;
    let details = &error.ok_or("closed without an answer")?["details"];
    expect_eq("code", &json!("PROTOCOL_MISMATCH"), &details["code"])?;
    expect_eq("reloadRequired", &json!(true), &details["reloadRequired"])?;
    expect_eq("close", 1008, close.0)
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

/// What a check of the control plane does: the proxy's identity, no device, no origin, no token.
async fn admitted_backend(target: &Target) -> Outcome {
    let mut changes = backend();
    changes["auth"] = json!({});
    changes["scopes"] = json!([]);
    let mut socket = Socket::open(target, "/", Headers::identified(target)).await?;
    socket.send(&connect(changes)).await?;
    match socket.next().await? {
        Seen::Frame(frame) => {
            expect_eq("type", &json!("hello-ok"), &frame["payload"]["type"])?;
            let method = &frame["payload"]["auth"]["method"];
            expect_eq("method", &json!("trusted-proxy"), method)
        }
        Seen::Closed(code, reason) => Err(format!("closed {code} {reason}")),
    }
}

async fn unpaired(target: &Target) -> Outcome {
    let headers = Headers::identified(target).with(&target.user_header, "nobody-knows");
    let mut changes = backend();
    changes["auth"] = json!({});
    refused(target, headers, changes, "DEVICE_IDENTITY_REQUIRED", None).await
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
