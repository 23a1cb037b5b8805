//! F16: the history checker over a server that is killed meanwhile.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::SeededEntropy;
use openclaw_tenancy::conformance::history::{self, History};
use openclaw_tenancy::store::TenantStore;
use openclaw_tenancy_postgres::{PoolOptions, PostgresStore};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use test_support::postgres::Server;

use crate::kill::{OPTIONS, kills};
use crate::support::database::run;
use crate::support::server::{
    COMMIT_WAITS, HOLD_COMMITS, RELEASE_COMMITS, connection, is_waiting, run_all,
};

/// A call waits for a server that comes back.
const PATIENT: PoolOptions = PoolOptions {
    deadline: Duration::from_secs(30),
    ..OPTIONS
};

/// Whatever was answered has one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_histories_with_a_killed_server_are_linearizable() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let (mut seed, mut killed) = (0, 0);
    while killed < kills() {
        seed += 1;
        assert!(
            seed < 4 * kills(),
            "{killed} kills of {seed} found what to hold"
        );
        let held = Held::of(seed);
        // A history that ended before anything of it was held says nothing: another is taken.
        let Some(history) = killed_history(&mut server, seed, held).await else {
            continue;
        };
        killed += 1;
        // What was not committed is done again by the store, and what was is answered once the server is back.
        assert_eq!(history.lost(), 0, "{held:?}: history {seed}");
        if let Err(violation) = history.check() {
            panic!("{held:?}: {violation}");
        }
    }
    println!("{killed} kills in {seed} histories, every call answered");
}

/// Where calls stand when the server is killed: a kill alone may miss every one of them on a busy machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Wherever they happen to be.
    Nothing,
    /// Before they take effect: they wait for a table that is locked.
    Undone,
    /// Committed, and not answered: they wait for a standby that does not exist.
    Committed,
}

impl Held {
    const fn of(seed: u32) -> Self {
        match seed % 3 {
            0 => Self::Nothing,
            1 => Self::Undone,
            _ => Self::Committed,
        }
    }

    /// What holds them, and how PostgreSQL calls their waiting.
    const fn hold(self) -> Option<(&'static [&'static str], &'static str)> {
        match self {
            Self::Nothing => None,
            Self::Undone => Some((&["BEGIN", "LOCK TABLE tenants"], "relation")),
            Self::Committed => Some((HOLD_COMMITS, COMMIT_WAITS)),
        }
    }
}

/// A history in a database of its own, so that what one leaves is not in the next one's way, with a kill
/// somewhere in it; `None` if it ended before a call of it was held.
async fn killed_history(server: &mut Server, seed: u32, held: Held) -> Option<History> {
    let name = format!("history_{seed}");
    let mut admin = connection(server).await;
    run(&mut admin, format!("CREATE DATABASE {name}")).await;
    drop(admin);
    let url = server.url(server.address());
    let url = url.replace("/postgres?", &format!("/{name}?"));
    let stores = [
        Arc::new(PostgresStore::connect(&url, PATIENT).await.unwrap()),
        Arc::new(PostgresStore::connect(&url, PATIENT).await.unwrap()),
    ];
    stores[0].migrate().await.unwrap();
    let ports = stores.clone().map(|store| store as Arc<dyn TenantStore>);
    let holder = url.parse::<PgConnectOptions>().unwrap();
    let mut holder = holder.connect().await.unwrap();

    let recording = tokio::spawn(async move { history::record(&ports, seed.into(), 4, 16).await });
    let until = SeededEntropy::new(seed.into()).next_u64() % 12;
    while stores[0].change_seq().await.is_ok_and(|n| n < until) && !recording.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut holds = true;
    if let Some((statements, waiting)) = held.hold() {
        run_all(&mut holder, statements).await;
        holds = is_waiting(&mut holder, waiting, || recording.is_finished()).await;
    }
    server.kill();
    drop(holder);
    server.run();
    if held == Held::Committed {
        run_all(&mut connection(server).await, RELEASE_COMMITS).await;
    }
    let history = recording.await.unwrap();
    for store in stores {
        store.close().await;
    }
    holds.then_some(history)
}
