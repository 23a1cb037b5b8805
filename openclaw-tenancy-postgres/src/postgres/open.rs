//! Opening the database.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

use super::PostgresStore;
use crate::error::OpenError;
use crate::migrate::{MADE, PendingMigration, TABLE, are_made, migrator, pending};

/// Each with its number and name; forward only.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "tenancy",
        include_str!("../../migrations/postgres/0001_tenancy.sql"),
    ),
    (
        2,
        "forgotten hosts",
        include_str!("../../migrations/postgres/0002_forgotten_hosts.sql"),
    ),
    (
        3,
        "outcomes",
        include_str!("../../migrations/postgres/0003_outcomes.sql"),
    ),
];

/// How long the server waits for a client that has begun a transaction and says nothing more.
///
/// A replica that is paused in the middle must not hold its rows from the others for long.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(2);

/// The oldest major version that is accepted.
const OLDEST: u32 = 14;

/// What a major version is multiplied by in a version's number.
const MAJOR: u32 = 10_000;

/// How many connections, and how long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// At most this many connections at once.
    pub max_connections: u32,
    /// At least this many are kept open.
    pub min_connections: u32,
    /// Every call ends within this: waiting for a connection, all attempts and the answer together.
    pub deadline: Duration,
}

impl Default for PoolOptions {
    /// 0 to 10 connections, 5 seconds.
    fn default() -> Self {
        Self {
            max_connections: 10,
            min_connections: 0,
            deadline: Duration::from_secs(5),
        }
    }
}

impl PostgresStore {
    /// Connects to the database at `url`, such as `postgres://user:password@host:5432/name?sslmode=verify-full`.
    ///
    /// Makes no table: see [`migrate`](Self::migrate).
    ///
    /// # Errors
    /// [`OpenError::Address`], [`OpenError::TooOld`], [`OpenError::Unavailable`].
    pub async fn connect(url: &str, options: PoolOptions) -> Result<Self, OpenError> {
        const RULE: &str = "it looks like postgres://user:password@host:5432/database";
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(OpenError::Address {
                rule: RULE,
                source: None,
            });
        }
        let connect = PgConnectOptions::from_str(url)
            .map_err(|error| OpenError::Address {
                rule: RULE,
                source: Some(error.into()),
            })?
            .application_name("openclaw-tenancy")
            .disable_statement_logging();
        let millis = |limit: Duration| limit.as_millis().to_string();
        let options_of_calls = connect.clone().options([
            ("statement_timeout", millis(options.deadline)),
            (
                "idle_in_transaction_session_timeout",
                millis(IDLE_IN_TRANSACTION),
            ),
            // Every call reads a few rows by an index: helpers would take longer to start than to read.
            ("max_parallel_workers_per_gather", "0".to_owned()),
        ]);
        // The pool would try again in silence, and then say no more than that it took too long.
        let first = tokio::time::timeout(options.deadline, connect.connect());
        let mut first = first
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(OpenError::unavailable)?;
        let found = tokio::time::timeout(options.deadline, version(&mut first));
        let found = found.await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        new_enough(found.map_err(OpenError::unavailable)?)?;
        first.close().await.map_err(OpenError::unavailable)?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .min_connections(options.min_connections)
            .acquire_timeout(options.deadline)
            // A transaction's BEGIN is the test, see run.rs.
            .test_before_acquire(false)
            .connect_with(options_of_calls)
            .await
            .map_err(OpenError::unavailable)?;
        Ok(Self {
            pool,
            connect,
            deadline: options.deadline,
        })
    }

    /// Makes the tables, or brings them up to date. Any number of replicas may do so at once.
    ///
    /// # Errors
    /// [`OpenError::ForeignTables`], [`OpenError::Migration`], [`OpenError::Unavailable`].
    pub async fn migrate(&self) -> Result<(), OpenError> {
        // On a connection of its own: a migration may take longer than a call.
        let mut connection = self
            .connect
            .connect()
            .await
            .map_err(OpenError::unavailable)?;
        made(&mut connection).await?;
        // `CREATE TABLE IF NOT EXISTS` tells at every start that there is nothing to do.
        connection
            .execute("SET client_min_messages = warning")
            .await
            .map_err(OpenError::unavailable)?;
        migrator(MIGRATIONS)
            .run_direct(None, &mut connection, false)
            .await
            .map_err(OpenError::migration)?;
        connection.close().await.map_err(OpenError::unavailable)
    }

    /// What [`migrate`](Self::migrate) would make now. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError::ForeignTables`], [`OpenError::Unavailable`].
    pub async fn pending_migrations(&self) -> Result<Vec<PendingMigration>, OpenError> {
        let mut connection = self
            .connect
            .connect()
            .await
            .map_err(OpenError::unavailable)?;
        let made = made(&mut connection).await?;
        connection.close().await.map_err(OpenError::unavailable)?;
        Ok(pending(MIGRATIONS, &made))
    }

    /// Ends all connections, once the calls under way have ended; of a database that does not answer, after the deadline
    /// of a call.
    pub async fn close(&self) {
        // The pool waits for a connection that is being opened, for as long as nobody answers.
        let _ = tokio::time::timeout(self.deadline, self.pool.close()).await;
    }
}

/// The version of a server as a number: 14.2 is 140002, and 9.6.24 was 90624.
async fn version(connection: &mut PgConnection) -> Result<u32, sqlx::Error> {
    let number: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int4")
        .fetch_one(connection)
        .await?;
    Ok(number.unsigned_abs())
}

/// An error where the server is older than what the statements and the tests are written for.
fn new_enough(found: u32) -> Result<(), OpenError> {
    if found / MAJOR >= OLDEST {
        return Ok(());
    }
    Err(OpenError::TooOld {
        // Before 10 the major version had two numbers.
        found: if found < 10 * MAJOR {
            format!("{}.{}", found / MAJOR, found / 100 % 100)
        } else {
            format!("{}.{}", found / MAJOR, found % MAJOR)
        },
        needed: OLDEST,
    })
}

/// The versions of the migrations that were made; an error where the tables are somebody else's.
async fn made(connection: &mut PgConnection) -> Result<Vec<i64>, OpenError> {
    let (tenants, table) = sqlx::query_as::<_, (bool, bool)>(
        "SELECT to_regclass('tenants') IS NOT NULL, to_regclass($1) IS NOT NULL",
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

#[cfg(test)]
mod tests {
    use openclaw_tenancy::error::Retry;

    use super::new_enough;

    #[test]
    fn a_server_older_than_14_is_refused_with_both_versions() {
        for (number, found) in [(90_624, "9.6"), (100_023, "10.23"), (130_016, "13.16")] {
            let error = new_enough(number).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "PostgreSQL {found} is too old; openclaw-tenancy needs 14 or later: upgrade the server, or name a \
                     newer one"
                )
            );
            assert_eq!(error.retry(), Retry::Never, "it does not pass by itself");
        }
        for number in [140_000, 140_022, 150_004, 200_000] {
            assert!(new_enough(number).is_ok(), "{number}");
        }
    }
}
