//! Signing in and out.

pub(super) mod callback;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod me;
pub(super) mod password;
pub(super) mod token;

use std::time::Duration;

use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use openclaw_tenancy::access::{Account, SecretHash};
use openclaw_tenancy::identity::{Identity, IdentityError};
use secrecy::ExposeSecret as _;

use super::audit;
use super::problem::{Kind, Problem};
use super::state::ApiState;
use crate::access::cookie;
use crate::access::session::{NewSession, SessionUse};

/// Our own paths of signing in and out: nobody is sent back into those. Handing over is the exception below
/// `/api`, and is not among them.
pub(crate) const OWN_PATHS: &[&str] = &["/login", "/continue", "/claim", "/api/auth"];

/// The pre-login cookie lives as long as a sign-in may take.
const LOGIN_LIFETIME: Duration = crate::identity::oidc::LOGIN_LIFETIME;

/// A browser that has just signed in.
struct SignedIn {
    account: Account,
    session: NewSession,
    cookies: Vec<HeaderValue>,
}

/// Begins the session of somebody who has just proved who they are.
///
/// Always a new one: what session the browser had before, its own or a planted one, ends here. An open claim of
/// the first administrator's link is redeemed on the way, and the account's other sessions end with it.
async fn establish(
    state: &ApiState,
    headers: &HeaderMap,
    identity: Identity,
) -> Result<SignedIn, Problem> {
    let (mut account, granted) = state.authenticator().sign_in(identity).await?;
    if let Some(before) = cookie::read(headers, cookie::SESSION) {
        state.sessions().end(SecretHash::of(before)).await?;
    }
    if let Some(code) = cookie::read(headers, cookie::CLAIM)
        && state.claims().is_open(code).await?
    {
        // Before the right is given: where this fails, no session from before has it. And after it: what one of those
        // made meanwhile ends as well.
        state.sessions().end_everywhere(account.id).await?;
        if let Some(administrator) = state.claims().redeem(code, &account).await? {
            audit::done("admin.claim", account.id, "administrator");
            state.sessions().end_everywhere(account.id).await?;
            account = administrator;
        }
    }
    let lifetime = state.session_lifetime();
    let session = state
        .sessions()
        .begin(account.id, granted, SessionUse::Browser, lifetime)
        .await?;
    state.limits().sessions.remember(session.hash);
    audit::done("sign-in", account.id, "session");
    let secret = session.secret.expose_secret();
    let cookies = [
        cookie::set(cookie::SESSION, secret, lifetime),
        cookie::clear(cookie::LOGIN),
        cookie::clear(cookie::CLAIM),
    ];
    let cookies = cookies.into_iter().collect::<Option<Vec<_>>>();
    Ok(SignedIn {
        account,
        session,
        cookies: cookies.ok_or(Kind::Internal)?,
    })
}

/// The problem of a sign-in at a provider.
fn of_provider(error: IdentityError) -> Problem {
    Problem::of_provider(error, |reason| Kind::SignInRefused { reason })
}

/// `response` with more cookies.
fn with_cookies(mut response: Response, cookies: Vec<HeaderValue>) -> Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
