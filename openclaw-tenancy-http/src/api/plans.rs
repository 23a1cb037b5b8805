//! The plans, with which of them the caller may choose.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use openclaw_tenancy::access::Account;
use openclaw_tenancy::tenancy::Tenancy;
use serde::Serialize;

use super::state::ApiState;
use super::tenant_json::LimitsJson;
use crate::access::caller::Caller;

#[derive(Serialize)]
struct Plans {
    plans: Vec<PlanJson>,
}

/// A plan as somebody in particular sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PlanJson {
    pub(crate) name: String,
    pub(crate) limits: LimitsJson,
    /// Whether the caller may choose it.
    pub(crate) allowed: bool,
    /// Whether the caller gets it without choosing.
    pub(crate) default: bool,
}

/// `GET /api/plans`: from the least to the most.
pub(super) async fn list(State(state): State<ApiState>, caller: Caller) -> Response {
    let plans = seen_by(&caller.account, state.tenancy());
    Json(Plans { plans }).into_response()
}

/// The plans as `account` sees them.
pub(crate) fn seen_by(account: &Account, tenancy: &Tenancy) -> Vec<PlanJson> {
    let (catalog, policy) = (tenancy.plans(), tenancy.policy());
    let entitled = account.rights.plan.as_ref();
    let default = policy.choose(catalog, None, entitled).ok();
    catalog
        .iter()
        .map(|plan| PlanJson {
            name: plan.name.to_string(),
            limits: LimitsJson::new(&plan.limits, Some(plan.sandboxes)),
            allowed: policy
                .choose(catalog, Some(plan.name.as_str()), entitled)
                .is_ok(),
            default: default.is_some_and(|default| default.name == plan.name),
        })
        .collect()
}
