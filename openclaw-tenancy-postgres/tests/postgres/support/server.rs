//! A private PostgreSQL server that a test may kill.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use test_support::postgres::Server;

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
