//! Signing in by name and password: a program's JSON, or the form of our page.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::HeaderMap;
use http::header::ORIGIN;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::{Identity, IdentityError, LoginAnswer};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::super::answer::RequestId;
use super::super::audit;
use super::super::fields::{Fields, JsonOrForm};
use super::super::lang::Lang;
use super::super::problem::{Kind, Missing, Problem};
use super::super::state::ApiState;
use super::{OWN_PATHS, SignedIn, establish, me, with_cookies};
use crate::access::browser::Browser;
use crate::access::csrf;
use crate::identity::local::normal;
use crate::identity::return_path::{self, HOME};
use crate::pages;

/// `POST /api/auth/password`.
///
/// A form has to come from our own page: otherwise another site could sign a browser in as somebody of its own
/// (login CSRF). JSON cannot be sent across sites without being asked for, so a program needs no `Origin`; one
/// that is there has to be ours all the same.
pub(in crate::api) async fn sign_in(
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let address = state.proxies().client(request.extensions(), &headers);
    let lang = request
        .extensions()
        .get::<Lang>()
        .copied()
        .unwrap_or_default();
    let id = request.extensions().get::<RequestId>().cloned();
    let browser = Browser::of(&headers, &**state.tenancy().entropy());
    match JsonOrForm::from_request(request, &()).await? {
        JsonOrForm::Json(fields) => {
            from_our_page_or_program(&headers, &state)?;
            let (username, password) = credentials(fields)?;
            let checked = check(&state, username, password, address, Some(&browser)).await?;
            let signed_in = sign_in_checked(&state, &headers, checked, &browser).await?;
            let lifetime = signed_in.session.lifetime.as_secs();
            let body = json!({
                "account": me::AccountJson::from(&signed_in.account),
                "csrf_token": csrf::token(&signed_in.session.secret),
                "expires_in": lifetime,
            });
            Ok(with_cookies(Json(body).into_response(), signed_in.cookies))
        }
        JsonOrForm::Form(mut fields) => {
            csrf::same_origin(&headers, state.public_url())?;
            let return_to = fields
                .text("return_to")
                .and_then(|path| return_path::checked(&path, state.public_url(), OWN_PATHS))
                .unwrap_or_else(|| HOME.to_owned());
            let shown_name = fields.peek("username");
            let checked = match credentials(fields) {
                Ok((username, password)) => {
                    check(&state, username, password, address, Some(&browser)).await
                }
                Err(problem) => Err(problem),
            };
            match checked {
                Ok(checked) => {
                    let signed_in = sign_in_checked(&state, &headers, checked, &browser).await?;
                    let to = pages::login::onward_to(&return_to);
                    Ok(with_cookies(
                        Redirect::to(&to).into_response(),
                        signed_in.cookies,
                    ))
                }
                Err(problem) => {
                    let id = id.map(|RequestId(id)| id).unwrap_or_default();
                    Ok(pages::login::again(
                        &state,
                        lang,
                        &problem,
                        &id,
                        &shown_name,
                        &return_to,
                    ))
                }
            }
        }
    }
}

/// The name and the password of a body that may hold nothing else.
pub(super) fn credentials(mut fields: Fields) -> Result<(String, SecretString), Problem> {
    let username = fields.text("username");
    let password = fields.secret("password");
    if username.is_none() {
        fields.missing("username");
    }
    if password.is_none() {
        fields.missing("password");
    }
    fields.finish(&["password", "username"])?;
    username.zip(password).ok_or_else(|| Kind::Internal.into())
}

/// Somebody whose password was right.
pub(super) struct Checked {
    pub(super) identity: Identity,
    pub(super) kept: Kept,
}

/// What the store had of a password before it was checked.
///
/// Checking takes a while, and a new password that is given meanwhile ends the sessions that there are, not the one
/// that is about to begin. So that one is looked at again once it has begun.
pub(super) struct Kept {
    username: Option<String>,
    hash: Option<SecretString>,
}

impl Kept {
    async fn of(state: &ApiState, username: &str) -> Result<Self, Problem> {
        let username = normal(username);
        let hash = Self::read(state, username.as_deref()).await?;
        Ok(Self { username, hash })
    }

    async fn read(
        state: &ApiState,
        username: Option<&str>,
    ) -> Result<Option<SecretString>, Problem> {
        match username {
            Some(username) => Ok(state.access().password(username).await?),
            None => Ok(None),
        }
    }

    /// The name, if it is one of a local account's: anything else may be a password in the wrong field.
    fn account_name(&self) -> Option<&str> {
        let known = self.hash.is_some();
        self.username.as_deref().filter(|_| known)
    }

    /// Ends what has just begun for `account` if there has been a new password since.
    pub(super) async fn confirm(self, state: &ApiState, account: AccountId) -> Result<(), Problem> {
        let now = Self::read(state, self.username.as_deref()).await?;
        let text =
            |hash: &Option<SecretString>| hash.as_ref().map(|hash| hash.expose_secret().to_owned());
        if text(&now) == text(&self.hash) {
            if let Some(name) = self.account_name() {
                state.limits().refusals.know(name, account);
            }
            return Ok(());
        }
        state.sessions().end_everywhere(account).await?;
        Err(Kind::PasswordRefused {
            reason: "the name or the password is wrong",
        }
        .into())
    }
}

async fn sign_in_checked(
    state: &ApiState,
    headers: &HeaderMap,
    checked: Checked,
    browser: &Browser,
) -> Result<SignedIn, Problem> {
    let mut signed_in = establish(state, headers, checked.identity).await?;
    checked.kept.confirm(state, signed_in.account.id).await?;
    signed_in.cookies.extend(browser.cookie());
    Ok(signed_in)
}

/// Whose the name and the password are; wrong ones are tried no oftener than the buckets allow. What begins by it is
/// to be [confirmed](Kept::confirm).
pub(super) async fn check(
    state: &ApiState,
    username: String,
    password: SecretString,
    address: IpAddr,
    browser: Option<&Browser>,
) -> Result<Checked, Problem> {
    let local = state.providers().local.as_ref();
    let local = local.ok_or(Kind::NotFound(Missing::Provider))?;
    let tried = state.limits().password(&username, address, browser)?;
    let kept = match Kept::of(state, &username).await {
        Ok(kept) => kept,
        Err(problem) => {
            state.limits().forget(&tried);
            return Err(problem);
        }
    };
    let answer = LoginAnswer::Password { username, password };
    let outcome = local.finish(answer).await;
    state.limits().settle(&tried, &outcome);
    if matches!(outcome, Err(IdentityError::Refused { .. })) {
        audit::sign_in_refused(state, address, kept.account_name());
    }
    match outcome {
        Ok(logged_in) => Ok(Checked {
            identity: logged_in.identity,
            kept,
        }),
        Err(error) => Err(Problem::of_provider(error, |reason| {
            Kind::PasswordRefused { reason }
        })),
    }
}

/// A browser names its origin with every POST; a program has none to name.
pub(super) fn from_our_page_or_program(
    headers: &HeaderMap,
    state: &ApiState,
) -> Result<(), Problem> {
    let by_browser = headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site");
    if by_browser {
        csrf::same_origin(headers, state.public_url())?;
    }
    Ok(())
}
