//! Opening the file, and what is said when that fails.

use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::store::TenantStore;
use openclaw_tenancy_postgres::{OpenError, SqliteStore};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use crate::given::{new_tenant, open};

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
