//! Where a sign-in begins: at a provider, or at our own page.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::HeaderMap;
use http::request::Parts;
use openclaw_tenancy::identity::{LoginRequest, LoginStep};
use secrecy::{ExposeSecret as _, SecretString};

use super::super::problem::{Kind, Missing, Problem};
use super::super::query;
use super::super::rates::too_many;
use super::super::state::{ApiState, ExternalProvider};
use super::{LOGIN_LIFETIME, OWN_PATHS, of_provider, with_cookies};
use crate::access::cookie;
use crate::identity::{return_path, secret};

/// `GET /api/auth/login?return_to=&provider=`: to the provider named, or to the only one there is; otherwise to
/// the page with the choice.
pub(in crate::api) async fn begin(
    State(state): State<ApiState>,
    RawQuery(raw): RawQuery,
    head: Parts,
) -> Result<Response, Problem> {
    let raw = raw.unwrap_or_default();
    let return_to = return_path::from_query(&raw, "return_to", state.public_url(), OWN_PATHS);
    let providers = state.providers();
    let chosen = match query::one(Some(&raw), "provider")? {
        Some(id) => {
            let found = providers.external.iter().find(|external| external.id == id);
            found.ok_or(Kind::NotFound(Missing::Provider))?
        }
        None => match (&providers.local, providers.external.as_slice()) {
            (None, [only]) => only,
            _ => return Ok(to_page(&return_to)),
        },
    };
    let address = state.proxies().client(&head.extensions, &head.headers);
    state.limits().begun.take(address).map_err(too_many)?;
    at_provider(&state, chosen, &head.headers, return_to).await
}

async fn at_provider(
    state: &ApiState,
    external: &ExternalProvider,
    headers: &HeaderMap,
    return_to: String,
) -> Result<Response, Problem> {
    // One browser may have several sign-ins under way, in several tabs: they share the cookie.
    let browser = match cookie::read(headers, cookie::LOGIN) {
        Some(known) if secret::is_one(known) => SecretString::from(known),
        Some(_) | None => secret::random(&**state.tenancy().entropy()),
    };
    let cookie = cookie::set(cookie::LOGIN, browser.expose_secret(), LOGIN_LIFETIME);
    let cookie = cookie.ok_or(Kind::Internal)?;
    let request = LoginRequest {
        browser,
        return_to: return_to.clone(),
    };
    let step = external.provider.begin(request).await;
    match step.map_err(of_provider)? {
        LoginStep::Redirect { url } => Ok(with_cookies(
            Redirect::to(&url).into_response(),
            vec![cookie],
        )),
        LoginStep::Password => Ok(to_page(&return_to)),
    }
}

fn to_page(return_to: &str) -> Response {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", return_to)
        .finish();
    Redirect::to(&format!("/login?{query}")).into_response()
}
