//! What an operator reads at `info`: who did what to which instance, and no line for each look.

use std::time::Duration;

use openclaw_tenancy::clock::SeededEntropy;
use openclaw_tenancy::id::{DeploymentId, Generation, TenantId};
use openclaw_tenancy::labels::{LabelKeys, ObjectLabels, Role, object_name};

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
    program
        .get("/api/tenants/me")
        .await
        .problem(404, "not-found");
    program
        .post("/api/tenants/me/suspend", "")
        .await
        .problem(404, "not-found");
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
            ("DEBUG", "404"),
            ("INFO", "404"),
            ("INFO", "202"),
            ("DEBUG", "200"),
            ("DEBUG", "200"),
            ("INFO", "404"),
            ("WARN", "503"),
        ]
    );
}

#[tokio::test]
async fn what_no_tenant_accounts_for_is_told_when_it_changes_and_once_an_hour() {
    let app = App::new().await;
    // Of a tenant that the database has lost.
    let keys = LabelKeys::new(DeploymentId::new("d1").unwrap(), "k1", [1; 32]);
    let tenant = TenantId::generate(&app.clock, &SeededEntropy::new(7));
    let generation = Generation::default();
    let name = object_name(keys.deployment(), tenant, Role::Data, generation);
    let labels = ObjectLabels {
        role: Role::Data,
        tenant: Some(tenant),
        generation,
        spec: "lost".to_owned(),
    };
    let labels = keys.sign(&name, &labels);
    let volume = app
        .backend
        .add_foreign(&app.host, Role::Data, &name, &labels)
        .unwrap();
    let logs = Logs::capture();
    let told = |what: &str| {
        let lines = logs.lines();
        lines.iter().filter(|line| line.contains(what)).count()
    };
    let left = || told("no tenant accounts for");
    let unaccounted = async || {
        let hosts = app.tenancy.hosts().await.unwrap();
        hosts[0].facts.as_ref().unwrap().unaccounted
    };
    for _ in 0..6 {
        app.reconcile().await;
    }
    assert_eq!((left(), unaccounted().await), (1, 1));
    app.clock.advance(Duration::from_secs(3600));
    app.reconcile().await;
    app.reconcile().await;
    assert_eq!(left(), 2, "once more after an hour");
    assert!(app.backend.is_as_added(&app.host, &volume));
    app.backend.remove_anything_like(&app.host, &name);
    app.reconcile().await;
    app.reconcile().await;
    assert_eq!((left(), unaccounted().await), (2, 0));
    assert_eq!(told("accounted for again"), 1);
}
