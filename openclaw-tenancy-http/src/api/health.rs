//! Whether this server can do its work, for whoever watches it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use openclaw_tenancy::access::{AccessStore, Grant, GrantKind, SecretHash};
use openclaw_tenancy::clock::{Clock, Entropy, Timestamp};
use openclaw_tenancy::error::chain;
use openclaw_tenancy::host::HostState;
use openclaw_tenancy::store::StoreError;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use tokio::sync::Mutex;

use super::state::ApiState;
use crate::identity::secret;

/// The store promises an answer within a second; a little more for the way.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long a tried write speaks for the next ones: anybody may ask, and not everybody may make us write.
const FRESH: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Health {
    status: Status,
    checks: Checks,
}

/// What is checked. Names of parts and counts only: the answer is public.
#[derive(Serialize)]
struct Checks {
    /// Whether the database answers a query within 1.5 s.
    database: Status,
    /// Whether it takes a write: its disk may be full, or it may be a replica that only reads.
    writes: Status,
    /// Whether every engine answers.
    hosts: Hosts,
}

#[derive(Serialize)]
struct Hosts {
    status: Status,
    /// How many answered when they were last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    answering: Option<usize>,
    /// How many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// It works, and not all of it.
    Degraded,
    /// It does not work, or did not answer in time.
    Unavailable,
}

impl Status {
    const fn of(well: bool) -> Self {
        if well { Self::Ok } else { Self::Unavailable }
    }
}

/// `GET /api/health`: 503 while the database does not answer or takes no writes, so that nobody can sign in or ask for
/// anything; 200 otherwise. `status` is `ok` only while every check is.
///
/// Engines that do not answer are named as `degraded` and stay at 200: what runs on them may well be served by the edge
/// still, and whoever watches by the code alone would restart this server, or take it away from the people on it, for
/// what is wrong elsewhere. Watch `status`, or the metric `openclaw_tenancy_hosts`, for engines.
pub(super) async fn show(State(state): State<ApiState>) -> Response {
    let store = state.tenancy().store();
    let (database, writes, hosts) = tokio::join!(
        in_time(&state, async { store.ping().await.is_ok() }),
        in_time(&state, state.writes().well(&state)),
        in_time(&state, hosts(&state)),
    );
    let checks = Checks {
        database: Status::of(database == Some(true)),
        writes: Status::of(writes == Some(true)),
        hosts: hosts.unwrap_or(Hosts::UNKNOWN),
    };
    let serves = checks.database == Status::Ok && checks.writes == Status::Ok;
    let code = if serves {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let status = if serves && checks.hosts.status == Status::Ok {
        Status::Ok
    } else {
        Status::Degraded
    };
    (code, Json(Health { status, checks })).into_response()
}

async fn in_time<T>(state: &ApiState, asked: impl Future<Output = T> + Send) -> Option<T> {
    tokio::select! {
        biased;
        answer = asked => Some(answer),
        () = state.tenancy().clock().sleep(PATIENCE) => None,
    }
}

impl Hosts {
    const UNKNOWN: Self = Self {
        status: Status::Unavailable,
        answering: None,
        known: None,
    };
}

async fn hosts(state: &ApiState) -> Hosts {
    let Ok(hosts) = state.tenancy().store().hosts().await else {
        return Hosts::UNKNOWN;
    };
    let ready = hosts.iter().filter(|host| host.state == HostState::Ready);
    let (answering, known) = (ready.count(), hosts.len());
    Hosts {
        status: if answering == known && known > 0 {
            Status::Ok
        } else {
            Status::Degraded
        },
        answering: Some(answering),
        known: Some(known),
    }
}

/// Whether the database takes writes: tried at most once in [`FRESH`], however many ask.
#[derive(Debug, Default)]
pub(super) struct Writes(Mutex<Option<(Timestamp, bool)>>);

impl Writes {
    async fn well(&self, state: &ApiState) -> bool {
        let clock = state.tenancy().clock();
        let mut last = self.0.lock().await;
        let now = clock.now();
        if let Some((at, well)) = *last
            && at <= now
            && now.since(at) < FRESH
        {
            return well;
        }
        let before = last.is_none_or(|(_, well)| well);
        let (clock, entropy) = (state.tenancy().clock(), state.tenancy().entropy());
        let tried = try_write(&**state.access(), &**clock, &**entropy).await;
        match &tried {
            Err(error) if before => {
                tracing::error!(error = %chain(error), "the database takes no writes");
            }
            Ok(()) if !before => tracing::info!("the database takes writes again"),
            Ok(()) | Err(_) => {}
        }
        *last = Some((clock.now(), tried.is_ok()));
        tried.is_ok()
    }
}

/// Writes something of no use to anybody, and takes it away again.
///
/// # Errors
/// The store's, when it takes no writes.
pub(crate) async fn try_write(
    access: &dyn AccessStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let secret = SecretHash::of(secret::random(entropy).expose_secret());
    let now = clock.now();
    let kind = GrantKind::LoginState;
    let grant = Grant {
        kind,
        secret,
        account: None,
        data: "{}".to_owned(),
        created_at: now,
        // Where the second write fails the sweeper finds it.
        expires_at: now.plus(FRESH),
    };
    access.put_grant(grant).await?;
    access.take_grant(kind, secret, now).await?;
    Ok(())
}
