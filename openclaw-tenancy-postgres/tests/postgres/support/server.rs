//! A private PostgreSQL server that a test may kill.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use test_support::postgres::Server;

use super::database::run;

/// A connection to the server's first database, once it has recovered.
pub(crate) async fn connection(server: &Server) -> PgConnection {
    let url = server.url(server.address());
    let connected = async {
        loop {
            match PgConnection::connect(&url).await {
                Ok(connection) => return connection,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), connected).await;
    in_time.expect("the server recovers in time")
}

/// Holds every commit after it is done and before it is answered: for a standby that does not exist.
pub(crate) const HOLD_COMMITS: &[&str] = &[
    "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
    "SELECT pg_reload_conf()",
];

/// Undoes [`HOLD_COMMITS`].
pub(crate) const RELEASE_COMMITS: &[&str] = &[
    "ALTER SYSTEM RESET synchronous_standby_names",
    "SELECT pg_reload_conf()",
];

/// What a commit that is held waits for, in PostgreSQL's words.
pub(crate) const COMMIT_WAITS: &str = "SyncRep";

/// Runs one statement after the other.
pub(crate) async fn run_all(connection: &mut PgConnection, statements: &[&str]) {
    for statement in statements {
        run(connection, (*statement).to_owned()).await;
    }
}

/// Whether somebody in the connection's database came to wait so, before `is_over`.
pub(crate) async fn is_waiting(
    connection: &mut PgConnection,
    waiting: &str,
    is_over: impl Fn() -> bool + Send,
) -> bool {
    let query = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event = $1";
    let looking = async move {
        loop {
            let over = is_over();
            let count = sqlx::query_scalar::<_, i64>(query).bind(waiting);
            let count = count.fetch_one(&mut *connection).await;
            let count = count.expect("the server answers");
            if count > 0 || over {
                return count > 0;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), looking).await;
    in_time.expect("somebody comes to wait in time")
}
