//! The `UserInfo` request (OIDC Core §5.3): many providers tell the e-mail address only here.

use openclaw_tenancy::error::Source;
use openclaw_tenancy::identity::IdentityError;
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use super::config::{refused, unusable};
use crate::identity::fetch::Fetcher;
use crate::json;

/// The claims at `endpoint`, if they are about `subject`.
pub(super) async fn userinfo(
    fetcher: &Fetcher,
    endpoint: &Url,
    access_token: &SecretString,
    subject: &str,
) -> Result<Map<String, Value>, IdentityError> {
    let answer = fetcher.get(endpoint, Some(access_token)).await?;
    if answer.media_type().as_deref() == Some("application/jwt") {
        return Err(unusable(
            "the provider signs its UserInfo; register the client without \
             userinfo_signed_response_alg",
        ));
    }
    let body = answer.ok(endpoint)?;
    let claims = json::object(&body).map_err(|error| IdentityError::Unavailable {
        reason: "the UserInfo response is not acceptable".to_owned(),
        source: Some(Source::from(error)),
    })?;
    // OIDC Core §5.3.2: an access token swapped on the way would bring somebody else's claims.
    if claims.get("sub").and_then(Value::as_str) != Some(subject) {
        return Err(refused("the UserInfo response is about somebody else"));
    }
    Ok(claims)
}
