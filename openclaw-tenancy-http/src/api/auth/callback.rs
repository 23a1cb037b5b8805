//! Where a provider sends the browser back to.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use openclaw_tenancy::identity::{IdentityError, LoginAnswer};
use secrecy::SecretString;

use super::super::audit;
use super::super::problem::{Kind, Missing, Problem};
use super::super::query::PathText;
use super::super::state::ApiState;
use super::{OWN_PATHS, establish, of_provider, with_cookies};
use crate::access::cookie;
use crate::identity::return_path::{self, HOME};

/// `GET /api/auth/callback/{provider}`: a path for each provider, so that one's answer is never another's.
pub(in crate::api) async fn finish(
    State(state): State<ApiState>,
    PathText(id): PathText,
    RawQuery(query): RawQuery,
    head: Parts,
) -> Result<Response, Problem> {
    let mut providers = state.providers().external.iter();
    let external = providers
        .find(|external| external.id == id)
        .ok_or(Kind::NotFound(Missing::Provider))?;
    let browser = cookie::read(&head.headers, cookie::LOGIN).ok_or(Kind::SignInRefused {
        reason: "the browser sent no pre-login cookie",
    })?;
    let answer = LoginAnswer::Callback {
        query: query.unwrap_or_default(),
        browser: SecretString::from(browser),
    };
    // Not counted: it was when it began, and can be finished once.
    let finished = external.provider.finish(answer).await;
    if matches!(finished, Err(IdentityError::Refused { .. })) {
        let address = state.proxies().client(&head.extensions, &head.headers);
        audit::sign_in_refused(&state, address, Some(&external.id));
    }
    let logged_in = finished.map_err(of_provider)?;
    let signed_in = establish(&state, &head.headers, logged_in.identity).await?;
    // It was checked when the sign-in began; what is sent passes the same test again.
    let return_to = logged_in
        .return_to
        .and_then(|path| return_path::checked(&path, state.public_url(), OWN_PATHS))
        .unwrap_or_else(|| HOME.to_owned());
    let redirect = Redirect::to(&return_to).into_response();
    Ok(with_cookies(redirect, signed_in.cookies))
}
