//! F1, F2 and F26 over HTTP: one key makes one instance, whatever dies in between.

use std::task::{Context, Poll, Waker};

use futures::future::join_all;
use http::{Method, Request, header};
use openclaw_tenancy::memory::Fault;

use crate::support::{App, Program, send};

fn create(program: &Program<'_>, key: &str, body: &str) -> Request<axum::body::Body> {
    program
        .request(Method::POST, "/api/tenants")
        .header("idempotency-key", key)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_owned().into())
        .unwrap()
}

/// Every store call of a create, by number, with a death before its effect or after it.
async fn dies_then_retries(after: bool) -> Vec<usize> {
    let calls = {
        let app = App::new().await;
        let ada = app.account("ada").await;
        let program = app.program(&ada).await;
        let before = app.faults.calls();
        app.send(create(&program, "k", "{}")).await;
        app.faults.calls() - before
    };
    assert!(calls >= 2, "{calls}");
    let mut left = Vec::new();
    for call in 0..calls {
        let app = App::new().await;
        let ada = app.account("ada").await;
        let program = app.program(&ada).await;
        let fault = if after {
            Fault::HangAfter
        } else {
            Fault::HangBefore
        };
        app.faults.at(app.faults.calls() + call, fault);
        {
            let mut dying = Box::pin(send(app.router.clone(), create(&program, "k", "{}")));
            // Everything is in memory: what is not ready at once hangs in the fault.
            let polled = dying.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending), "call {call}");
            assert!(app.faults.take_hung(), "call {call}");
        }
        left.push(app.tenants().await);
        let retried = app.send(create(&program, "k", "{}")).await;
        assert_eq!(retried.status, 202, "call {call}: {}", retried.body);
        assert_eq!(app.tenants().await, 1, "call {call}");
        let again = app.send(create(&program, "k", "{}")).await;
        assert_eq!(again.body, retried.body);
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    left
}

#[tokio::test]
async fn f01_dies_before_the_row_and_a_retry_makes_one() {
    let left = dies_then_retries(false).await;
    assert_eq!(
        left.iter().min(),
        Some(&0),
        "some die before the row: {left:?}"
    );
}

#[tokio::test]
async fn f02_dies_after_the_row_and_a_retry_finds_it() {
    let left = dies_then_retries(true).await;
    assert_eq!(
        left.iter().max(),
        Some(&1),
        "some die after the row: {left:?}"
    );
}

#[tokio::test]
async fn f01_a_lost_answer_is_503_and_the_retry_finds_the_row() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    app.faults.next("create", Some(Fault::LoseAnswer));
    let lost = app.send(create(&program, "k", "{}")).await;
    let problem = lost.problem(503, "store-unavailable");
    assert_eq!(lost.header("retry-after"), "2");
    assert!(problem["fix"].as_str().unwrap().contains("Idempotency-Key"));
    assert_eq!(app.tenants().await, 1);
    let retried = app.send(create(&program, "k", "{}")).await;
    assert_eq!(
        (
            retried.status.as_u16(),
            retried.header("idempotency-replayed")
        ),
        (202, "true")
    );
    assert_eq!(app.tenants().await, 1);
}

#[tokio::test]
async fn f26_one_key_32_parallel_on_two_replicas_have_one_effect() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let replicas = [app.router.clone(), app.replica()];
    let answers = join_all((0..32).map(|n| {
        send(
            replicas[n % 2].clone(),
            create(&program, "one", r#"{"plan":"free","name":"ada-lab"}"#),
        )
    }))
    .await;
    assert!(answers.iter().all(|answer| answer.status == 202));
    assert!(answers.windows(2).all(|pair| pair[0].body == pair[1].body));
    let made = answers
        .iter()
        .filter(|answer| answer.header("idempotency-replayed").is_empty());
    assert_eq!(made.count(), 1);
    assert_eq!(app.tenants().await, 1);
}

#[tokio::test]
async fn a34_another_body_another_account_and_odd_keys() {
    let app = App::new().await;
    let (ada, bob) = (app.account("ada").await, app.account("bob").await);
    let (of_ada, of_bob) = (app.program(&ada).await, app.program(&bob).await);
    let first = app.send(create(&of_ada, "k", "{}")).await;
    let other = app.send(create(&of_ada, "k", r#"{"plan":"free"}"#)).await;
    assert_eq!(
        other.problem(422, "idempotency-mismatch")["field"],
        "Idempotency-Key"
    );
    // Without the key, or with another, it is a second create.
    let second = of_ada
        .post("/api/tenants", "{}")
        .await
        .problem(409, "already-has-instance");
    assert_eq!(second["value"], first.json()["id"]);
    app.send(create(&of_ada, "k2", "{}"))
        .await
        .problem(409, "already-has-instance");
    // The key is the account's own.
    let bobs = app.send(create(&of_bob, "k", "{}")).await;
    assert_eq!(
        (bobs.status.as_u16(), bobs.header("idempotency-replayed")),
        (202, "")
    );
    assert_ne!(bobs.json()["id"], first.json()["id"]);
    for key in ["", " ", "a b", "\u{e4}", &"k".repeat(256)] {
        let problem = app
            .send(create(&of_ada, key, "{}"))
            .await
            .problem(400, "invalid-parameter");
        assert_eq!(problem["field"], "Idempotency-Key");
    }
    let mut twice = create(&of_ada, "k", "{}");
    twice
        .headers_mut()
        .append("idempotency-key", "k".parse().unwrap());
    app.send(twice).await.problem(400, "invalid-parameter");
    assert_eq!(app.tenants().await, 2);
}

/// As the READMEs say: the instance as it is now, not as it was when the key was first used.
#[tokio::test]
async fn f26_a_replay_shows_the_instance_as_it_is_now() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let first = app.send(create(&program, "k", "{}")).await;
    let made = first.json();
    let replayed = async |phase: &str| {
        let again = app.send(create(&program, "k", "{}")).await;
        assert_eq!(again.status, 202, "{}", again.body);
        assert_eq!(again.header("idempotency-replayed"), "true", "{phase}");
        let now = again.json();
        assert_eq!(
            (&now["id"], &now["phase"]),
            (&made["id"], &phase.into()),
            "{now}"
        );
    };
    replayed("queued").await;
    app.reconcile().await;
    replayed("running").await;
    program.post("/api/tenants/me/suspend", "").await;
    app.reconcile().await;
    replayed("suspended").await;
    program.delete("/api/tenants/me").await;
    replayed("deleting").await;
    app.reconcile().await;
    program
        .get("/api/tenants/me")
        .await
        .problem(404, "not-found");
    replayed("deleting").await;
    assert_eq!(app.tenants().await, 0);
}
