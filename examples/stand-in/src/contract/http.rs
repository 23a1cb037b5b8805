//! Probes, attribution and the page.

use ::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Headers, Plain, get, request};
use super::{Claim, Outcome, Target, expect_eq};

pub(super) async fn check(target: &Target) -> Vec<Claim> {
    vec![
        Claim::new(
            "healthz_is_live_without_attribution",
            healthz(target, "/healthz").await,
        ),
        Claim::new(
            "health_is_the_same_as_healthz",
            healthz(target, "/health").await,
        ),
        Claim::new("healthz_answers_head_without_a_body", head(target).await),
        Claim::new("healthz_refuses_post", post(target).await),
        Claim::new("startupz_says_started", startupz(target).await),
        Claim::new("readyz_says_ready", readyz(target).await),
        Claim::new("startupz_tells_the_identified_more", details(target).await),
        Claim::new("below_a_probe_is_nothing", below_a_probe(target).await),
        Claim::new(
            "a_loopback_client_is_no_attribution",
            unattributable(target).await,
        ),
        Claim::new("a_proxy_without_a_client_is_refused", unnamed(target).await),
        Claim::new("unknown_paths_are_the_page", page(target).await),
        Claim::new("only_pages_fall_back_to_the_page", no_page(target).await),
        Claim::new(
            "configuration_needs_the_identity",
            configuration(target).await,
        ),
        Claim::new("a_foreign_upgrade_is_400", foreign_upgrade(target).await),
        Claim::new(
            "a_connection_carries_several_requests",
            keep_alive(target).await,
        ),
    ]
}

async fn healthz(target: &Target, path: &str) -> Outcome {
    let answer = get(target, path, Headers::bare(target)).await?;
    expect_eq("status", StatusCode::OK, answer.status)?;
    expect_eq(
        "body",
        json!({ "ok": true, "status": "live" }),
        answer.json(),
    )?;
    expect_eq("cache-control", "no-store", answer.header("cache-control"))?;
    expect_eq(
        "content-type",
        "application/json; charset=utf-8",
        answer.header("content-type"),
    )
}

async fn head(target: &Target) -> Outcome {
    let answer = request(target, Method::HEAD, "/healthz", Headers::bare(target)).await?;
    expect_eq("status", StatusCode::OK, answer.status)?;
    expect_eq("bytes", 0, answer.body.len())
}

async fn post(target: &Target) -> Outcome {
    let answer = request(target, Method::POST, "/healthz", Headers::bare(target)).await?;
    expect_eq("status", StatusCode::METHOD_NOT_ALLOWED, answer.status)?;
    expect_eq("allow", "GET, HEAD", answer.header("allow"))
}

async fn startupz(target: &Target) -> Outcome {
    for path in ["/startupz", "/startup"] {
        let answer = get(target, path, Headers::attributed(target)).await?;
        expect_eq("status", StatusCode::OK, answer.status)?;
        expect_eq(
            "body",
            json!({ "ok": true, "status": "started" }),
            answer.json(),
        )?;
    }
    Ok(())
}

async fn readyz(target: &Target) -> Outcome {
    for path in ["/readyz", "/ready"] {
        let answer = get(target, path, Headers::attributed(target)).await?;
        expect_eq("status", StatusCode::OK, answer.status)?;
        expect_eq("body", json!({ "ready": true }), answer.json())?;
    }
    Ok(())
}

async fn details(target: &Target) -> Outcome {
    let body = get(target, "/startupz", Headers::identified(target))
        .await?
        .json();
    expect_eq("status", &json!("started"), &body["status"])?;
    expect_eq("version is text", true, body["version"].is_string())?;
    expect_eq("uptimeMs is a number", true, body["uptimeMs"].is_u64())
}

async fn below_a_probe(target: &Target) -> Outcome {
    for path in ["/healthz/", "/health/x", "/startupz/x"] {
        let answer = get(target, path, Headers::attributed(target)).await?;
        expect_eq(path, StatusCode::NOT_FOUND, answer.status)?;
    }
    Ok(())
}

fn attribution_required(status: StatusCode, body: &Value) -> Outcome {
    expect_eq("status", StatusCode::FORBIDDEN, status)?;
    expect_eq(
        "type",
        &json!("proxy_attribution_required"),
        &body["error"]["type"],
    )
}

async fn unattributable(target: &Target) -> Outcome {
    for path in ["/startupz", "/readyz", "/", "/foo"] {
        let headers = Headers::identified(target).with("x-forwarded-for", "127.0.0.1");
        let answer = get(target, path, headers).await?;
        attribution_required(answer.status, &answer.json())?;
    }
    Ok(())
}

/// A caller on loopback that sends no forwarding header at all is no proxy but local, so the proof needs one of them.
async fn unnamed(target: &Target) -> Outcome {
    let headers = Headers::identified(target)
        .without("x-forwarded-for")
        .with("x-forwarded-host", target.host());
    let answer = get(target, "/startupz", headers).await?;
    attribution_required(answer.status, &answer.json())?;
    if target.address.ip().is_loopback() {
        return Ok(());
    }
    let answer = get(target, "/startupz", Headers::bare(target)).await?;
    attribution_required(answer.status, &answer.json())
}

async fn page(target: &Target) -> Outcome {
    for path in ["/", "/foo/bar", "/assets/no-such-file"] {
        let answer = get(target, path, Headers::attributed(target)).await?;
        expect_eq(path, StatusCode::OK, answer.status)?;
        expect_eq(
            "content-type",
            "text/html; charset=utf-8",
            answer.header("content-type"),
        )?;
        let text = String::from_utf8_lossy(&answer.body);
        expect_eq(
            "title",
            true,
            text.contains("<title>OpenClaw Control</title>"),
        )?;
    }
    Ok(())
}

async fn no_page(target: &Target) -> Outcome {
    let attributed = || Headers::attributed(target);
    for path in ["/api/nothing", "/v1/models", "/nothing.js", "/nothing.json"] {
        let answer = get(target, path, attributed()).await?;
        expect_eq(path, StatusCode::NOT_FOUND, answer.status)?;
    }
    let answer = get(
        target,
        "/foo",
        attributed().with("accept", "application/json"),
    )
    .await?;
    expect_eq("accept", StatusCode::NOT_FOUND, answer.status)?;
    let answer = request(target, Method::POST, "/foo", attributed()).await?;
    expect_eq("post", StatusCode::NOT_FOUND, answer.status)
}

async fn configuration(target: &Target) -> Outcome {
    let path = "/control-ui-config.json";
    let answer = get(target, path, Headers::attributed(target)).await?;
    expect_eq("without a user", StatusCode::UNAUTHORIZED, answer.status)?;
    let stranger = Headers::identified(target).with(&target.user_header, "nobody-knows");
    let answer = get(target, path, stranger).await?;
    expect_eq("with a stranger", StatusCode::UNAUTHORIZED, answer.status)?;
    let evil = Headers::identified(target).with("origin", "http://evil.example");
    let answer = get(target, path, evil).await?;
    expect_eq(
        "from a foreign origin",
        StatusCode::UNAUTHORIZED,
        answer.status,
    )?;
    let answer = get(target, path, Headers::identified(target)).await?;
    expect_eq("with the owner", StatusCode::OK, answer.status)?;
    expect_eq(
        "serverVersion is text",
        true,
        answer.json()["serverVersion"].is_string(),
    )
}

async fn foreign_upgrade(target: &Target) -> Outcome {
    let headers = Headers::attributed(target)
        .with("connection", "Upgrade")
        .with("upgrade", "chat");
    let answer = get(target, "/", headers).await?;
    expect_eq("status", StatusCode::BAD_REQUEST, answer.status)
}

async fn keep_alive(target: &Target) -> Outcome {
    let mut connection = Plain::open(target).await?;
    for _ in 0..3 {
        let answer = connection
            .send(Method::GET, "/healthz", Headers::bare(target))
            .await?;
        expect_eq("status", StatusCode::OK, answer.status)?;
    }
    Ok(())
}
