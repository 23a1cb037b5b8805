//! The database and the server's own keys.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::{Clock, SystemClock, SystemEntropy};
use openclaw_tenancy::error::{Retry, chain};
use openclaw_tenancy::host::{Host, HostState};
use openclaw_tenancy_postgres::OpenError;
use tokio::time::timeout;

use super::{Check, instance_checks};
use crate::api::try_write;
use crate::server::assemble::deadlines;
use crate::server::config::Loaded;
use crate::server::foundation::may_pass;
use crate::server::keys;
use crate::server::store::{Database, sqlite_file};

/// The longest the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

const SUBJECT: &str = "database";

/// What to do about a database that may be right by itself.
const RUNS: &str = "see that it runs";

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
            let too_old = error
                .chain()
                .filter_map(|cause| cause.downcast_ref::<OpenError>())
                .any(|cause| matches!(cause, OpenError::TooOld { .. }));
            let fix = if may_pass(&error) {
                RUNS
            } else if too_old {
                "upgrade that PostgreSQL, or name a newer one in store.url"
            } else if loaded.config.store.url.is_none() {
                "see that this user can write the data directory, or choose another with --data"
            } else {
                "correct store.url"
            };
            return vec![Check::fail(SUBJECT, format!("{name}: {error:#}"), fix)];
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
    let pending = match database.pending_migrations().await {
        Ok(pending) => pending,
        Err(error) => {
            let fix = match error.retry() {
                Retry::Never => "give the server a database of its own",
                Retry::Backoff | Retry::After(_) => RUNS,
            };
            return vec![Check::fail(
                SUBJECT,
                format!("{name}: {}", chain(&error)),
                fix,
            )];
        }
    };
    let pending: Vec<String> = pending
        .iter()
        .map(|migration| format!("{} {}", migration.version, migration.name))
        .collect();
    let pending = pending.join(", ");
    let hosts = match tenants.hosts().await {
        Ok(hosts) => hosts,
        // It answers, and knows none of our tables.
        Err(_) if !pending.is_empty() => {
            let found =
                format!("{name} answers; the first start makes its tables (migrations {pending})");
            return vec![Check::ok(SUBJECT, found)];
        }
        Err(error) => {
            let found = format!("{name}: {}", chain(&error));
            return vec![Check::fail(SUBJECT, found, RUNS)];
        }
    };
    let mut checks = vec![writes_check(name, hosts.len(), &*access).await];
    checks.extend(hosts.iter().filter_map(quarantine_check));
    let configured = &loaded.config.hosts;
    let has_left = |host: &&Host| !configured.iter().any(|h| h.id == host.id.as_str());
    checks.extend(hosts.iter().filter(has_left).map(left_check));
    let deadlines = deadlines(&loaded.config);
    checks.extend(instance_checks::examine(&*tenants, &deadlines).await);
    checks.push(if pending.is_empty() {
        Check::ok("migrations", "the tables are up to date")
    } else {
        Check::warn(
            "migrations",
            format!("pending: {pending}"),
            "back the database up and start the server: `openclaw-tenancy serve` makes them before it serves",
        )
    });
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

/// Tried, as `/api/health` does: a full disk and a replica that only reads answer every question.
async fn writes_check(name: &str, hosts: usize, access: &dyn AccessStore) -> Check {
    match timeout(PATIENCE, try_write(access, &SystemClock, &SystemEntropy)).await {
        Ok(Ok(())) => Check::ok(
            SUBJECT,
            format!("{name} answers and takes writes; {hosts} hosts are known"),
        ),
        Ok(Err(error)) => Check::fail(
            SUBJECT,
            format!("{name} answers and takes no writes: {}", chain(&error)),
            "free space on the disk that it lies on; if it is a PostgreSQL that only reads, name the primary in \
             store.url",
        ),
        Err(_) => Check::fail(
            SUBJECT,
            format!("{name} answers, and a write has not ended after {PATIENCE:?}"),
            "see what holds a lock in it, or keeps its disk busy",
        ),
    }
}

/// A host on which nothing is touched until somebody says that it is the right one.
fn quarantine_check(host: &Host) -> Option<Check> {
    let HostState::Quarantined { reason, .. } = &host.state else {
        return None;
    };
    let id = &host.id;
    Some(Check::fail(
        format!("host {id}"),
        format!("quarantined: {reason}"),
        format!(
            "put right what it names; once you know that it is the right machine: curl -X POST .../api/hosts/{id}/release with the token of an \
             administrator (`openclaw-tenancy token`); its instances go on by themselves"
        ),
    ))
}

/// A host that has left the configuration.
fn left_check(host: &Host) -> Check {
    let id = &host.id;
    let subject = format!("host {id}");
    match host.reserved.instances {
        0 => Check::warn(
            subject,
            "is not in the configuration, and holds no instance",
            format!(
                "once no replica has it: curl -X DELETE .../api/hosts/{id} with the token of an administrator \
                 (`openclaw-tenancy token`)"
            ),
        ),
        instances => Check::fail(
            subject,
            format!("is not in the configuration, and holds instances ({instances})"),
            format!(
                "put it back: a [[hosts]] with id = \"{id}\"; if it shall go, cordon it and have its instances deleted \
                 first"
            ),
        ),
    }
}
