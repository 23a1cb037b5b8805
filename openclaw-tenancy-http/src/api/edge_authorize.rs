//! Hands a signed-in browser over to its own instance's host name, by a code that works once.
//!
//! ```text
//! instance host, no cookie ─► /api/edge/authorize?slug=&challenge=&return_to= ─► instance host /…/handover?code=
//! ```
//!
//! The challenge binds the code to the browser that asked: it is the hash of a secret that only that browser
//! has, in a cookie of the instance's host. A code that is read out of a URL is of no use elsewhere.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use openclaw_tenancy::access::{Grant, GrantKind, SecretHash};
use openclaw_tenancy::tenancy::TenancyError;
use secrecy::ExposeSecret as _;
use serde_json::json;
use url::Url;

use super::problem::{Kind, Missing, Problem};
use super::state::ApiState;
use super::{audit, query};
use crate::access::caller::Caller;
use crate::identity::{return_path, secret};

/// How long a code holds: one redirect.
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Where an instance's host name takes the code.
const HANDOVER: &str = "/__openclaw-tenancy/handover";

/// `GET /api/edge/authorize`: to somebody else's host name the answer is that of one that never existed.
pub(super) async fn hand_over(
    State(state): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let raw = raw.as_deref();
    let challenge = challenge(raw)?;
    let slug = query::one(raw, "slug")?.unwrap_or_default();
    let account = caller.account.id;
    let view = match state.tenancy().mine(account).await {
        Ok(view) if view.tenant.slug.as_str() == slug => view,
        Ok(_) | Err(TenancyError::NoTenant) => return Err(Kind::NotFound(Missing::Instance).into()),
        Err(error) => return Err(error.into()),
    };
    let mut target = Url::parse(&view.url)
        .and_then(|url| url.join(HANDOVER))
        .map_err(|error| Problem::new(Kind::Internal).caused_by(error))?;
    let return_to = return_path::from_query(
        raw.unwrap_or_default(),
        "return_to",
        &target,
        &["/__openclaw-tenancy"],
    );
    let tenancy = state.tenancy();
    let code = secret::random(&**tenancy.entropy());
    let now = tenancy.clock().now();
    let session = caller.session().map(|session| hex::encode(session.hash.0));
    let data = json!({
        "tenant": view.tenant.id,
        "slug": slug,
        "challenge": challenge,
        "session": session,
    });
    let grant = Grant {
        kind: GrantKind::HandOver,
        secret: SecretHash::of(code.expose_secret()),
        account: Some(account),
        data: data.to_string(),
        created_at: now,
        expires_at: now.plus(CODE_LIFETIME),
    };
    state.access().put_grant(grant).await?;
    audit::done("instance.open", account, &view.tenant.id.to_string());
    target
        .query_pairs_mut()
        .append_pair("code", code.expose_secret())
        .append_pair("return_to", &return_to);
    Ok(Redirect::to(target.as_str()).into_response())
}

fn challenge(raw: Option<&str>) -> Result<String, Problem> {
    const RULE: &str = "43 characters of base64url, the SHA-256 of the browser's secret";
    let challenge = query::one(raw, "challenge")?.unwrap_or_default();
    let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if challenge.len() == 43 && challenge.bytes().all(base64url) {
        Ok(challenge)
    } else {
        Err(query::invalid("challenge", Some(&challenge), RULE))
    }
}
