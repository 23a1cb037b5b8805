//! Opening the file, and what is said when that fails.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::error::chain;
use openclaw_tenancy::id::{HostId, WorkerId};
use openclaw_tenancy::store::{ClaimRequest, StoreError, TenantStore};
use openclaw_tenancy_postgres::{OpenError, SqliteStore};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use crate::given::{new_tenant, open};
use crate::older::{ANOTHERS, TO_THE_RELEASE_BEFORE, versions};
use crate::without_tables::says_what_to_call;

/// Everything is there after a restart; `SELECT COUNT(*) FROM tenants;` answers (seed).
#[tokio::test]
async fn a_restart_finds_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tenancy.db");
    let store = open(&path).await;
    let tenant = store.create(new_tenant()).await.unwrap().tenant();
    store.meta("key", "value".into()).await.unwrap();
    store.close().await;

    let store = open(&path).await;
    assert_eq!(store.get(tenant.id).await.unwrap(), Some(tenant));
    let value = store.meta("key", "other".into()).await.unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&value), "value");
    let mut connection = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tenants;")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(count, 1);
}

/// Tables of the release before are brought up to date with what is in them; tables that somebody changed are not
/// touched.
#[tokio::test]
async fn f34_tables_of_an_older_release_are_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tenancy.db");
    let store = open(&path).await;
    let tenant = store.create(new_tenant()).await.unwrap().tenant();
    store.close().await;
    let mut connection = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    connection.execute(TO_THE_RELEASE_BEFORE).await.unwrap();

    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(versions(&store.pending_migrations().await.unwrap()), [2]);
    store.migrate().await.unwrap();
    assert_eq!(versions(&store.pending_migrations().await.unwrap()), [0; 0]);
    assert_eq!(store.get(tenant.id).await.unwrap(), Some(tenant));
    let host = HostId::new("h1").unwrap();
    store.put_host(host.clone(), BTreeMap::new()).await.unwrap();
    store.remove_host(host).await.unwrap();
    store.close().await;

    connection.execute(ANOTHERS).await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    store.migrate().await.unwrap_err();
}

#[tokio::test]
async fn a_store_without_its_tables_says_what_to_call() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tenancy.db");
    let store = SqliteStore::open(&path).await.unwrap();
    says_what_to_call(&store).await;
    store.migrate().await.unwrap();
    store.create(new_tenant()).await.unwrap();
}

/// The file holds password hashes and keys: nobody else reads it, nor what SQLite puts beside it.
#[cfg(unix)]
#[tokio::test]
async fn a28_the_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("tenancy.db")).await;
    store.create(new_tenant()).await.unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
        names.push(entry.file_name());
    }
    names.sort();
    assert_eq!(names, ["tenancy.db", "tenancy.db-shm", "tenancy.db-wal"]);
}

#[tokio::test]
async fn a_foreign_table_of_tenants_stops_the_start_with_instructions() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tenancy.db");
    std::fs::write(&path, "").unwrap();
    let mut connection = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    connection
        .execute("CREATE TABLE tenants (id INTEGER)")
        .await
        .unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, OpenError::ForeignTables), "{error:?}");
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_master")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(tables, ["tenants"], "nothing was made");
}

#[tokio::test]
async fn a_file_that_cannot_be_a_database_is_named_as_the_cause() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent").join("tenancy.db");
    let error = SqliteStore::open(&absent).await.unwrap_err().to_string();
    assert!(error.contains("check that its directory exists"), "{error}");

    let other = directory.path().join("other.db");
    std::fs::write(
        &other,
        "this is no database, but it is longer than a header\n".repeat(100),
    )
    .unwrap();
    let opened = SqliteStore::open(&other).await;
    let error = match opened {
        Ok(store) => store.migrate().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(
        error.to_string().contains("damaged, or is not one"),
        "{error}"
    );
}

/// One row that cannot be read keeps nobody from the others; whoever asks for it is told.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_passed_over_where_there_are_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tenancy.db");
    let store = open(&path).await;
    let damaged = store.create(new_tenant()).await.unwrap().tenant();
    let sound = store.create(new_tenant()).await.unwrap().tenant();
    let host = HostId::new("h1").unwrap();
    store.put_host(host.clone(), BTreeMap::new()).await.unwrap();
    let other = HostId::new("h2").unwrap();
    store
        .put_host(other.clone(), BTreeMap::new())
        .await
        .unwrap();
    let mut connection = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    for damage in [
        format!(
            "UPDATE tenants SET observed = '{{}}' WHERE id = '{}'",
            damaged.id
        ),
        "UPDATE hosts SET state = '{}' WHERE id = 'h1'".to_owned(),
    ] {
        connection
            .execute(sqlx::AssertSqlSafe(damage))
            .await
            .unwrap();
    }

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
}
