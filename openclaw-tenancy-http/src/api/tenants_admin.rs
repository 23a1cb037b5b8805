//! Every instance, for administrators.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use openclaw_tenancy::id::TenantId;
use openclaw_tenancy::store::Change;
use openclaw_tenancy::tenancy::{TenancyError, TenantView};
use openclaw_tenancy::tenant::Power;
use serde::Serialize;

use super::fields::NoFields;
use super::problem::{Kind, Missing, Problem};
use super::query::PathText;
use super::state::ApiState;
use super::tenant_json::TenantForAdminJson;
use super::{audit, query};
use crate::access::caller::Caller;

const DEFAULT_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

#[derive(Serialize)]
struct Page {
    tenants: Vec<TenantForAdminJson>,
    /// Give it as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TenantId>,
}

/// `GET /api/tenants?after=&limit=`: a page, by id.
pub(super) async fn list(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.as_deref();
    let after = query::one(query, "after")?
        .map(|text| {
            let wrong = || {
                query::invalid(
                    "after",
                    Some(&text),
                    "the id that `next` of the page before gave",
                )
            };
            text.parse::<TenantId>().map_err(|_| wrong())
        })
        .transpose()?;
    let limit = match query::one(query, "limit")? {
        None => DEFAULT_PAGE,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LARGEST_PAGE).contains(limit))
            .ok_or_else(|| query::invalid("limit", Some(&text), "a number from 1 to 200"))?,
    };
    let tenancy = state.tenancy();
    let (views, next) = tenancy.list(after, limit).await?;
    let tenants = views
        .into_iter()
        .map(|view| TenantForAdminJson::new(view, tenancy.plans()))
        .collect();
    Ok(Json(Page { tenants, next }).into_response())
}

/// `GET /api/tenants/{id}`.
pub(super) async fn show(
    State(state): State<ApiState>,
    PathText(id): PathText,
) -> Result<Response, Problem> {
    let view = state.tenancy().view(parse(&id)?).await.map_err(missing)?;
    Ok(body(&state, StatusCode::OK, view))
}

/// `DELETE /api/tenants/{id}`: everything of it goes, its data too. Never taken back.
pub(super) async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    PathText(id): PathText,
    NoFields: NoFields,
) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let change = Change::Power(Power::Deleted);
    let view = state.tenancy().change(id, change).await.map_err(missing)?;
    audit::done("tenant.delete", caller.account.id, &id.to_string());
    Ok(body(&state, StatusCode::ACCEPTED, view))
}

/// `POST /api/tenants/{id}/release`: ends a hold, after somebody has looked at the host.
pub(super) async fn release(
    State(state): State<ApiState>,
    caller: Caller,
    PathText(id): PathText,
    NoFields: NoFields,
) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let view = state.tenancy().release(id).await.map_err(missing)?;
    audit::done("tenant.release", caller.account.id, &id.to_string());
    Ok(body(&state, StatusCode::ACCEPTED, view))
}

/// What is no id is the id of nothing.
fn parse(id: &str) -> Result<TenantId, Problem> {
    id.parse()
        .map_err(|_| Kind::NotFound(Missing::Instance).into())
}

fn missing(error: TenancyError) -> Problem {
    match error {
        TenancyError::NoTenant => Kind::NotFound(Missing::Instance).into(),
        error => error.into(),
    }
}

fn body(state: &ApiState, status: StatusCode, view: TenantView) -> Response {
    let json = TenantForAdminJson::new(view, state.tenancy().plans());
    (status, Json(json)).into_response()
}
