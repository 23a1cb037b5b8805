//! The main bodies, to the letter: scripts read them.

use http::{Method, header};
use insta::assert_snapshot;
use openclaw_tenancy::memory::{Behavior, Fault};

use crate::support::{Answer, App, Program, request};

/// The status and the body, with what differs each time blanked.
fn shown(answer: &Answer) -> String {
    let mut json = answer.json();
    if let Some(id) = json.get_mut("request_id") {
        *id = "…".into();
    }
    format!(
        "{}\n{}",
        answer.status.as_u16(),
        serde_json::to_string_pretty(&json).unwrap()
    )
}

async fn in_chinese(app: &App, program: &Program<'_>, body: &str) -> Answer {
    let request = program
        .request(Method::POST, "/api/tenants")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT_LANGUAGE, "zh-CN,zh;q=0.9,en;q=0.5");
    let answer = app
        .send(request.body(body.to_owned().into()).unwrap())
        .await;
    assert_eq!(answer.header("content-language"), "zh-CN");
    answer
}

#[tokio::test]
async fn an_instance_from_create_to_delete() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let body = r#"{"plan":"basic","name":"ada-lab","email":"user@example.com","timezone":"Asia/Shanghai"}"#;
    let created = program.post("/api/tenants", body).await;
    assert_eq!(created.header("location"), "/api/tenants/me");
    assert_snapshot!("tenant_created", shown(&created));
    app.reconcile().await;
    assert_snapshot!(
        "tenant_running",
        shown(&program.get("/api/tenants/me").await)
    );
    program.post("/api/tenants/me/suspend", "").await;
    app.reconcile().await;
    assert_snapshot!(
        "tenant_suspended",
        shown(&program.get("/api/tenants/me").await)
    );
    assert_snapshot!(
        "tenant_deleting",
        shown(&program.delete("/api/tenants/me").await)
    );
    app.reconcile().await;
    assert_snapshot!("tenant_gone", shown(&program.get("/api/tenants/me").await));
}

#[tokio::test]
async fn an_instance_that_fails() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let id = program
        .post("/api/tenants", r#"{"name":"ada-lab"}"#)
        .await
        .json()["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let behavior = Behavior {
        runs_out_of_memory: true,
        ..Behavior::default()
    };
    app.backend.set_behavior(&app.host, id, behavior);
    app.reconcile().await;
    let failed = program.get("/api/tenants/me").await;
    let status = failed.json()["status"].clone();
    assert_eq!(
        (&status["name"], &status["reason"]),
        (&"failed".into(), &"out_of_memory".into()),
        "{status}"
    );
    assert!(
        status["attempts"].as_u64().unwrap() >= 1 && status["retry_at"].is_string(),
        "{status}"
    );
}

#[tokio::test]
async fn what_administrators_see() {
    let app = App::new().await;
    let (ada, root) = (app.account("ada").await, app.administrator("root").await);
    app.program(&ada)
        .await
        .post("/api/tenants", r#"{"name":"ada-lab"}"#)
        .await;
    app.reconcile().await;
    let program = app.program(&root).await;
    assert_snapshot!("tenants", shown(&program.get("/api/tenants?limit=1").await));
    assert_snapshot!("hosts", shown(&program.get("/api/hosts").await));
    assert_eq!(program.post("/api/hosts/h1/cordon", "").await.status, 204);
    assert_eq!(
        program.get("/api/hosts").await.json()["hosts"][0]["cordoned"],
        true
    );
    assert_eq!(program.post("/api/hosts/h1/uncordon", "").await.status, 204);
    assert_eq!(
        program.get("/api/hosts").await.json()["hosts"][0]["cordoned"],
        false
    );
}

#[tokio::test]
async fn pages_of_tenants_join_up() {
    let app = App::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        let account = app.account(name).await;
        app.clock.advance(std::time::Duration::from_millis(1));
        app.program(&account)
            .await
            .post("/api/tenants", &format!(r#"{{"name":"{name}-lab"}}"#))
            .await;
    }
    let root = app.administrator("root").await;
    let program = app.program(&root).await;
    let (mut names, mut path) = (Vec::new(), "/api/tenants?limit=2".to_owned());
    loop {
        let page = program.get(&path).await.json();
        names.extend(
            page["tenants"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["name"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/api/tenants?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["a-lab", "b-lab", "c-lab", "d-lab", "e-lab"]);
}

#[tokio::test]
async fn plans_and_who_i_am() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    assert_snapshot!("plans", shown(&program.get("/api/plans").await));
    assert_snapshot!("me", shown(&program.get("/api/auth/me").await));
}

#[tokio::test]
async fn health_says_what_it_checks() {
    let app = App::new().await;
    assert_snapshot!("health_ok", shown(&app.get("/api/health").await));
    app.faults.next("ping", Some(Fault::Fail));
    assert_snapshot!("health_degraded", shown(&app.get("/api/health").await));
}

#[tokio::test]
async fn f18_a_store_that_hangs_does_not_hang_us() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let waits = |path: &'static str, fault: &'static str| {
        app.faults.next(fault, Some(Fault::HangBefore));
        let request = program
            .request(Method::GET, path)
            .body(String::new().into())
            .unwrap();
        let mut answer = Box::pin(app.send(request));
        let app = &app;
        async move {
            for seconds in 0..60 {
                if let Some(answer) = futures::future::poll_immediate(answer.as_mut()).await {
                    return (seconds, answer);
                }
                app.clock.advance(std::time::Duration::from_secs(1));
            }
            panic!("no answer within a minute");
        }
    };
    let (seconds, health) = waits("/api/health", "ping").await;
    assert_eq!((seconds, health.status.as_u16()), (2, 503));
    let (seconds, mine) = waits("/api/tenants/me", "find_by_owner").await;
    assert_eq!(seconds, 30);
    mine.problem(503, "timed-out");
    assert_eq!(mine.header("retry-after"), "2");
}

#[tokio::test]
async fn problems_in_two_languages() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    for (name, body) in [
        ("plan_unknown", r#"{"plan":"gold"}"#),
        ("plan_not_entitled", r#"{"plan":"enterprise"}"#),
        ("unknown_field", r#"{"pln":"free"}"#),
        ("several_fields", r#"{"plan":1,"nam":"x"}"#),
        ("invalid_name", r#"{"name":"-x-"}"#),
        ("invalid_email", r#"{"email":"x"}"#),
        ("duplicate_key", r#"{"plan":"free","plan":"free"}"#),
    ] {
        assert_snapshot!(
            format!("problem_{name}"),
            shown(&program.post("/api/tenants", body).await)
        );
        assert_snapshot!(
            format!("problem_{name}_zh"),
            shown(&in_chinese(&app, &program, body).await)
        );
    }
    let nobody = app
        .send(
            request(Method::GET, "/api/tenants/me")
                .body(String::new().into())
                .unwrap(),
        )
        .await;
    assert_snapshot!("problem_unauthenticated", shown(&nobody));
    assert_snapshot!(
        "problem_no_instance",
        shown(&program.get("/api/tenants/me").await)
    );
    assert_snapshot!(
        "problem_administrators_only",
        shown(&program.get("/api/hosts").await)
    );
}

#[tokio::test]
async fn a_plan_that_fits_no_host_is_refused_with_the_figures() {
    let app = App::small().await;
    let root = app.administrator("root").await;
    let rights = openclaw_tenancy::access::Rights {
        admin: true,
        plan: Some("enterprise".parse().unwrap()),
    };
    openclaw_tenancy::access::AccessStore::set_account_rights(&*app.access, root.id, rights)
        .await
        .unwrap();
    let program = app.program(&root).await;
    assert_snapshot!(
        "problem_plan_does_not_fit",
        shown(
            &program
                .post("/api/tenants", r#"{"plan":"enterprise"}"#)
                .await
        )
    );
    assert_snapshot!(
        "problem_plan_does_not_fit_zh",
        shown(&in_chinese(&app, &program, r#"{"plan":"enterprise"}"#).await)
    );
    assert_snapshot!(
        "problem_plan_below_image_floor",
        shown(&program.post("/api/tenants", r#"{"plan":"free"}"#).await)
    );
    assert_snapshot!(
        "problem_plan_below_image_floor_zh",
        shown(&in_chinese(&app, &program, r#"{"plan":"free"}"#).await)
    );
    assert_eq!(app.tenants().await, 0);
}
