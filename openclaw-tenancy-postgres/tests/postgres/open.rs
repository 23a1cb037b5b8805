//! Opening the database, and what is said when that fails.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_tenancy::error::chain;
use openclaw_tenancy::id::{HostId, WorkerId};
use openclaw_tenancy::store::{ClaimRequest, StoreError, TenantStore};
use openclaw_tenancy_postgres::{OpenError, PoolOptions, PostgresStore};
use sqlx::Executor as _;

use crate::given::new_tenant;
use crate::older::{ANOTHERS, TO_THE_RELEASE_BEFORE, versions};
use crate::support::database::{Database, run};
use crate::without_tables::says_what_to_call;

/// Seed: `SELECT COUNT(*) FROM tenants;` answers how many tenants there are.
#[tokio::test]
async fn the_table_of_tenants_counts_them() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store(PoolOptions::default()).await;
    store.create(new_tenant()).await.unwrap();
    let mut connection = database.connection().await;
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tenants;")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(count, 1);
    database.remove().await;
}

/// Any number of replicas start at once, on an empty database and on one that is up to date.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_migrate_at_once_agree() {
    let Some(database) = Database::create_empty().await else {
        return;
    };
    for _ in 0..2 {
        let replicas: Vec<_> = (0..4)
            .map(|_| {
                let url = database.url().to_owned();
                tokio::spawn(async move {
                    let store = PostgresStore::connect(&url, PoolOptions::default()).await?;
                    store.migrate().await?;
                    Ok::<_, OpenError>(store)
                })
            })
            .collect();
        for replica in replicas {
            let store = replica.await.unwrap().unwrap();
            store.ping().await.unwrap();
            store.close().await;
        }
    }
    database.remove().await;
}

#[tokio::test]
async fn a_store_without_its_tables_says_what_to_call() {
    let Some(database) = Database::create_empty().await else {
        return;
    };
    let store = database.store(PoolOptions::default()).await;
    says_what_to_call(&store).await;
    store.migrate().await.unwrap();
    store.create(new_tenant()).await.unwrap();
    store.close().await;
    database.remove().await;
}

/// The original's table stops the start, with what to do about it, and is left as it is.
#[tokio::test]
async fn a_foreign_table_of_tenants_stops_the_start_with_instructions() {
    let Some(database) = Database::create_empty().await else {
        return;
    };
    let mut connection = database.connection().await;
    connection
        .execute("CREATE TABLE tenants (id SERIAL PRIMARY KEY); INSERT INTO tenants DEFAULT VALUES")
        .await
        .unwrap();
    let store = database.store(PoolOptions::default()).await;
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, OpenError::ForeignTables), "{error:?}");
    assert!(
        error.to_string().contains("ALTER TABLE tenants RENAME"),
        "{error}"
    );
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(tables, ["tenants"], "nothing was made");
    database.remove().await;
}

/// F34: a release before goes on with the tables of the one after.
#[tokio::test]
async fn f34_tables_of_a_newer_release_are_accepted() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store(PoolOptions::default()).await;
    store.create(new_tenant()).await.unwrap();
    let mut connection = database.connection().await;
    let newer = "INSERT INTO openclaw_tenancy_migrations \
                 (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', TRUE, '', 0); \
                 ALTER TABLE tenants ADD COLUMN later TEXT; ALTER TABLE hosts ADD COLUMN later TEXT";
    run(&mut connection, newer.to_owned()).await;
    // Also on the statements that were prepared before.
    store.create(new_tenant()).await.unwrap();
    let page = store.list(None, 10).await.unwrap();
    assert_eq!(page.tenants.len(), 2);
    let restarted = database.store(PoolOptions::default()).await;
    restarted
        .migrate()
        .await
        .expect("the newer tables are accepted");
    database.remove().await;
}

/// F34: tables of the release before are brought up to date with what is in them; tables that somebody changed are not
/// touched.
#[tokio::test]
async fn f34_tables_of_an_older_release_are_brought_up_to_date() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store(PoolOptions::default()).await;
    let tenant = store.create(new_tenant()).await.unwrap().tenant();
    let mut connection = database.connection().await;
    // The third is PostgreSQL's alone.
    let third = "DELETE FROM openclaw_tenancy_migrations WHERE version = 3; DROP TABLE outcomes";
    run(&mut connection, third.to_owned()).await;
    run(&mut connection, TO_THE_RELEASE_BEFORE.to_owned()).await;

    let store = database.store(PoolOptions::default()).await;
    let pending = store.pending_migrations().await.unwrap();
    assert_eq!(versions(&pending), [2, 3]);
    store.migrate().await.unwrap();
    assert_eq!(versions(&store.pending_migrations().await.unwrap()), [0; 0]);
    assert_eq!(store.get(tenant.id).await.unwrap(), Some(tenant));
    let host = HostId::new("h1").unwrap();
    store.put_host(host.clone(), BTreeMap::new()).await.unwrap();
    store.remove_host(host).await.unwrap();

    run(&mut connection, ANOTHERS.to_owned()).await;
    let store = database.store(PoolOptions::default()).await;
    store.migrate().await.unwrap_err();
    database.remove().await;
}

/// A28: no error and no debug text holds the password, however the opening fails.
#[tokio::test]
async fn a28_no_error_holds_the_password() {
    const SECRET: &str = "canary-pa55word";
    let nowhere = [
        format!("postgres://me:{SECRET}@127.0.0.1:1/db"),
        format!("postgres://me:{SECRET}@127.0.0.1:notaport/db"),
        format!("postgres://me:{SECRET}@127.0.0.1/db?sslmode=nonsense"),
        format!("mysql://me:{SECRET}@127.0.0.1/db"),
        format!("postgres//me:{SECRET}@127.0.0.1/db"),
    ];
    let quick = PoolOptions {
        deadline: Duration::from_millis(300),
        ..PoolOptions::default()
    };
    for url in nowhere {
        let error = PostgresStore::connect(&url, quick).await.unwrap_err();
        let text = format!("{} {error:?}", chain(&error));
        assert!(!text.contains(SECRET), "{text}");
    }
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store(PoolOptions::default()).await;
    let text = format!("{store:?}");
    assert!(text.starts_with("PostgresStore"), "{text}");
    assert!(!text.contains("postgres@"), "{text}");
    store.close().await;
    database.remove().await;
}

/// What an operator can do about it stands in the error itself.
#[tokio::test]
async fn a_database_that_is_not_there_is_named_as_the_cause() {
    let Some(database) = Database::create().await else {
        return;
    };
    let url = database
        .url_over(database.address())
        .replace("?", "_absent?");
    let error = PostgresStore::connect(&url, PoolOptions::default()).await;
    let text = error.unwrap_err().to_string();
    assert_eq!(
        text,
        "cannot open the database: there is no such database; create it first"
    );
    database.remove().await;
}

/// One row that cannot be read keeps nobody from the others; whoever asks for it is told.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_passed_over_where_there_are_others() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store(PoolOptions::default()).await;
    let damaged = store.create(new_tenant()).await.unwrap().tenant();
    let sound = store.create(new_tenant()).await.unwrap().tenant();
    let host = HostId::new("h1").unwrap();
    store.put_host(host.clone(), BTreeMap::new()).await.unwrap();
    let other = HostId::new("h2").unwrap();
    store
        .put_host(other.clone(), BTreeMap::new())
        .await
        .unwrap();
    let mut connection = database.connection().await;
    let damage = format!(
        "UPDATE tenants SET observed = '{{}}' WHERE id = '{}'; \
         UPDATE hosts SET state = '{{}}' WHERE id = 'h1'",
        damaged.id
    );
    run(&mut connection, damage).await;

    let Err(StoreError::Corrupt { source, .. }) = store.get(damaged.id).await else {
        panic!("whoever asks is told");
    };
    let text = chain(&*source.unwrap());
    assert!(text.contains(&damaged.id.to_string()), "{text}");

    let request = |limit| ClaimRequest {
        worker: WorkerId::new("w1").unwrap(),
        limit,
        lease: Duration::from_secs(600),
    };
    // The damaged one is due first, and is in the way once.
    let mut claimed = Vec::new();
    let mut looked_at = Vec::new();
    for _ in 0..2 {
        let claims = store.claim_tenants(request(1)).await.unwrap();
        claimed.extend(claims.into_iter().map(|claim| claim.item.id));
        let claims = store.claim_hosts(request(1)).await.unwrap();
        looked_at.extend(claims.into_iter().map(|claim| claim.item.id));
    }
    assert_eq!((claimed, looked_at), (vec![sound.id], vec![other.clone()]));
    let hosts = store.hosts().await.unwrap();
    assert_eq!(
        hosts.iter().map(|host| &host.id).collect::<Vec<_>>(),
        [&other]
    );
    let page = store.list(None, 10).await.unwrap();
    assert_eq!(page.tenants.len(), 1);
    let changes = store.changed_since(0, 10).await.unwrap();
    assert_eq!((changes.tenants.len(), changes.next), (1, 2));
    store.close().await;
    database.remove().await;
}
