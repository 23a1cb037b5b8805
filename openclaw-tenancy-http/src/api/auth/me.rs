//! Who the caller is.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use openclaw_tenancy::access::Account;
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::id::AccountId;
use serde::Serialize;

use super::super::state::ApiState;
use crate::access::caller::{Caller, Credential};
use crate::access::csrf;

/// An account, for its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct AccountJson {
    id: AccountId,
    issuer: String,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize)]
struct MeJson {
    account: AccountJson,
    admin: bool,
    /// The highest plan that an administrator or a provider has given; others by self-service, see `/api/plans`.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    /// What a write with this session's cookie carries in `X-CSRF-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

/// `GET /api/auth/me`.
pub(in crate::api) async fn show(State(_): State<ApiState>, caller: Caller) -> Response {
    let csrf_token = match &caller.credential {
        Credential::Cookie { secret, .. } => Some(csrf::token(secret)),
        Credential::Token { .. } | Credential::Provider => None,
    };
    Json(MeJson {
        admin: caller.account.rights.admin,
        plan: caller.account.rights.plan.as_ref().map(ToString::to_string),
        csrf_token,
        expires_at: caller.session().map(|session| session.expires_at),
        account: AccountJson::from(&caller.account),
    })
    .into_response()
}

impl From<&Account> for AccountJson {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id,
            issuer: account.who.issuer.clone(),
            subject: account.who.subject.clone(),
            email: account.email.clone(),
            name: account.name.clone(),
        }
    }
}
