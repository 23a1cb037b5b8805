//! What a database's errors mean.

use std::borrow::Cow;

use openclaw_tenancy::error::{Retry, Source};
use openclaw_tenancy::store::StoreError;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address is not one.
    #[error("the store's address is not valid: {rule}")]
    Address {
        /// What a valid one looks like. The address itself is not repeated: it may hold a password.
        rule: &'static str,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// The database does not answer, or does not let us in.
    #[error("cannot open the database{hint}")]
    Unavailable {
        /// What to do about it, beginning with `: `, where that is known.
        hint: &'static str,
        /// The cause.
        #[source]
        source: Source,
    },
    /// The server is older than any that this software is tested with.
    #[error(
        "PostgreSQL {found} is too old; openclaw-tenancy needs {needed} or later: upgrade the server, or name a \
         newer one"
    )]
    TooOld {
        /// The server's version, such as `13.16`.
        found: String,
        /// The oldest major version that is accepted.
        needed: u32,
    },
    /// The database has a table `tenants` that this software did not make.
    #[error(
        "the database holds a table `tenants` that openclaw-tenancy did not make, probably the original \
         tenant manager's; nothing was changed. Give openclaw-tenancy an empty database of its own \
         (such as `CREATE DATABASE openclaw_tenancy`), or rename the old table first \
         (`ALTER TABLE tenants RENAME TO tenants_before`)"
    )]
    ForeignTables,
    /// A migration failed; the database is as it was before it.
    #[error("cannot bring the database's tables up to date; they are as they were{hint}")]
    Migration {
        /// What to do about it, beginning with `: `, where that is known.
        hint: &'static str,
        /// The cause.
        #[source]
        source: Source,
    },
}

impl OpenError {
    /// Whether trying again can help: it does where the database does not answer or is only starting, and it does
    /// not where it answered and will not have us.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { source, .. } | Self::Migration { source, .. } => {
                let passes = chain_of(source.as_ref()).any(|cause| {
                    cause
                        .downcast_ref::<sqlx::Error>()
                        .is_some_and(passes_by_itself)
                });
                if passes { Retry::Backoff } else { Retry::Never }
            }
            Self::Address { .. } | Self::TooOld { .. } | Self::ForeignTables => Retry::Never,
        }
    }

    pub(crate) fn migration(error: sqlx::migrate::MigrateError) -> Self {
        let cause = chain_of(&error).find_map(|cause| code(cause.downcast_ref::<sqlx::Error>()?));
        let hint = cause
            .and_then(|code| sqlite_cause(&code))
            .unwrap_or_default();
        Self::Migration {
            hint,
            source: error.into(),
        }
    }

    /// The file at the path of a store cannot be made or opened.
    #[cfg(feature = "sqlite")]
    pub(crate) fn file(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let hint = match error.kind() {
            ErrorKind::NotFound => {
                ": the database file cannot be made; check that its directory exists"
            }
            ErrorKind::PermissionDenied => {
                ": this user may not write the database file; give the file and its directory to the user that \
                 the server runs as"
            }
            ErrorKind::ReadOnlyFilesystem => {
                ": the directory of the database file is mounted read-only; mount it writable, or keep the \
                 database elsewhere"
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FULL,
            _ => {
                ": the database file cannot be made; check that its directory exists and may be written"
            }
        };
        Self::Unavailable {
            hint,
            source: error.into(),
        }
    }

    pub(crate) fn unavailable(error: sqlx::Error) -> Self {
        let hint = match code(&error).as_deref() {
            Some("28P01" | "28000") => ": the user or the password is wrong",
            Some("3D000") => ": there is no such database; create it first",
            Some("42501") => {
                ": the user may not do that; it needs CREATE on its database and schema"
            }
            Some(code) => sqlite_cause(code).unwrap_or_default(),
            None => "",
        };
        Self::Unavailable {
            hint,
            source: error.into(),
        }
    }
}

/// `error` and what caused it.
fn chain_of<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// Whether a database that failed so may be right by itself soon.
fn passes_by_itself(error: &sqlx::Error) -> bool {
    match error {
        // Refused, reset, or the name is not known yet; the pool hides which.
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) => true,
        error => code(error).is_some_and(|code| {
            // PostgreSQL: shutting down, crashed, starting up, too many connections; class 08. SQLite: locked.
            matches!(&*code, "57P01" | "57P02" | "57P03" | "53300" | "5" | "6")
                || (code.len() == 5 && code.starts_with("08"))
        }),
    }
}

/// Why one attempt at a transaction did not end in an answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The rules refuse it: that is the answer.
    Refused(StoreError),
    /// The database failed.
    Database(sqlx::Error),
    /// A row that stood in the way has gone: a new attempt will see that.
    Overtaken,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}

/// Whether a table is missing: nobody has made them.
fn lacks_tables(error: &sqlx::Error) -> bool {
    // PostgreSQL's undefined_table, and undefined_function for our clock; SQLite has no code of its own for it.
    error.as_database_error().is_some_and(|error| {
        matches!(error.code().as_deref(), Some("42P01" | "42883"))
            || error.message().starts_with("no such table: ")
    })
}

/// What a caller is told when the database failed while `what` was tried.
pub(crate) fn failed(what: &'static str, error: sqlx::Error) -> StoreError {
    if let sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) = error {
        return StoreError::Corrupt {
            what: "row",
            source: Some(error.into()),
        };
    }
    let what = if lacks_tables(&error) {
        "its tables are not there: run `migrate()` of the store first"
    } else {
        code(&error)
            .and_then(|code| sqlite_cause(&code))
            .and_then(|cause| cause.strip_prefix(": "))
            .unwrap_or(what)
    };
    StoreError::Unavailable {
        what,
        source: Some(error.into()),
    }
}

/// The deadline passed, or the attempts are used up, while `what` was tried; the last failed with `last`.
pub(crate) fn too_late(what: &'static str, last: Option<sqlx::Error>) -> StoreError {
    StoreError::Unavailable {
        what,
        source: last.map(Into::into),
    }
}

const FULL: &str =
    ": the disk of the database file is full; free space on it, and this goes on by itself";

const SHMSIZE: u32 = 10 | (19 << 8);

/// SQLite's primary result codes that an operator can do something about, as its manual numbers them.
///
/// PostgreSQL's codes have five characters, so the two never meet.
fn sqlite_cause(code: &str) -> Option<&'static str> {
    let code = code.parse::<u32>().ok().filter(|_| code.len() < 5)?;
    match code & 0xff {
        5 | 6 => Some(": the database file is locked by another process"),
        8 => Some(
            ": the database file cannot be written; check that its file system is not mounted read-only, and the \
             owner and permissions of the file and its directory",
        ),
        // Its index beside it cannot grow (SQLITE_IOERR_SHMSIZE).
        10 if code == SHMSIZE => Some(FULL),
        10 => Some(": the disk of the database file fails"),
        11 | 26 => Some(": the database file is damaged, or is not one"),
        13 => Some(FULL),
        14 => Some(": the database file cannot be opened; check that its directory exists"),
        _ => None,
    }
}

#[cfg(feature = "postgres")]
pub(crate) mod postgres {
    //! What PostgreSQL's codes mean for a transaction.

    use super::code;

    /// Serialization failure or deadlock: the whole transaction is to be tried again (F17).
    pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
        matches!(code(error).as_deref(), Some("40001" | "40P01"))
    }

    /// The server answered that it will not, so what was asked did not happen.
    pub(crate) fn is_refused(error: &sqlx::Error) -> bool {
        error.as_database_error().is_some() && !is_lost(error)
    }

    /// The connection is gone, so whatever was not committed never happened.
    pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
            error => code(error).is_some_and(|code| {
                // Shutting down, crashed, starting up, idle for too long in a transaction; class 08.
                matches!(&*code, "57P01" | "57P02" | "57P03" | "25P03") || code.starts_with("08")
            }),
        }
    }
}
