//! Whether this server can do its work, for whoever watches it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::state::ApiState;

/// The store promises an answer within a second; a little more for the way.
const PATIENCE: Duration = Duration::from_millis(1500);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    checks: Checks,
}

/// What is checked. Names of parts only: the answer is public.
#[derive(Serialize)]
struct Checks {
    /// Whether the database answers a query within 1.5 s.
    database: &'static str,
}

/// `GET /api/health`: 200 while everything that is checked is well, 503 otherwise.
///
/// Hosts are not checked: one that is down is the reconciler's business and no reason to restart a server.
pub(super) async fn show(State(state): State<ApiState>) -> Response {
    let tenancy = state.tenancy();
    let well = tokio::select! {
        biased;
        answer = tenancy.store().ping() => answer.is_ok(),
        () = tenancy.clock().sleep(PATIENCE) => false,
    };
    let (code, status, database) = if well {
        (StatusCode::OK, "ok", "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded", "unavailable")
    };
    let checks = Checks { database };
    (code, Json(Health { status, checks })).into_response()
}
