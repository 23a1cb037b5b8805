//! A bearer token for programs.

use axum::Json;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use openclaw_tenancy::access::Rights;
use openclaw_tenancy::id::AccountId;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::super::audit;
use super::super::fields::OptionalJson;
use super::super::guard::authenticated;
use super::super::problem::{Kind, Problem};
use super::super::rates::too_many;
use super::super::state::ApiState;
use super::password::{self, Kept};
use crate::access::caller::Credential;
use crate::access::session::Session;

#[derive(Serialize)]
struct TokenJson {
    token: String,
    token_type: &'static str,
    /// In seconds.
    expires_in: u64,
}

/// Whom a bearer is for.
enum For {
    /// Whoever gave a name and a password: the bearer is on its own.
    Password(AccountId, Rights, Kept),
    /// A browser: the bearer ends with its session.
    Browser(Session),
}

/// `POST /api/auth/token`: for a name and a password, or for whoever is signed in by cookie.
///
/// One for a password is on its own: it ends by its time, or when its owner signs out everywhere. One for a browser
/// ends with the session that asked for it. A bearer does not get another: whoever steals one must not be able to
/// keep it alive.
pub(in crate::api) async fn issue(
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let whole = Request::from_parts(head.clone(), body);
    let OptionalJson(fields) = OptionalJson::from_request(whole, &()).await?;
    let whom = if fields.is_empty() {
        For::Browser(of_cookie(&state, &head).await?)
    } else {
        password::from_our_page_or_program(&head.headers, &state)?;
        let (username, password) = password::credentials(fields)?;
        let address = state.proxies().client(&head.extensions, &head.headers);
        let checked = password::check(&state, username, password, address, None).await?;
        let (account, granted) = state.authenticator().sign_in(checked.identity).await?;
        For::Password(account.id, granted, checked.kept)
    };
    let account = match &whom {
        For::Password(account, ..) => *account,
        For::Browser(session) => session.account,
    };
    state.limits().token.take(account).map_err(too_many)?;
    let issued = match whom {
        For::Password(account, granted, kept) => {
            let issued = state.tokens().issue(account, granted).await?;
            kept.confirm(&state, account).await?;
            issued
        }
        For::Browser(session) => state.tokens().issue_within(&session).await?,
    };
    audit::done("token.issue", account, "token");
    let body = TokenJson {
        token: issued.token.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: issued.lifetime.as_secs(),
    };
    Ok(Json(body).into_response())
}

async fn of_cookie(state: &ApiState, head: &Parts) -> Result<Session, Problem> {
    let caller = authenticated(state, head).await?;
    match caller.credential {
        Credential::Cookie { session, .. } => Ok(session),
        Credential::Token { .. } | Credential::Provider => Err(Kind::BearerRefused {
            reason: "a bearer token does not get another",
        }
        .into()),
    }
}
