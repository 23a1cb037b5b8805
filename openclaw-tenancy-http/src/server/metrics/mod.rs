//! The Prometheus exporter, on a listener of its own.
//!
//! Labels have few values, known beforehand: routes by their template, phases, host states. Never an id of a
//! tenant or an account, an e-mail address, or a path as somebody sent it (safety row A30).

mod census;
mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use openclaw_tenancy::clock::Clock;

pub(crate) use self::census::Census;
pub(crate) use self::store::MeteredStore;

use super::plain::own_host;
use crate::access::host::OwnHosts;

/// How often old samples are dropped.
const UPKEEP: Duration = Duration::from_secs(5);

/// What every series is called first.
const PREFIX: &str = "openclaw_tenancy";

/// Upper bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// Begins to collect, for the whole process.
///
/// # Errors
/// [`BuildError`] when something collects already.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = builder()?.install_recorder()?;
    describe();
    metrics::gauge!("openclaw_tenancy_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
}

fn describe() {
    use metrics::{describe_counter as counter, describe_gauge as gauge};
    counter!(
        "openclaw_tenancy_http_requests_total",
        "Requests to the API by route template."
    );
    counter!(
        "openclaw_tenancy_connections_turned_away_total",
        "Connections to the API and to this exporter for which there was no place, by listener."
    );
    gauge!("openclaw_tenancy_tenants", "Tenants by phase.");
    gauge!(
        "openclaw_tenancy_tenants_held",
        "Tenants that are held, by reason."
    );
    gauge!("openclaw_tenancy_hosts", "Hosts by state.");
    gauge!(
        "openclaw_tenancy_unaccounted_objects",
        "Containers and volumes of ours on all hosts that no tenant accounts for."
    );
    gauge!(
        "openclaw_tenancy_queue_length",
        "Tenants that wait for a host."
    );
    counter!(
        "openclaw_tenancy_reconcile_passes_total",
        "Passes over tenants and hosts by outcome."
    );
    counter!(
        "openclaw_tenancy_store_errors_total",
        "Calls of the database that failed, by call."
    );
    gauge!("openclaw_tenancy_build_info", "The version that runs.");
}

/// The exporter's routes, for `hosts` and for any address.
pub(crate) fn router(handle: PrometheusHandle, hosts: OwnHosts) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .layer(from_fn_with_state(Arc::new(hosts), own_host))
        .with_state(handle)
}

async fn render(State(handle): State<PrometheusHandle>) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::OK, headers, handle.render())
}

/// Keeps the collected samples small, for as long as it is polled.
pub(crate) async fn upkeep(handle: PrometheusHandle, clock: &dyn Clock) {
    loop {
        clock.sleep(UPKEEP).await;
        handle.run_upkeep();
    }
}
