//! The tables: embedded, forward only.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use crate::error::OpenError;

/// Where it is written which migrations were made: a name of ours, so that ours can be told from others'.
pub(crate) const TABLE: &str = "openclaw_tenancy_migrations";

/// The versions that are written there.
pub(crate) const MADE: &str = "SELECT version FROM openclaw_tenancy_migrations WHERE success";

/// Whether our tables are there, by whether `tenants` and [`TABLE`] are.
///
/// # Errors
/// [`OpenError::ForeignTables`] when `tenants` is somebody else's.
pub(crate) const fn are_made(tenants: bool, table: bool) -> Result<bool, OpenError> {
    match (tenants, table) {
        (true, false) => Err(OpenError::ForeignTables),
        (_, table) => Ok(table),
    }
}

/// A change of the tables that the database does not have yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingMigration {
    /// Its number; they are made in this order.
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
}

/// Those of `migrations` that are not among the versions `made`.
pub(crate) fn pending(
    migrations: &[(i64, &'static str, &'static str)],
    made: &[i64],
) -> Vec<PendingMigration> {
    let missing = migrations
        .iter()
        .filter(|(version, ..)| !made.contains(version));
    missing
        .map(|(version, name, _)| PendingMigration {
            version: *version,
            name,
        })
        .collect()
}

/// Brings tables up to date.
///
/// A database of a newer release is accepted: a release only adds, so that the one before can go on beside it.
pub(crate) fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = migrations
        .iter()
        .map(|(version, name, sql)| {
            let no_tx = false;
            Migration::new(
                *version,
                (*name).into(),
                MigrationType::Simple,
                AssertSqlSafe(*sql).into_sql_str(),
                no_tx,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.dangerous_set_table_name(TABLE);
    migrator.set_ignore_missing(true);
    migrator
}
