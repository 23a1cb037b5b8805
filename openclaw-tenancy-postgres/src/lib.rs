//! PostgreSQL and SQLite stores for openclaw-tenancy.
//!
//! Each is a [`TenantStore`](openclaw_tenancy::store::TenantStore) and an
//! [`AccessStore`](openclaw_tenancy::access::AccessStore) on one database:
//!
//! - `PostgresStore` (feature `postgres`): PostgreSQL 14 or newer, for any number of replicas.
//! - `SqliteStore` (feature `sqlite`): one file, one process, no high availability.
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # async fn example() -> Result<(), openclaw_tenancy_postgres::OpenError> {
//! use openclaw_tenancy_postgres::{PoolOptions, PostgresStore};
//!
//! let url = "postgres://openclaw@db.example/openclaw";
//! let store = PostgresStore::connect(url, PoolOptions::default()).await?;
//! store.migrate().await?;
//! # Ok(())
//! # }
//! ```
//!
//! What a method does to a row is decided by [`openclaw_tenancy::store::rules`], the same for every store;
//! here are the queries, in two plain dialects with the same file names, and what keeps a transaction whole:
//!
//! - A transaction that the database gives up for a conflict (40001, 40P01) is tried again as a whole, a
//!   bounded number of times; so is one whose connection broke before its commit was sent.
//! - Where the answer to a commit is lost, the database is asked what became of it, by an id that every write leaves with
//!   what it wrote: the call answers as if nothing had happened, or is made again, and a commit that comes after the
//!   question is refused. Only where nobody can be asked within the deadline is the outcome open, and the call answers
//!   [`StoreError::Unavailable`](openclaw_tenancy::store::StoreError::Unavailable). Every call can then be
//!   made again: a create is found by its idempotency key, a settle is fenced. (A commit of SQLite's is a call within the
//!   process: its answer is not lost.)
//! - Every call ends within the deadline of the pool's options.
//! - The state of a lease is decided by the database's clock (SQLite: the process's, through the injected
//!   [`Clock`](openclaw_tenancy::clock::Clock)).

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod error;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod lease;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod migrate;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod ops;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rows;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod store;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use error::OpenError;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use migrate::PendingMigration;
#[cfg(feature = "postgres")]
pub use postgres::{PoolOptions, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
