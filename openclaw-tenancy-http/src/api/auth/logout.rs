//! Signing out: here, or everywhere.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::super::audit;
use super::super::fields::OptionalJson;
use super::super::problem::{Kind, Problem};
use super::super::rates::too_many;
use super::super::state::ApiState;
use super::with_cookies;
use crate::access::caller::Caller;
use crate::access::cookie;

/// `POST /api/auth/logout` {everywhere?}: ends this session and the bearers that it asked for, or with `everywhere`
/// all of the account's, bearers of ours for a password or by the command line too. The sessions at instances end in
/// both cases, and the edge closes what they hold open.
pub(in crate::api) async fn sign_out(
    State(state): State<ApiState>,
    caller: Caller,
    OptionalJson(mut fields): OptionalJson,
) -> Result<Response, Problem> {
    let everywhere = fields.flag("everywhere");
    fields.finish(&["everywhere"])?;
    let account = caller.account.id;
    if caller.session().is_none() {
        // A session of ours ends with its sign-out; a provider's bearer could ask for another without end.
        let sign_out = &state.limits().sign_out;
        sign_out.take(account).map_err(too_many)?;
    }
    match caller.session() {
        Some(session) if !everywhere => state.sessions().end(session.hash).await?,
        // A provider's bearer has no session of ours to end.
        None if !everywhere => {}
        Some(_) | None => state.sessions().end_everywhere(account).await?,
    }
    audit::done(
        "sign-out",
        account,
        if everywhere { "everywhere" } else { "here" },
    );
    let cookies = [cookie::SESSION, cookie::LOGIN, cookie::CLAIM].map(cookie::clear);
    let cookies = cookies.into_iter().collect::<Option<Vec<_>>>();
    let cookies = cookies.ok_or(Kind::Internal)?;
    Ok(with_cookies(
        StatusCode::NO_CONTENT.into_response(),
        cookies,
    ))
}
