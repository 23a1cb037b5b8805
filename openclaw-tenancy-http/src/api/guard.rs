//! Who may use a route: decided before its handler, by the route table.

use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method};
use openclaw_tenancy::access::SecretHash;

use super::problem::{Kind, Missing, Problem};
use super::rates::too_many;
use super::state::ApiState;
use crate::access::caller::{AuthError, Caller, Credential};
use crate::access::cookie;
use crate::access::csrf;
use crate::access::missed::Look;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Anybody; the handler checks what has to be.
    Public,
    /// Whoever is signed in; what they get is their own.
    Account,
    /// As [`Self::Account`], however much the account has asked for: whoever makes requests in somebody's name must not
    /// be able to keep them from ending it.
    SignOut,
    /// As [`Self::Account`], in a browser: others are sent to sign in.
    Browser,
    /// Administrators; others are told so.
    Administrator,
    /// Administrators; to others what the path names does not exist.
    AdministratorHidden,
}

/// Lets a request pass to its handler, with its [`Caller`], or answers instead.
pub(super) async fn guard(
    State((state, access)): State<(ApiState, Access)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Apart, because a body may not be shared between threads and a head may.
    let (mut head, body) = request.into_parts();
    let caller = match access {
        Access::Public => None,
        Access::Browser => match browser(&state, &head).await? {
            Some(caller) => Some(caller),
            None => return Ok(to_sign_in(&head)),
        },
        Access::Account | Access::SignOut | Access::Administrator | Access::AdministratorHidden => {
            Some(authenticated(&state, &head).await?)
        }
    };
    if let Some(caller) = caller {
        let admin = caller.account.rights.admin;
        match access {
            Access::Administrator if !admin => return Err(Kind::AdministratorsOnly.into()),
            Access::AdministratorHidden if !admin => {
                return Err(Kind::NotFound(Missing::Instance).into());
            }
            Access::Public
            | Access::Account
            | Access::SignOut
            | Access::Browser
            | Access::Administrator
            | Access::AdministratorHidden => {}
        }
        if access != Access::SignOut {
            let account = &state.limits().account;
            account.take(caller.account.id).map_err(too_many)?;
        }
        head.extensions.insert(caller);
    }
    Ok(next.run(Request::from_parts(head, body)).await)
}

/// Whoever sent the request, by bearer or by cookie; a write by cookie also has to come from our own pages.
pub(super) async fn authenticated(state: &ApiState, head: &Parts) -> Result<Caller, Problem> {
    let caller = program(state, head).await?.ok_or(Kind::Unauthenticated)?;
    if let Credential::Cookie { secret, .. } = &caller.credential
        && is_write(&head.method)
    {
        csrf::same_origin(&head.headers, state.public_url())?;
        csrf::check_token(secret, csrf_token(&head.headers))?;
    }
    Ok(caller)
}

/// Whoever's cookie the request has; a navigation carries no bearer.
async fn browser(state: &ApiState, head: &Parts) -> Result<Option<Caller>, Problem> {
    let caller = person(state, head).await?;
    Ok(caller.filter(|caller| matches!(caller.credential, Credential::Cookie { .. })))
}

/// As [`program`], for a page: where a cookie is not looked for, since too many of its address were nobody's, a person can
/// still sign in anew.
pub(crate) async fn person(state: &ApiState, head: &Parts) -> Result<Option<Caller>, Problem> {
    match look(state, head) {
        Ok(look) => find(state, head, look).await,
        Err(_wait) => Ok(None),
    }
}

/// Whoever sent the request.
async fn program(state: &ApiState, head: &Parts) -> Result<Option<Caller>, Problem> {
    let look = look(state, head).map_err(too_many)?;
    find(state, head, look).await
}

/// Begins to look for the session of the request's cookie, where it goes by one.
fn look(state: &ApiState, head: &Parts) -> Result<Option<Look>, Duration> {
    if head.headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let Some(secret) = cookie::read(&head.headers, cookie::SESSION) else {
        return Ok(None);
    };
    let address = state.proxies().client(&head.extensions, &head.headers);
    let sessions = &state.limits().sessions;
    sessions.look(address, SecretHash::of(secret)).map(Some)
}

async fn find(
    state: &ApiState,
    head: &Parts,
    look: Option<Look>,
) -> Result<Option<Caller>, Problem> {
    let found = state.authenticator().caller(&head.headers).await;
    if let Some(look) = look {
        let sessions = &state.limits().sessions;
        match &found {
            Ok(Some(_)) => sessions.found(look),
            Ok(None) => sessions.missed(look),
            Err(_) => sessions.unknown(look),
        }
    }
    found.map_err(|error| {
        // Nobody guessed: nobody could be asked. A store that is down would else be 429 for a whole office.
        if matches!(error, AuthError::Store(_)) {
            return error.into();
        }
        let address = state.proxies().client(&head.extensions, &head.headers);
        // Guessing is slowed down; somebody whose token has expired hardly notices.
        match state.limits().refused.take(address) {
            Ok(()) => error.into(),
            Err(wait) => too_many(wait),
        }
    })
}

fn csrf_token(headers: &HeaderMap) -> Option<&str> {
    let mut tokens = headers.get_all(csrf::HEADER).iter();
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => token.to_str().ok(),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

/// RFC 9110 §9.2.1: what is not safe writes.
fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn to_sign_in(head: &Parts) -> Response {
    let here = head.uri.path_and_query().map_or("/", |path| path.as_str());
    if here == "/" {
        return Redirect::to("/login").into_response();
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", here)
        .finish();
    Redirect::to(&format!("/login?{query}")).into_response()
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// The caller that the guard found. A route whose table entry asks for none has none: that is a fault of ours.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Kind::Internal.into())
    }
}
