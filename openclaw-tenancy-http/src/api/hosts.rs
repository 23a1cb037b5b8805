//! The hosts, for administrators.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use openclaw_tenancy::TenancyError;
use openclaw_tenancy::host::{Host, HostFacts, HostState, Reserved, StorageQuota};
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::store::Cordon;
use serde::Serialize;

use super::fields::NoFields;
use super::problem::{Kind, Missing, Problem};
use super::query::PathText;
use super::state::ApiState;
use super::{audit, ended_by};
use crate::access::caller::Caller;

#[derive(Serialize)]
struct Hosts {
    hosts: Vec<HostJson>,
}

#[derive(Serialize)]
struct HostJson {
    id: HostId,
    labels: BTreeMap<String, String>,
    cordoned: bool,
    #[serde(flatten)]
    state: HostState,
    /// The call that ends a quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<FactsJson>,
    reserved: ReservedJson,
}

/// What the engine says of its host.
#[derive(Serialize)]
struct FactsJson {
    cpu_millis: u64,
    memory_bytes: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_bytes: Option<Bytes>,
    swap_limit: bool,
    storage_quota: StorageQuota,
    engine_version: String,
    api_version: String,
    operating_system: String,
}

/// What its instances may use together.
#[derive(Serialize)]
struct ReservedJson {
    cpu_millis: u64,
    memory_bytes: Bytes,
    swap_bytes: Bytes,
    instances: u64,
}

/// `GET /api/hosts`.
pub(super) async fn list(State(state): State<ApiState>) -> Result<Response, Problem> {
    let hosts = state.tenancy().hosts().await?;
    let hosts = hosts.into_iter().map(HostJson::from).collect();
    Ok(Json(Hosts { hosts }).into_response())
}

/// `POST /api/hosts/{id}/cordon`: no new instances on it.
pub(super) async fn cordon(
    State(state): State<ApiState>,
    caller: Caller,
    PathText(id): PathText,
    NoFields: NoFields,
) -> Result<StatusCode, Problem> {
    let close = async |id| state.tenancy().cordon(id, Cordon::Closed).await;
    act(&caller, &id, "host.cordon", close).await
}

/// `POST /api/hosts/{id}/uncordon`: new instances on it again.
pub(super) async fn uncordon(
    State(state): State<ApiState>,
    caller: Caller,
    PathText(id): PathText,
    NoFields: NoFields,
) -> Result<StatusCode, Problem> {
    let open = async |id| state.tenancy().cordon(id, Cordon::Open).await;
    act(&caller, &id, "host.uncordon", open).await
}

/// `POST /api/hosts/{id}/release`: ends a quarantine, after somebody has looked at the machine. Its next look follows
/// within moments, and its instances after it.
pub(super) async fn release(
    State(state): State<ApiState>,
    caller: Caller,
    PathText(id): PathText,
    NoFields: NoFields,
) -> Result<StatusCode, Problem> {
    let release = async |id| state.tenancy().release_host(id).await;
    act(&caller, &id, "host.release", release).await
}

/// `DELETE /api/hosts/{id}`: forgets a host that has left the configuration and holds no instance. Nothing on it is
/// touched.
pub(super) async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    PathText(id): PathText,
    NoFields: NoFields,
) -> Result<StatusCode, Problem> {
    let remove = async |id| state.tenancy().remove_host(id).await;
    act(&caller, &id, "host.remove", remove).await
}

/// Does something to a host, with its line in the audit log. What is no id is the id of nothing.
async fn act(
    caller: &Caller,
    id: &str,
    action: &'static str,
    call: impl AsyncFnOnce(HostId) -> Result<(), TenancyError>,
) -> Result<StatusCode, Problem> {
    let id = HostId::new(id).map_err(|_| Kind::NotFound(Missing::Host))?;
    call(id.clone()).await?;
    audit::done(action, caller.account.id, id.as_str());
    Ok(StatusCode::NO_CONTENT)
}

impl From<Host> for HostJson {
    fn from(host: Host) -> Self {
        Self {
            ended_by: ended_by::host(&host),
            id: host.id,
            labels: host.labels,
            cordoned: host.cordoned,
            state: host.state,
            facts: host.facts.map(FactsJson::from),
            reserved: host.reserved.into(),
        }
    }
}

impl From<HostFacts> for FactsJson {
    fn from(facts: HostFacts) -> Self {
        Self {
            cpu_millis: facts.cpu.0,
            memory_bytes: facts.memory,
            swap_bytes: facts.swap,
            swap_limit: facts.swap_limit,
            storage_quota: facts.storage_quota,
            engine_version: facts.engine_version,
            api_version: facts.api_version,
            operating_system: facts.operating_system,
        }
    }
}

impl From<Reserved> for ReservedJson {
    fn from(reserved: Reserved) -> Self {
        Self {
            cpu_millis: reserved.cpu.0,
            memory_bytes: reserved.memory,
            swap_bytes: reserved.swap,
            instances: reserved.instances,
        }
    }
}
