//! F16: the answer to a commit is lost.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::{AccessStore, Grant, GrantKind, SecretHash};
use openclaw_tenancy::conformance::history;
use openclaw_tenancy::store::{Change, Created, StoreError, TenantStore};
use openclaw_tenancy_postgres::{PoolOptions, PostgresStore};
use test_support::proxy::{Mode, Proxy};

use crate::given::{
    COMMIT, COMMIT_OR_QUESTION, NOW, claim_request, is_unavailable, new_tenant, settlement,
};
use crate::support::database::Database;

/// Longer than an answer takes on a busy machine.
const PATIENT: Duration = Duration::from_secs(30);
/// For what is never answered; what heals it has to be within it, too.
const SHORT: Duration = Duration::from_secs(6);

/// A store behind a proxy, and one beside it.
async fn stores(database: &Database, deadline: Duration) -> (Proxy, PostgresStore, PostgresStore) {
    let proxy = Proxy::start(database.address()).await.unwrap();
    let options = PoolOptions {
        max_connections: 2,
        deadline,
        ..PoolOptions::default()
    };
    let url = database.url_over(proxy.address());
    let behind = PostgresStore::connect(&url, options).await.unwrap();
    let beside = database.store(options).await;
    (proxy, behind, beside)
}

fn grant() -> Grant {
    Grant {
        kind: GrantKind::HandOver,
        secret: SecretHash::of("a code"),
        account: None,
        data: "{}".to_owned(),
        created_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(60)),
    }
}

/// What was committed is answered as done, by what it left: once, and not a second time.
#[tokio::test]
async fn f16_a_write_whose_commit_answer_is_lost_is_answered_as_done() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (proxy, behind, beside) = stores(&database, PATIENT).await;
    proxy.set(Mode::LoseReplyTo(COMMIT));
    let tenant = behind.create(new_tenant()).await.unwrap().tenant();
    assert_eq!(beside.get(tenant.id).await.unwrap(), Some(tenant.clone()));

    let restart = Change::Restart;
    let changed = behind.change(tenant.id, None, restart, NOW).await.unwrap();
    assert_eq!(changed.revision, tenant.revision.next());
    assert_eq!(beside.get(tenant.id).await.unwrap(), Some(changed));

    let claims = behind.claim_tenants(claim_request(1)).await.unwrap();
    let [claim] = claims.as_slice() else {
        panic!("{claims:?}");
    };
    let mut seen = settlement(claim.item.observed.clone());
    seen.observed.queued = Some("no room".to_owned());
    let settled = behind.settle(tenant.id, claim.fence, seen.clone(), NOW);
    settled.await.unwrap();
    let stored = beside.get(tenant.id).await.unwrap().unwrap();
    assert_eq!(stored.observed, seen.observed);

    let grant = grant();
    behind.put_grant(grant.clone()).await.unwrap();
    let taken = behind.take_grant(grant.kind, grant.secret, NOW).await;
    assert_eq!(taken.unwrap(), Some(grant.clone()));
    let taken = beside.take_grant(grant.kind, grant.secret, NOW).await;
    assert_eq!(taken.unwrap(), None, "used up");
    assert_eq!(proxy.lost(), 6, "no commit is sent a second time");
    assert_eq!(database.outcomes().await, (6, 0));
    database.remove().await;
}

/// While the database cannot be asked either, the caller learns that it is open, asks again with its key, and finds its
/// tenant: one effect (I5).
#[tokio::test]
async fn f16_a_create_that_stays_open_is_found_by_its_key() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (proxy, behind, beside) = stores(&database, SHORT).await;
    let new = new_tenant();
    proxy.set(Mode::LoseReplyTo(COMMIT_OR_QUESTION));
    let answer = behind.create(new.clone()).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    assert!(proxy.lost() > 1, "it was asked what became of it");
    let outcomes = database.outcomes().await;
    assert_eq!(outcomes, (1, 0), "the commit is not sent a second time");
    proxy.set(Mode::Pass);

    let made = beside.get(new.id).await.unwrap().expect("it was made");
    let again = behind.create(crate::given::again(&new)).await.unwrap();
    assert_eq!(again, Created::Replayed(made.clone()));
    let page = beside.list(None, 10).await.unwrap();
    assert_eq!(page.tenants, [made]);
    database.remove().await;
}

/// A worker whose settle stays open settles again and is fenced; what it saw is there once. A change that stays open is
/// asked for again, and is there once.
#[tokio::test]
async fn f16_what_stays_open_can_be_asked_again() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (proxy, behind, beside) = stores(&database, SHORT).await;
    let tenant = beside.create(new_tenant()).await.unwrap().tenant();
    let suspend = Change::Power(openclaw_tenancy::tenant::Power::Suspended);
    let expected = Some(tenant.revision);
    proxy.set(Mode::LoseReplyTo(COMMIT_OR_QUESTION));
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

    let claim = beside
        .claim_tenants(claim_request(1))
        .await
        .unwrap()
        .remove(0);
    let mut seen = settlement(claim.item.observed.clone());
    seen.observed.queued = Some("no room".to_owned());
    let settle = || behind.settle(claim.item.id, claim.fence, seen.clone(), NOW);
    proxy.set(Mode::LoseReplyTo(COMMIT_OR_QUESTION));
    let answer = settle().await;
    assert!(is_unavailable(&answer), "{answer:?}");
    proxy.set(Mode::Pass);
    let again = settle().await;
    assert!(matches!(again, Err(StoreError::Fenced)), "{again:?}");
    let stored = beside.get(claim.item.id).await.unwrap().unwrap();
    assert_eq!(stored.observed, seen.observed);
    database.remove().await;
}

/// A one-time code whose take stays open is used up: better a new sign-in than two.
#[tokio::test]
async fn f16_a_take_that_stays_open_is_a_take() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (proxy, behind, beside) = stores(&database, SHORT).await;
    let grant = grant();
    beside.put_grant(grant.clone()).await.unwrap();
    proxy.set(Mode::LoseReplyTo(COMMIT_OR_QUESTION));
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
    let (proxy, behind, beside) = stores(&database, PATIENT).await;
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
    // The commit was on its way and had not arrived: it cannot any more, and the create is made again.
    let answer = creating.await.unwrap().expect("made at last");
    let Created::New(made) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(beside.get(new.id).await.unwrap(), Some(made));
    assert_eq!(beside.events(None, 0, 10).await.unwrap().len(), 1, "once");
    assert_eq!(database.outcomes().await, (1, 1));

    // Every connection of the pool is dead now; the next call finds out by its BEGIN.
    proxy.cut();
    behind.create(new_tenant()).await.expect("a new connection");
    proxy.cut();
    behind.list(None, 10).await.expect("a new connection");
    database.remove().await;
}

/// Cuts the connection of one commit after the other: when its answer comes, and before it is passed on.
async fn cut_commits<T>(proxy: &Proxy) -> T {
    loop {
        let lost = proxy.lost();
        proxy.set(Mode::LoseReplyTo(COMMIT));
        turn(proxy, || lost < proxy.lost()).await;
        let held = proxy.held();
        proxy.set(Mode::HoldRequest(COMMIT));
        turn(proxy, || held < proxy.held()).await;
    }
}

/// Goes on until one was met, cuts what there is, and lets the next pass for longer than one takes: whoever was cut would
/// be the next to be met otherwise, again and again.
async fn turn(proxy: &Proxy, met: impl Fn() -> bool + Send) {
    while !met() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    proxy.cut();
    proxy.set(Mode::Pass);
    tokio::time::sleep(Duration::from_millis(150)).await;
}

/// The history checker with connections that are cut now and then when a commit is answered, and when one is sent: each
/// call is answered, and took effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_histories_with_cut_commits_are_linearizable() {
    let (mut lost, mut nothing) = (0, 0);
    for seed in 1..=10 {
        let Some(database) = Database::create().await else {
            return;
        };
        let (proxy, behind, beside) = stores(&database, PATIENT).await;
        let (behind, beside) = (Arc::new(behind), Arc::new(beside));
        let ports: [Arc<dyn TenantStore>; 2] = [Arc::clone(&behind) as _, Arc::clone(&beside) as _];
        let recording = history::record(&ports, seed, 4, 16);
        let history = tokio::select! {
            history = recording => history,
            never = cut_commits(&proxy) => never,
        };
        lost += proxy.lost();
        nothing += database.outcomes().await.1;
        assert_eq!(history.lost(), 0, "each was asked about");
        if let Err(violation) = history.check() {
            panic!("{violation}");
        }
        behind.close().await;
        beside.close().await;
        database.remove().await;
    }
    println!("{lost} commits without an answer, {nothing} of which nothing came");
    assert!(lost > 0 && nothing > 0, "the proxy cut some");
}
