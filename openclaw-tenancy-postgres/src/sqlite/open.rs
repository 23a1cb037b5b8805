//! Opening the file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::{Clock, SystemClock};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::run::DEADLINE;
use crate::error::OpenError;
use crate::migrate::{MADE, PendingMigration, TABLE, are_made, migrator, pending};

/// Each with its number and name; forward only.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "tenancy",
        include_str!("../../migrations/sqlite/0001_tenancy.sql"),
    ),
    (
        2,
        "forgotten hosts",
        include_str!("../../migrations/sqlite/0002_forgotten_hosts.sql"),
    ),
];

/// How many connections read at once.
const READERS: u32 = 4;

/// How long SQLite itself waits for a lock of another process: less than a call may take, so that the caller
/// learns that it was a lock. It counts its naps and not the time, so on a busy machine it is longer.
const BUSY: Duration = Duration::from_secs(3);

impl SqliteStore {
    /// Opens the file at `path`, and makes it, readable for its owner alone, if there is none.
    ///
    /// Makes no table: see [`migrate`](Self::migrate).
    ///
    /// # Errors
    /// [`OpenError::Unavailable`].
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self, OpenError> {
        Self::open_with(path, Arc::new(SystemClock)).await
    }

    /// As [`open`](Self::open), with leases by `clock`.
    ///
    /// # Errors
    /// [`OpenError::Unavailable`].
    pub async fn open_with(
        path: impl AsRef<Path> + Send,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        make_private(path).map_err(OpenError::file)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .disable_statement_logging();
        Ok(Self {
            writer: pool(options.clone(), 1).await?,
            readers: pool(options, READERS).await?,
            clock,
        })
    }

    /// Makes the tables, or brings them up to date.
    ///
    /// # Errors
    /// [`OpenError::ForeignTables`], [`OpenError::Migration`], [`OpenError::Unavailable`].
    pub async fn migrate(&self) -> Result<(), OpenError> {
        let mut writer = self
            .writer
            .acquire()
            .await
            .map_err(OpenError::unavailable)?;
        made(&mut writer).await?;
        migrator(MIGRATIONS)
            .run_direct(None, &mut *writer, false)
            .await
            .map_err(OpenError::migration)
    }

    /// What [`migrate`](Self::migrate) would make now. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError::ForeignTables`], [`OpenError::Unavailable`].
    pub async fn pending_migrations(&self) -> Result<Vec<PendingMigration>, OpenError> {
        let mut reader = self
            .readers
            .acquire()
            .await
            .map_err(OpenError::unavailable)?;
        let made = made(&mut reader).await?;
        Ok(pending(MIGRATIONS, &made))
    }

    /// Closes the file, once the calls under way have ended.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The versions of the migrations that were made; an error where the tables are somebody else's.
async fn made(connection: &mut SqliteConnection) -> Result<Vec<i64>, OpenError> {
    let (tenants, table) = sqlx::query_as::<_, (bool, bool)>(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'tenants'), \
                EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1)",
    )
    .bind(TABLE)
    .fetch_one(&mut *connection)
    .await
    .map_err(OpenError::unavailable)?;
    if !are_made(tenants, table)? {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(MADE)
        .fetch_all(connection)
        .await
        .map_err(OpenError::unavailable)
}

async fn pool(options: SqliteConnectOptions, connections: u32) -> Result<SqlitePool, OpenError> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(DEADLINE)
        // A connection within the process does not go away by itself.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(OpenError::unavailable)
}

/// The file holds password hashes and the deployment's keys. SQLite gives its other files the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
