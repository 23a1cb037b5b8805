//! What an operator reads at `info`: who did what to which instance, and no line for each look.

use std::time::Duration;

use http::{Method, header};
use openclaw_tenancy::clock::SeededEntropy;
use openclaw_tenancy::id::{DeploymentId, Generation, TenantId};
use openclaw_tenancy::identity::Subject;
use openclaw_tenancy::labels::{LabelKeys, ObjectLabels, Role, object_name};
use openclaw_tenancy_http::identity::local::ISSUER;

use crate::logs::Logs;
use crate::support::{App, PASSWORD, request};

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

/// Who is behind a guess, and whom it was for: without what was given, and a line a minute for each address.
#[tokio::test]
async fn a27_log_injection_a_refused_sign_in_has_its_audit_line() {
    let app = App::with(|parts, builder| {
        let provider = crate::sign_in::Redirecting::new(&parts.access, &parts.clock);
        builder.provider("there", "There", std::sync::Arc::new(provider))
    })
    .await;
    app.local_account("ada").await;
    let logs = Logs::capture();
    let try_at = async |path: &str, name: &str, password: &str| {
        let body = format!(r#"{{"username":"{name}","password":"{password}"}}"#);
        let post = request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        app.send(post.body(body.into()).unwrap()).await.status
    };
    let refused = || -> Vec<String> {
        let lines = logs.lines().into_iter();
        let ours = |line: &String| {
            line.contains("WARN openclaw_tenancy::audit") && line.contains("action=sign-in")
        };
        lines.filter(ours).collect()
    };
    assert_eq!(try_at("/api/auth/password", "ada", "foRged-1").await, 401);
    let line = refused().pop().expect("a line");
    for told in ["refused", "object=ada", "address=::", "times=1"] {
        assert!(line.contains(told), "{told}: {line}");
    }
    // The account is known once it has signed in here.
    assert_eq!(try_at("/api/auth/token", "ada", PASSWORD).await, 200);
    for _ in 0..3 {
        assert_eq!(try_at("/api/auth/token", "ADA", "foRged-2").await, 401);
    }
    assert_eq!(refused().len(), 1, "one a minute");
    app.clock.advance(Duration::from_secs(60));
    assert_eq!(try_at("/api/auth/token", "ada", "foRged-3").await, 401);
    let who = Subject {
        issuer: ISSUER.to_owned(),
        subject: "ada".to_owned(),
    };
    let account = format!("account={}", app.account_of(who).await.id);
    let line = refused().pop().unwrap();
    for told in [&*account, "object=ada", "times=4"] {
        assert!(line.contains(told), "{told}: {line}");
    }
    // A password in the wrong field is nobody's name, and is not told.
    app.clock.advance(Duration::from_secs(60));
    assert_eq!(try_at("/api/auth/password", "foRged-4", "x").await, 401);
    let line = refused().pop().unwrap();
    assert!(line.contains("object=nobody"), "{line}");
    assert!(!line.contains("account="), "{line}");
    app.clock.advance(Duration::from_secs(60));
    let path = "/api/auth/callback/there?state=foRged-5&code=foRged-5";
    let browser = format!("__Host-oct-login={}", "b".repeat(43));
    let callback = request(Method::GET, path).header(header::COOKIE, browser);
    let answer = app.send(callback.body(String::new().into()).unwrap()).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(refused().len(), 4);
    assert!(refused()[3].contains("object=there"));
    assert!(logs.lines().iter().all(|line| !line.contains("foRged")));
}
