//! The first administrator's link.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::request::Parts;
use openclaw_tenancy::access::SecretHash;

use crate::access::cookie;
use crate::api::ApiState;
use crate::api::problem::{Kind, Problem};
use crate::api::query;
use crate::api::rates::too_many;

/// How long the sign-in after the link may take.
const COOKIE_LIFETIME: Duration = Duration::from_secs(3600);

/// `GET /claim?code=`: takes the code out of the address and into a cookie, and goes on to sign in.
///
/// Nothing is redeemed yet: a link that a chat program looked into still works.
pub(crate) async fn show(
    State(state): State<ApiState>,
    RawQuery(raw): RawQuery,
    head: Parts,
) -> Result<Response, Problem> {
    let code = query::one(raw.as_deref(), "code")?.unwrap_or_default();
    let address = state.proxies().client(&head.extensions, &head.headers);
    let claims = &state.limits().claims;
    let look = claims.look(address, SecretHash::of(&code));
    let look = look.map_err(too_many)?;
    match state.claims().is_open(&code).await {
        Ok(true) => claims.found(look),
        Ok(false) => {
            claims.missed(look);
            return Err(Kind::ClaimRefused.into());
        }
        Err(error) => {
            claims.unknown(look);
            return Err(error.into());
        }
    }
    let cookie = cookie::set(cookie::CLAIM, &code, COOKIE_LIFETIME).ok_or(Kind::ClaimRefused)?;
    let mut response = Redirect::to("/login").into_response();
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}
