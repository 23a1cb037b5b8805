//! F16: the answer to a commit is lost.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::{AccessStore, Grant, GrantKind, SecretHash};
use openclaw_tenancy::conformance::history;
use openclaw_tenancy::store::{Change, Created, StoreError, TenantStore};
use openclaw_tenancy_postgres::{PoolOptions, PostgresStore};
use test_support::proxy::{Mode, Proxy};

use crate::given::{COMMIT, NOW, claim_request, is_unavailable, new_tenant, settlement};
use crate::support::database::Database;

/// A store behind a proxy, and one beside it.
async fn stores(database: &Database) -> (Proxy, PostgresStore, PostgresStore) {
    let proxy = Proxy::start(database.address()).await.unwrap();
    let options = PoolOptions {
        max_connections: 2,
        deadline: Duration::from_secs(5),
        ..PoolOptions::default()
    };
    let url = database.url_over(proxy.address());
    let behind = PostgresStore::connect(&url, options).await.unwrap();
    let beside = database.store(options).await;
    (proxy, behind, beside)
}

/// The caller learns that it is open, asks again with its key, and finds its tenant: one effect (I5).
#[tokio::test]
async fn f16_a_create_whose_commit_answer_is_lost_is_found_by_its_key() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (proxy, behind, beside) = stores(&database).await;
    let new = new_tenant();
    proxy.set(Mode::LoseReplyTo(COMMIT));
    let answer = behind.create(new.clone()).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    assert_eq!(proxy.lost(), 1, "the commit is not sent a second time");
    proxy.set(Mode::Pass);

    let made = beside.get(new.id).await.unwrap().expect("it was made");
    let again = behind.create(crate::given::again(&new)).await.unwrap();
    assert_eq!(again, Created::Replayed(made.clone()));
    let page = beside.list(None, 10).await.unwrap();
    assert_eq!(page.tenants, [made]);
    database.remove().await;
}

/// A worker whose settle was lost settles again and is fenced; what it saw is there once.
#[tokio::test]
async fn f16_a_settle_whose_commit_answer_is_lost_is_fenced_the_second_time() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (proxy, behind, beside) = stores(&database).await;
    behind.create(new_tenant()).await.unwrap();
    let claim = behind
        .claim_tenants(claim_request(1))
        .await
        .unwrap()
        .remove(0);
    let mut seen = settlement(claim.item.observed.clone());
    seen.observed.queued = Some("no room".to_owned());
    proxy.set(Mode::LoseReplyTo(COMMIT));
    let answer = behind
        .settle(claim.item.id, claim.fence, seen.clone(), NOW)
        .await;
    assert!(is_unavailable(&answer), "{answer:?}");
    proxy.set(Mode::Pass);
    let again = behind
        .settle(claim.item.id, claim.fence, seen.clone(), NOW)
        .await;
    assert!(matches!(again, Err(StoreError::Fenced)), "{again:?}");
    let stored = beside.get(claim.item.id).await.unwrap().unwrap();
    assert_eq!(stored.observed, seen.observed);
    database.remove().await;
}

/// A claim whose answer was lost is nobody's until its lease ends; a change whose answer was lost is there once.
#[tokio::test]
async fn f16_a_change_whose_commit_answer_is_lost_can_be_asked_again() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (proxy, behind, beside) = stores(&database).await;
    let tenant = behind.create(new_tenant()).await.unwrap().tenant();
    let suspend = Change::Power(openclaw_tenancy::tenant::Power::Suspended);
    proxy.set(Mode::LoseReplyTo(COMMIT));
    let expected = Some(tenant.revision);
    let answer = behind
        .change(tenant.id, expected, suspend.clone(), NOW)
        .await;
    assert!(is_unavailable(&answer), "{answer:?}");
    proxy.set(Mode::Pass);
    let again = behind
        .change(tenant.id, expected, suspend, NOW)
        .await
        .unwrap();
    assert_eq!(again.revision, tenant.revision.next(), "once");
    assert_eq!(beside.get(tenant.id).await.unwrap(), Some(again));
    database.remove().await;
}

/// A one-time code whose take was lost is used up: better a new sign-in than two.
#[tokio::test]
async fn f16_a_take_whose_commit_answer_is_lost_is_a_take() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (proxy, behind, beside) = stores(&database).await;
    let grant = Grant {
        kind: GrantKind::HandOver,
        secret: SecretHash::of("a code"),
        account: None,
        data: "{}".to_owned(),
        created_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(60)),
    };
    behind.put_grant(grant.clone()).await.unwrap();
    proxy.set(Mode::LoseReplyTo(COMMIT));
    let answer = behind.take_grant(grant.kind, grant.secret, NOW).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    let left = beside.grant(grant.kind, grant.secret, NOW).await.unwrap();
    assert_eq!(left, None);
    database.remove().await;
}

/// A connection that breaks before the commit leaves nothing, and the call does not even notice.
#[tokio::test]
async fn f16_a_connection_that_breaks_before_the_commit_is_replaced() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (proxy, behind, beside) = stores(&database).await;
    behind.ping().await.unwrap();
    proxy.set(Mode::HoldRequest(COMMIT));
    let new = new_tenant();
    let creating = tokio::spawn({
        let (behind, new) = (behind.clone(), new.clone());
        async move { behind.create(new).await }
    });
    database
        .until("the commit is held", async || proxy.held() > 0)
        .await;
    proxy.cut();
    proxy.set(Mode::Pass);
    // The commit was on its way: that is in doubt, however it ended.
    let answer = creating.await.unwrap();
    assert!(is_unavailable(&answer), "{answer:?}");
    assert_eq!(
        beside.get(new.id).await.unwrap(),
        None,
        "it had not arrived"
    );

    // Every connection of the pool is dead now; the next call finds out by its BEGIN.
    proxy.cut();
    behind.create(new).await.expect("a new connection");
    proxy.cut();
    behind.list(None, 10).await.expect("a new connection");
    database.remove().await;
}

/// The history checker with commits whose answers are lost now and then: each took effect once or never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_histories_with_lost_commit_answers_are_linearizable() {
    let mut lost = 0;
    for seed in 1..=10 {
        let Some(database) = Database::create().await else {
            return;
        };
        let (proxy, behind, beside) = stores(&database).await;
        let (behind, beside) = (Arc::new(behind), Arc::new(beside));
        let ports: [Arc<dyn TenantStore>; 2] = [Arc::clone(&behind) as _, Arc::clone(&beside) as _];
        let mut recording = pin!(history::record(&ports, seed, 4, 16));
        let mut is_losing = false;
        let history = loop {
            tokio::select! {
                history = &mut recording => break history,
                () = tokio::time::sleep(Duration::from_millis(4)) => {
                    is_losing = !is_losing;
                    proxy.set(if is_losing { Mode::LoseReplyTo(COMMIT) } else { Mode::Pass });
                }
            }
        };
        lost += history.lost();
        if let Err(violation) = history.check() {
            panic!("{violation}");
        }
        behind.close().await;
        beside.close().await;
        database.remove().await;
    }
    println!("{lost} calls without an answer");
    assert!(lost > 0, "the proxy lost some");
}
