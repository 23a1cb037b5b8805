//! What an operator reads at `info`: who did what to which instance, and no line for each look.

use crate::logs::Logs;
use crate::support::App;

#[tokio::test]
async fn an_audit_line_names_the_instance_and_the_request() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let logs = Logs::capture();
    let made = program.post("/api/tenants", "{}").await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let mut told = vec![("tenant.create", made.header("x-request-id").to_owned())];
    for (action, path) in [
        ("tenant.suspend", "/api/tenants/me/suspend"),
        ("tenant.resume", "/api/tenants/me/resume"),
        ("tenant.restart", "/api/tenants/me/restart"),
    ] {
        let answer = program.post(path, "").await;
        assert_eq!(answer.status.as_u16(), 202, "{action}: {}", answer.body);
        told.push((action, answer.header("x-request-id").to_owned()));
    }
    let answer = program.delete("/api/tenants/me").await;
    told.push(("tenant.delete", answer.header("x-request-id").to_owned()));
    for (action, request) in told {
        let lines = logs.lines();
        let line = lines.iter().find(|line| {
            line.contains("openclaw_tenancy::audit") && line.contains(&format!("action={action}"))
        });
        let line = line.unwrap_or_else(|| panic!("{action}: {lines:?}"));
        for wanted in [
            format!("object={id}"),
            format!("request_id={request}"),
            format!("account={}", ada.id),
        ] {
            assert!(line.contains(&wanted), "{wanted}: {line}");
        }
    }
}

#[tokio::test]
async fn looks_are_at_debug_and_writes_refusals_and_faults_above() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let logs = Logs::capture();
    program.post("/api/tenants", "{}").await;
    program.get("/api/tenants/me").await;
    app.get("/api/health").await;
    app.get("/api/nothing").await;
    app.faults
        .next("ping", Some(openclaw_tenancy::memory::Fault::Fail));
    app.get("/api/health").await;
    let lines = logs.lines();
    let answered: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("answered"))
        .map(|line| {
            let status = line.split("status=").nth(1).unwrap();
            (line.split(' ').next().unwrap(), &status[..3])
        })
        .collect();
    assert_eq!(
        answered,
        [
            ("INFO", "202"),
            ("DEBUG", "200"),
            ("DEBUG", "200"),
            ("INFO", "404"),
            ("WARN", "503"),
        ]
    );
}
