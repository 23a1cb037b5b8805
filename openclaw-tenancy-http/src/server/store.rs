//! The database that the configuration names.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::Clock;
use openclaw_tenancy::store::TenantStore;
use openclaw_tenancy_postgres::{
    OpenError, PendingMigration, PoolOptions, PostgresStore, SqliteStore,
};
use secrecy::ExposeSecret as _;

use super::config::{Secret, StoreSection};
use super::seat::Seat;

/// What a server that was killed has asked of an engine has mostly landed by then. What lands later is ours by its
/// labels and gives way; waiting for all of it would be a lease.
const STILL_LANDING: Duration = Duration::from_secs(3);

/// A database.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// A file: one server process.
    Sqlite(Arc<SqliteStore>, PathBuf),
    /// PostgreSQL: any number of server processes.
    Postgres(Arc<PostgresStore>),
}

impl Database {
    /// Connects to the database at `url`, and leaves its tables as they are. A file that is not there is made.
    ///
    /// # Errors
    /// When it cannot be used, with the setting.
    pub(crate) async fn connect(
        url: &Secret,
        section: &StoreSection,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let outcome = match sqlite_file(url) {
            Some(path) => SqliteStore::open_with(&path, Arc::clone(clock))
                .await
                .map(|store| Self::Sqlite(Arc::new(store), path)),
            None => {
                let options = PoolOptions {
                    min_connections: section.pool_min,
                    max_connections: section.pool_max,
                    ..PoolOptions::default()
                };
                PostgresStore::connect(url.inner().expose_secret(), options)
                    .await
                    .map(|store| Self::Postgres(Arc::new(store)))
            }
        };
        outcome.with_context(|| unusable(url, section))
    }

    /// Makes the tables, or brings them up to date.
    ///
    /// # Errors
    /// As the store's own `migrate`.
    pub(crate) async fn migrate(&self) -> Result<(), OpenError> {
        match self {
            Self::Sqlite(store, _) => store.migrate().await,
            Self::Postgres(store) => store.migrate().await,
        }
    }

    /// What [`migrate`](Self::migrate) would make now. Changes nothing.
    ///
    /// # Errors
    /// As the store's own `pending_migrations`.
    pub(crate) async fn pending_migrations(&self) -> Result<Vec<PendingMigration>, OpenError> {
        match self {
            Self::Sqlite(store, _) => store.pending_migrations().await,
            Self::Postgres(store) => store.pending_migrations().await,
        }
    }

    /// Tenants and hosts.
    #[must_use]
    pub(crate) fn tenants(&self) -> Arc<dyn TenantStore> {
        match self {
            Self::Sqlite(store, _) => Arc::clone(store) as _,
            Self::Postgres(store) => Arc::clone(store) as _,
        }
    }

    /// Accounts, grants and keys.
    #[must_use]
    pub(crate) fn access(&self) -> Arc<dyn AccessStore> {
        match self {
            Self::Sqlite(store, _) => Arc::clone(store) as _,
            Self::Postgres(store) => Arc::clone(store) as _,
        }
    }

    /// Keeps a second server from the same file, for as long as the answer lives: SQLite has one writer, and
    /// two servers would wait for each other. PostgreSQL needs no such thing.
    ///
    /// # Errors
    /// When another server has the file.
    pub(crate) fn exclusive(&self) -> anyhow::Result<Option<File>> {
        let Self::Sqlite(_, path) = self else {
            return Ok(None);
        };
        let lock = path.with_extension("lock");
        let file =
            File::create(&lock).with_context(|| format!("{} cannot be written", lock.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => bail!(
                "another server uses the database {}; end it, name another with --data, or use \
                 PostgreSQL (store.url) for several servers",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", lock.display()))
            }
        }
    }

    /// Its place in the data directory, where several servers may live; `None` also when another server that runs has
    /// it, or it cannot be had, which is logged.
    pub(crate) fn seat(&self, data_dir: &Path) -> Option<Seat> {
        match self {
            // It has a lock of its own.
            Self::Sqlite(..) => None,
            Self::Postgres(_) => {
                let dir = data_dir.display();
                match Seat::take(data_dir) {
                    Ok(seat @ Some(_)) => seat,
                    Ok(None) => {
                        tracing::warn!(
                            %dir,
                            "another server runs in this data directory; give each its own with --data, or after a crash \
                             what this one had in hand waits 30 s"
                        );
                        None
                    }
                    Err(error) => {
                        tracing::warn!(%dir, %error, "the data directory cannot hold who serves");
                        None
                    }
                }
            }
        }
    }

    /// Ends the claims of the server before this one, which is gone. Of SQLite [`exclusive`](Self::exclusive) says so,
    /// whatever the clock was that its leases were written by; of PostgreSQL the [`seat`](Self::seat). Of every other
    /// that may live its leases say it.
    ///
    /// # Errors
    /// When the database does not take it.
    pub(crate) async fn take_over(&self, seat: Option<&Seat>) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(store, path) => {
                let taken = store.take_over(STILL_LANDING).await;
                taken.with_context(|| format!("the database {} takes no writes", path.display()))
            }
            Self::Postgres(store) => {
                let Some(before) = seat.and_then(Seat::before) else {
                    return Ok(());
                };
                let taken = store.take_over(before.clone(), STILL_LANDING).await;
                taken.context("the database takes no writes")
            }
        }
    }

    /// Ends its connections, once the calls under way have ended.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store, _) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

/// Which database it is that cannot be used, by what an operator has set, or has not.
fn unusable(url: &Secret, section: &StoreSection) -> String {
    match (sqlite_file(url), &section.url) {
        (Some(path), None) => format!(
            "the database {} in the data directory cannot be used",
            path.display()
        ),
        (Some(path), Some(_)) => {
            format!("store.url: the database {} cannot be used", path.display())
        }
        (None, _) => "store.url: the database cannot be used".to_owned(),
    }
}

/// The file of a `sqlite:` URL.
#[must_use]
pub(crate) fn sqlite_file(url: &Secret) -> Option<PathBuf> {
    let path = url.inner().expose_secret().strip_prefix("sqlite:")?;
    Some(Path::new(path.strip_prefix("//").unwrap_or(path)).to_owned())
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::SystemClock;

    use super::*;

    #[test]
    fn a_sqlite_url_is_a_path() {
        for (url, path) in [
            ("sqlite:///var/lib/x.db", "/var/lib/x.db"),
            ("sqlite://x.db", "x.db"),
            ("sqlite:x.db", "x.db"),
        ] {
            assert_eq!(sqlite_file(&Secret::from(url)), Some(PathBuf::from(path)));
        }
        assert_eq!(sqlite_file(&Secret::from("postgres://h/d")), None);
    }

    #[tokio::test]
    async fn one_server_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let url = Secret::from(&*format!("sqlite://{}", dir.path().join("x.db").display()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let section = StoreSection::default();
        let first = Database::connect(&url, &section, &clock).await.unwrap();
        let second = Database::connect(&url, &section, &clock).await.unwrap();
        let held = first.exclusive().unwrap();
        assert!(
            second
                .exclusive()
                .unwrap_err()
                .to_string()
                .contains("another server")
        );
        drop(held);
        assert!(second.exclusive().is_ok());
    }
}
