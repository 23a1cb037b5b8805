//! The database and the server's own keys.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::{Clock, SystemClock, SystemEntropy};
use openclaw_tenancy::error::chain;
use tokio::time::timeout;

use super::Check;
use crate::server::config::Loaded;
use crate::server::keys;
use crate::server::store::{Database, sqlite_file};

/// The longest the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

const SUBJECT: &str = "database";

pub(super) async fn examine(loaded: &Loaded) -> Vec<Check> {
    let url = loaded.config.store_url(&loaded.data_dir);
    let name = match sqlite_file(&url) {
        Some(file) if !file.exists() => {
            let found = format!("SQLite, {} will be made by the first start", file.display());
            return vec![Check::ok(SUBJECT, found)];
        }
        Some(file) => format!("SQLite, {}", file.display()),
        None => "PostgreSQL".to_owned(),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connected = Database::connect(&url, &loaded.config.store, &clock);
    let database = match timeout(PATIENCE, connected).await {
        Ok(Ok(database)) => database,
        Ok(Err(error)) => {
            return vec![Check::fail(
                SUBJECT,
                format!("{name}: {error:#}"),
                "correct store.url",
            )];
        }
        Err(_) => {
            let fix = "see that it runs and that nothing between drops the connection";
            return vec![Check::fail(SUBJECT, format!("{name} does not answer"), fix)];
        }
    };
    let checks = look(&database, &name, loaded).await;
    database.close().await;
    checks
}

async fn look(database: &Database, name: &str, loaded: &Loaded) -> Vec<Check> {
    let (tenants, access) = (database.tenants(), database.access());
    if let Err(error) = tenants.ping().await {
        return vec![Check::fail(
            SUBJECT,
            format!("{name}: {}", chain(&error)),
            "see that it runs",
        )];
    }
    let hosts = match tenants.hosts().await {
        Ok(hosts) => hosts,
        // It answers, and knows none of our tables.
        Err(_) => {
            let found = format!("{name} answers; the first start makes its tables");
            return vec![Check::ok(SUBJECT, found)];
        }
    };
    let found = format!("{name} answers; {} hosts are known", hosts.len());
    let mut checks = vec![Check::ok(SUBJECT, found)];
    match access.has_admin().await {
        // A start that got as far as an administrator has made the keys: reading them makes none.
        Ok(true) => {
            let key_file = loaded.config.store.key_file.as_deref();
            checks.push(match keys::load(&*access, &SystemEntropy, key_file).await {
                Ok(keys) => match keys.warnings.first() {
                    None => Check::ok("keys", format!("deployment {}", keys.deployment)),
                    Some(warning) => Check::warn("keys", warning, ""),
                },
                Err(error) => Check::fail("keys", chain(&error), "see store.key_file"),
            });
        }
        Ok(false) => checks.push(Check::warn(
            "administrator",
            "nobody administers the deployment yet",
            "start the server: it prints a password, or a link to claim it",
        )),
        Err(error) => checks.push(Check::fail(
            "keys",
            chain(&error),
            "see that the database runs",
        )),
    }
    checks
}
