//! A12: a tenant sets neither owner nor limits nor image nor host nor role, and no plan above its own.

use std::time::Duration;

use crate::logs::Logs;
use crate::support::{App, Program};

/// What a create of somebody bold would say.
const BOLD: &[&str] = &[
    "owner",
    "account",
    "account_id",
    "user",
    "issuer",
    "subject",
    "id",
    "slug",
    "host",
    "hosts",
    "labels",
    "image",
    "digest",
    "limits",
    "cpu",
    "memory",
    "swap",
    "storage",
    "pids",
    "sandboxes",
    "seats",
    "desired",
    "power",
    "role",
    "admin",
    "rights",
    "is_admin",
    "phase",
    "url",
    "env",
    "privileged",
    "__proto__",
    "constructor",
    "Plan",
    "PLAN",
    "plan ",
];

async fn tokens(app: &App) -> Vec<Program<'_>> {
    let (ada, root) = (app.account("ada").await, app.administrator("root").await);
    vec![app.program(&ada).await, app.program(&root).await]
}

#[tokio::test]
async fn a12_escalation_unknown_fields_by_token() {
    let app = App::new().await;
    for program in tokens(&app).await {
        for field in BOLD {
            for value in [r#""x""#, "true", "1", "null", "{}", r#"[{"a":1}]"#] {
                app.clock.advance(Duration::from_millis(100));
                let body = format!(r#"{{"plan":"basic","{field}":{value}}}"#);
                let problem = program
                    .post("/api/tenants", &body)
                    .await
                    .problem(422, "invalid-fields");
                assert_eq!(problem["field"], *field, "{problem}");
                assert_eq!(problem["title"], "Unknown field");
            }
        }
        for path in [
            "/api/tenants/me/suspend",
            "/api/tenants/me/resume",
            "/api/tenants/me/restart",
        ] {
            let problem = program
                .post(path, r#"{"plan":"pro"}"#)
                .await
                .problem(422, "invalid-fields");
            assert_eq!(problem["field"], "plan");
        }
    }
    assert_eq!(app.tenants().await, 0);
}

#[tokio::test]
async fn a12_escalation_a_plan_above_the_entitlement_is_refused_and_audited() {
    let app = App::new().await;
    let logs = Logs::capture();
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    for plan in ["pro", "enterprise"] {
        let body = format!(r#"{{"plan":"{plan}"}}"#);
        let problem = program
            .post("/api/tenants", &body)
            .await
            .problem(403, "plan-not-entitled");
        assert_eq!(
            (&problem["field"], &problem["value"]),
            (&"plan".into(), &plan.into())
        );
        assert_eq!(
            problem["fix"],
            "Choose one of: free, basic; or ask an administrator."
        );
    }
    let audited = logs.lines().into_iter().filter(|line| {
        line.contains("openclaw_tenancy::audit")
            && line.contains("tenant.create.plan")
            && line.contains(&ada.id.to_string())
    });
    assert_eq!(audited.count(), 2);
    // No other spelling gets around it.
    for plan in [
        "PRO",
        "Pro",
        " pro",
        "pro ",
        "pro\\u0000",
        "p\\u0072o",
        "../pro",
        "pro,basic",
    ] {
        let body = format!(r#"{{"plan":"{plan}"}}"#);
        let answer = program.post("/api/tenants", &body).await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 403 | 422),
            "{plan}: {}",
            answer.body
        );
    }
    assert_eq!(app.tenants().await, 0);
    // Within the entitlement it is honoured.
    let made = program.post("/api/tenants", r#"{"plan":"free"}"#).await;
    assert_eq!(made.json()["plan"], "free");
}

#[tokio::test]
async fn a12_escalation_email_is_contact_text() {
    let app = App::new().await;
    let root = app.administrator("root").await;
    let mallory = app.account("mallory").await;
    let program = app.program(&mallory).await;
    let body = r#"{"email":"root@example.com"}"#;
    let made = program.post("/api/tenants", body).await;
    assert_eq!(made.status, 202, "{}", made.body);
    assert_eq!(made.json()["email"], "root@example.com");
    // Root has no instance by it, and Mallory no right.
    app.program(&root)
        .await
        .get("/api/tenants/me")
        .await
        .problem(404, "not-found");
    program
        .get("/api/hosts")
        .await
        .problem(403, "administrators-only");
    assert_eq!(program.get("/api/auth/me").await.json()["admin"], false);
}
