//! A27: what an outsider writes does not get into a log line, and so cannot forge one.

use http::{HeaderValue, Method, header};

use crate::logs::Logs;
use crate::support::{App, ORIGIN, request};

/// Line ends, terminal control, separators of JSON and of Unicode, and a mark to look for.
const HOSTILE: &str = "\u{1b}[31mfoRged\r\n2026-01-01 INFO done \u{2028}\u{85}\u{0}\"}{\"a\":\"";
const MARK: &str = "foRged";

#[tokio::test]
async fn a27_log_injection_by_every_field() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let browser = app.browser(&ada).await;
    let logs = Logs::capture();
    let json = serde_json::to_string(&HOSTILE.replace('\0', "")).unwrap();
    let percent: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let in_header = HeaderValue::from_bytes(b"foRged\t\xff\"}{").unwrap();

    // Bodies: values and names.
    for path in [
        "/api/tenants",
        "/api/tenants/me/suspend",
        "/api/auth/logout",
    ] {
        for field in ["plan", "name", "email", "timezone", "everywhere"] {
            program
                .post(path, &format!(r#"{{"{field}":{json}}}"#))
                .await;
        }
        program.post(path, &format!("{{{json}:1}}")).await;
        program.post(path, &format!("{{{json}:1,{json}:2}}")).await;
        program.post(path, HOSTILE).await;
    }
    for body in [
        format!(r#"{{"username":{json},"password":{json}}}"#),
        format!(r#"{{{json}:{json}}}"#),
    ] {
        for path in ["/api/auth/password", "/api/auth/token"] {
            let post = request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
            app.send(post.body(body.clone().into()).unwrap()).await;
        }
    }
    let form = request(Method::POST, "/api/auth/password")
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let body = format!("username={percent}&password={percent}&return_to={percent}&{percent}=1");
    app.send(form.body(body.into()).unwrap()).await;

    // Paths and queries.
    for path in [
        format!("/{percent}"),
        format!("/api/tenants/{percent}"),
        format!("/api/tenants/me?{percent}={percent}"),
        format!("/api/auth/callback/{percent}?state={percent}&code={percent}&error={percent}"),
        format!("/api/auth/login?provider={percent}&return_to={percent}"),
        format!("/login?return_to={percent}&lang={percent}"),
        format!("/continue?return_to={percent}"),
        format!("/claim?code={percent}"),
        format!("/assets/{percent}?{percent}"),
        format!("/api/edge/authorize?slug={percent}&challenge={percent}&return_to={percent}"),
    ] {
        app.get(&path).await;
        app.send(browser.open(&path)).await;
        app.send(
            program
                .request(Method::GET, &path)
                .body(String::new().into())
                .unwrap(),
        )
        .await;
    }

    // Headers, methods, and ids of a request that outsiders give.
    for name in [
        "x-request-id",
        "traceparent",
        "x-forwarded-for",
        "user-agent",
        "referer",
        "origin",
        "accept",
        "accept-language",
        "idempotency-key",
        "content-type",
        "content-encoding",
        "authorization",
        "cookie",
        "host",
        "x-csrf-token",
        "sec-fetch-site",
    ] {
        for method in ["GET", "POST", "FORGED", "foRged"] {
            let builder = request(method.parse().unwrap(), "/api/tenants").header(name, &in_header);
            let answer = app
                .send(builder.body("{}".to_owned().into()).unwrap())
                .await;
            assert!(!answer.header("x-request-id").contains(MARK));
            let by_program = program
                .request(method.parse().unwrap(), "/api/tenants")
                .header(name, &in_header);
            app.send(by_program.body("{}".to_owned().into()).unwrap())
                .await;
        }
    }

    let lines = logs.lines();
    assert!(lines.len() > 100, "{}", lines.len());
    for line in lines {
        // Bodies of JSON are parsed and never written; hyper's own debug lines are not ours.
        assert!(!line.contains(MARK), "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[tokio::test]
async fn a27_log_injection_echoed_values_are_cut_and_cleaned() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let name = serde_json::to_string(&format!("\u{1b}[2J{}", "x".repeat(500))).unwrap();
    let answer = program
        .post("/api/tenants", &format!(r#"{{"name":{name}}}"#))
        .await;
    let problem = answer.problem(422, "invalid-fields");
    let value = problem["value"].as_str().unwrap();
    assert_eq!(value.chars().count(), 80);
    assert!(!value.chars().any(char::is_control), "{value:?}");
}
