//! `account`: local accounts, made beside a server that runs.

use serde_json::{Value, json};

use crate::server::{Server, client, send};
use crate::support::{run, text};

#[tokio::test]
async fn an_account_made_beside_a_running_server_signs_in_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let sign_in = async |name: &str, password: &str| {
        let request = client()
            .post(format!("{}/api/auth/token", server.api))
            .json(&json!({ "username": name, "password": password }));
        send(request).await
    };
    let add = async |args: &[&str]| {
        let args = [&["account", "add"], args].concat();
        let output = run(dir.path(), &args, &[]).await;
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };

    let (code, password, stderr) = add(&["Ann", "--email", "ann@example.com"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let audited = stderr;
    assert_eq!(password.lines().count(), 1, "the password and nothing else");
    let password = password.trim();
    let (status, answer) = sign_in("ann", password).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["token"].as_str().unwrap().to_owned();
    let (_, me) = server.get("/api/auth/me", &token).await;
    assert_eq!(me["account"]["email"], "ann@example.com", "{me}");
    // What was done by command, and to whom, stands where its log lines go.
    let id = me["account"]["id"].as_str().unwrap();
    is_audited(&audited, "account.add", id, password);
    let output = run(dir.path(), &["token", "ann"], &[]).await;
    let bearer = text(&output.stdout);
    is_audited(&text(&output.stderr), "token.issue", id, bearer.trim());
    let quiet = [("OPENCLAW_TENANCY__LOG__LEVEL", "error")];
    let output = run(dir.path(), &["account", "sign-out", "ann"], &quiet).await;
    is_audited(&text(&output.stderr), "account.sign-out", id, bearer.trim());
    let output = run(dir.path(), &["password", "ann"], &[]).await;
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), 1, "the password and nothing else");
    let password = stdout.trim();
    is_audited(&text(&output.stderr), "account.password", id, password);
    let (status, answer) = sign_in("ann", password).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["token"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/api/hosts", &token).await.0, 403);
    let pro = json!({ "plan": "pro" });
    assert_eq!(
        server.post("/api/tenants", &token, pro.clone()).await.0,
        403
    );

    // A second one of this name would be a take-over.
    let (code, stdout, stderr) = add(&["ann", "--admin"]).await;
    assert_eq!((code, &*stdout), (Some(1), ""));
    assert!(
        stderr.contains("\"ann\"") && stderr.contains("already") && stderr.contains("password"),
        "{stderr}"
    );
    assert_eq!(server.get("/api/hosts", &token).await.0, 403);
    assert_eq!(
        sign_in("ann", password).await.0,
        200,
        "it keeps its password"
    );

    let (code, password, stderr) = add(&["bob", "--admin"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let (_, answer) = sign_in("bob", password.trim()).await;
    let token = answer["token"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/api/hosts", &token).await.0, 200);

    let (code, password, stderr) = add(&["eve", "--plan", "pro"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let (_, answer) = sign_in("eve", password.trim()).await;
    let token = answer["token"].as_str().unwrap().to_owned();
    let (status, answer) = server.post("/api/tenants", &token, pro).await;
    assert_ne!(status, 403, "{answer}");
    assert_eq!(server.get("/api/hosts", &token).await.0, 403);

    // All of them, beside the server that runs.
    let output = run(dir.path(), &["account", "list", "--json"], &[]).await;
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let listed: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|entry| {
            json!([
                entry["subject"],
                entry["email"],
                entry["admin"],
                entry["plan"]
            ])
        })
        .collect();
    let all = [
        json!(["admin", null, true, "pro"]),
        json!(["ann", "ann@example.com", false, null]),
        json!(["bob", null, true, "pro"]),
        json!(["eve", null, false, "pro"]),
    ];
    assert_eq!(listed, all);
    let output = run(dir.path(), &["account", "list"], &[]).await;
    let table = text(&output.stdout);
    let anns = table.lines().find(|line| line.starts_with(id));
    assert!(
        anns.unwrap_or(&table).contains("ann@example.com"),
        "{table}"
    );

    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[track_caller]
fn is_audited(stderr: &str, action: &str, account: &str, secret: &str) {
    let mut lines = stderr
        .lines()
        .filter(|line| line.contains("openclaw_tenancy::audit"));
    let line = lines.next().unwrap_or_else(|| panic!("{action}: {stderr}"));
    for told in [&format!("action=\"{action}\""), account, "command line"] {
        assert!(line.contains(told), "{told}: {line}");
    }
    assert_eq!(lines.next(), None, "{stderr}");
    assert!(!stderr.contains(secret), "{action}");
}

#[tokio::test]
async fn what_cannot_be_an_account_is_named_with_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    assert_eq!(server.stop().await.0, Some(0));
    let off = [
        ("OPENCLAW_TENANCY__IDENTITY__LOCAL", "false"),
        ("OPENCLAW_TENANCY__IDENTITY__OIDC__0__ID", "company"),
        (
            "OPENCLAW_TENANCY__IDENTITY__OIDC__0__ISSUER",
            "https://127.0.0.1:1",
        ),
        ("OPENCLAW_TENANCY__IDENTITY__OIDC__0__CLIENT_ID", "tenancy"),
        ("OPENCLAW_TENANCY__IDENTITY__OIDC__0__CLIENT_AUTH", "none"),
    ];
    for (args, environment, told) in [
        (&["a b"][..], &[][..], ["\"a b\"", "1 to 64 of a-z"]),
        (
            &["ann", "--plan", "gold"],
            &[],
            ["--plan \"gold\"", "free, basic, pro, enterprise"],
        ),
        (
            &["ann", "--email", "ann"],
            &[],
            ["--email \"ann\"", "ann@example.com"],
        ),
        (&["ann"], &off, ["\"ann\"", "identity.local = true"]),
    ] {
        let args = [&["account", "add"], args].concat();
        let output = run(dir.path(), &args, environment).await;
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let stderr = text(&output.stderr);
        for told in told {
            assert!(stderr.contains(told), "{told}: {stderr}");
        }
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    let output = run(dir.path(), &["account", "add", "ann"], &[]).await;
    assert!(output.status.success(), "none of them was made");
}
