//! The page to sign in at.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;

use super::frame::Frame;
use super::html;
use crate::access::cookie;
use crate::api::guard;
use crate::api::lang::Lang;
use crate::api::problem::{Problem, ProblemBody};
use crate::api::{ApiState, OWN_PATHS};
use crate::identity::return_path;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'p> {
    frame: Frame,
    /// Whether there are local accounts.
    local: bool,
    external: Vec<External<'p>>,
    return_to: &'p str,
    username: &'p str,
    /// Whether the first administrator's link was opened.
    claim: bool,
    problem: Option<ProblemBody>,
}

/// A button to a provider.
struct External<'p> {
    label: &'p str,
    href: String,
}

#[derive(Template)]
#[template(path = "continue.html")]
struct ContinuePage<'p> {
    frame: Frame,
    to: &'p str,
}

/// `GET /login?return_to=`. Whoever is signed in goes on at once, unless a claim waits for a sign-in.
pub(crate) async fn show(
    State(state): State<ApiState>,
    Extension(lang): Extension<Lang>,
    RawQuery(raw): RawQuery,
    head: Parts,
) -> Result<Response, Problem> {
    let raw = raw.unwrap_or_default();
    let return_to = return_path::from_query(&raw, "return_to", state.public_url(), OWN_PATHS);
    let claim = cookie::read(&head.headers, cookie::CLAIM).is_some();
    if !claim && guard::person(&state, &head).await?.is_some() {
        return Ok(Redirect::to(&return_to).into_response());
    }
    Ok(page(&state, lang, claim, "", &return_to, None))
}

/// The page once more, with what went wrong; the status is the problem's.
pub(crate) fn again(
    state: &ApiState,
    lang: Lang,
    problem: &Problem,
    request_id: &str,
    username: &str,
    return_to: &str,
) -> Response {
    let body = problem.body(lang, request_id);
    let mut response = page(state, lang, false, username, return_to, Some(body));
    *response.status_mut() = problem.status();
    response
}

fn page(
    state: &ApiState,
    lang: Lang,
    claim: bool,
    username: &str,
    return_to: &str,
    problem: Option<ProblemBody>,
) -> Response {
    let providers = state.providers();
    let external = providers.external.iter().map(|external| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("provider", &external.id)
            .append_pair("return_to", return_to)
            .finish();
        External {
            label: &external.label,
            href: format!("/api/auth/login?{query}"),
        }
    });
    html(&LoginPage {
        frame: Frame::new(lang, &[("return_to", return_to)]),
        local: providers.local.is_some(),
        external: external.collect(),
        return_to,
        username,
        claim,
        problem,
    })
}

/// Where a form that has signed somebody in leads, to end at `return_to`.
///
/// A browser applies `form-action` to every redirect that follows a form, and an instance's host name is not
/// among what it allows: the way there leads over a page that begins anew.
pub(crate) fn onward_to(return_to: &str) -> String {
    if !return_to.starts_with("/api/") {
        return return_to.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", return_to)
        .finish();
    format!("/continue?{query}")
}

/// `GET /continue?return_to=`.
pub(crate) async fn onward(
    State(state): State<ApiState>,
    Extension(lang): Extension<Lang>,
    RawQuery(raw): RawQuery,
) -> Response {
    let raw = raw.unwrap_or_default();
    let to = return_path::from_query(&raw, "return_to", state.public_url(), OWN_PATHS);
    let frame = Frame::new(lang, &[("return_to", &to)]);
    html(&ContinuePage { frame, to: &to })
}
