//! The caller's own instance. Which one is never asked of the request: it follows from who is asking.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use openclaw_tenancy::quota::PlanRefused;
use openclaw_tenancy::tenancy::{CreateRequest, TenancyError, TenantView};
use openclaw_tenancy::tenant::{Power, Settings};

use super::ended_by::Reader;
use super::fields::{NoFields, OptionalJson};
use super::problem::Problem;
use super::rates::too_many;
use super::state::ApiState;
use super::tenant_json::TenantJson;
use super::{audit, query};
use crate::access::caller::Caller;

/// What a create may say. Owner, limits, image, host and role are nobody's to set.
const FIELDS: &[&str] = &["email", "name", "plan", "timezone"];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// `POST /api/tenants`: asks for an instance. It is made after the answer; `GET /api/tenants/me` tells how far it is.
///
/// Repeated with its `Idempotency-Key` it makes nothing new: the answer, marked by `Idempotency-Replayed`, shows the
/// instance as it is now and not as it was then. Once it is gone it stays `deleting`.
pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    OptionalJson(mut fields): OptionalJson,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let request = CreateRequest {
        plan: fields.text("plan"),
        name: fields.text("name"),
        settings: Settings {
            email: fields.text("email"),
            timezone: fields.text("timezone"),
        },
    };
    fields.finish(FIELDS)?;
    let account = &caller.account;
    state.limits().create.take(account.id).map_err(too_many)?;
    let created = match state.tenancy().create(account, request, key).await {
        Ok(created) => created,
        Err(error) => {
            if let TenancyError::Plan(PlanRefused::NotEntitled { plan, .. }) = &error {
                audit::refused("tenant.create.plan", account.id, plan.as_str());
            }
            return Err(error.into());
        }
    };
    let id = created.view.tenant.id.to_string();
    let mut response = accepted(&state, &caller, created.view);
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_static("/api/tenants/me"));
    if created.replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    } else {
        audit::done("tenant.create", account.id, &id);
    }
    Ok(response)
}

/// `GET /api/tenants/me`.
pub(super) async fn mine(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Response, Problem> {
    let view = state.tenancy().mine(caller.account.id).await?;
    Ok(Json(json(&state, &caller, view)).into_response())
}

/// `DELETE /api/tenants/me`: everything of it goes, its data too. Never taken back.
pub(super) async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    NoFields: NoFields,
) -> Result<Response, Problem> {
    power(&state, &caller, Power::Deleted, "tenant.delete").await
}

/// `POST /api/tenants/me/suspend`: stops it and keeps its data.
pub(super) async fn suspend(
    State(state): State<ApiState>,
    caller: Caller,
    NoFields: NoFields,
) -> Result<Response, Problem> {
    power(&state, &caller, Power::Suspended, "tenant.suspend").await
}

/// `POST /api/tenants/me/resume`.
pub(super) async fn resume(
    State(state): State<ApiState>,
    caller: Caller,
    NoFields: NoFields,
) -> Result<Response, Problem> {
    power(&state, &caller, Power::Running, "tenant.resume").await
}

/// `POST /api/tenants/me/restart`.
pub(super) async fn restart(
    State(state): State<ApiState>,
    caller: Caller,
    NoFields: NoFields,
) -> Result<Response, Problem> {
    let view = state.tenancy().restart(caller.account.id).await?;
    audit::done(
        "tenant.restart",
        caller.account.id,
        &view.tenant.id.to_string(),
    );
    Ok(accepted(&state, &caller, view))
}

async fn power(
    state: &ApiState,
    caller: &Caller,
    power: Power,
    action: &'static str,
) -> Result<Response, Problem> {
    let view = state.tenancy().set_power(caller.account.id, power).await?;
    audit::done(action, caller.account.id, &view.tenant.id.to_string());
    Ok(accepted(state, caller, view))
}

/// 202: what was asked for is written and will be done.
fn accepted(state: &ApiState, caller: &Caller, view: TenantView) -> Response {
    let body = Json(json(state, caller, view));
    (StatusCode::ACCEPTED, body).into_response()
}

fn json(state: &ApiState, caller: &Caller, view: TenantView) -> TenantJson {
    TenantJson::new(view, state.tenancy().plans(), Reader::owner(caller))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const RULE: &str = "1 to 255 visible ASCII characters";
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let key = match (keys.next(), keys.next()) {
        (None, _) => return Ok(None),
        (Some(key), None) => key.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => "",
    };
    if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Some(key.to_owned()))
    } else {
        Err(query::invalid("Idempotency-Key", Some(key), RULE))
    }
}
