//! The token request: the code for an ID token and an access token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use openclaw_tenancy::error::Source;
use openclaw_tenancy::identity::IdentityError;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::config::{ClientCredential, OidcConfig, refused, unusable};
use super::discovery::Metadata;
use super::registration;
use crate::identity::fetch::{Answer, Fetcher};
use crate::json;

/// A token response (OIDC Core §3.1.3.3), nothing of it verified.
pub(super) struct Tokens {
    pub(super) id_token: SecretString,
    pub(super) access_token: SecretString,
}

/// Redeems `code` (RFC 6749 §4.1.3, RFC 7636 §4.5).
pub(super) async fn redeem(
    config: &OidcConfig,
    fetcher: &Fetcher,
    metadata: &Metadata,
    code: &SecretString,
    verifier: &SecretString,
) -> Result<Tokens, IdentityError> {
    let form = form(config, code, verifier);
    let authorization = match &config.credential {
        ClientCredential::Basic(secret) => Some(basic(&config.client_id, secret)),
        ClientCredential::Post(_) | ClientCredential::Public => None,
    };
    let answer = fetcher
        .post_form(&metadata.token_endpoint, &form, authorization.as_ref())
        .await?;
    if answer.status != StatusCode::OK {
        return Err(failure(answer, config, metadata));
    }
    let answer = json::object(&answer.body).map_err(|error| IdentityError::Unavailable {
        reason: "the token response is not acceptable".to_owned(),
        source: Some(Source::from(error)),
    })?;
    let bearer = text(&answer, "token_type").is_some_and(|t| t.eq_ignore_ascii_case("bearer"));
    if !bearer {
        return Err(unusable("the token response's token_type is not Bearer"));
    }
    let secret = |name: &str| {
        text(&answer, name)
            .map(SecretString::from)
            .ok_or_else(|| unusable(format!("the token response has no {name}")))
    };
    Ok(Tokens {
        id_token: secret("id_token")?,
        access_token: secret("access_token")?,
    })
}

fn form(config: &OidcConfig, code: &SecretString, verifier: &SecretString) -> SecretString {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code.expose_secret())
        .append_pair("redirect_uri", config.redirect_uri.as_str())
        .append_pair("code_verifier", verifier.expose_secret());
    match &config.credential {
        ClientCredential::Basic(_) => {}
        ClientCredential::Post(secret) => {
            form.append_pair("client_id", &config.client_id)
                .append_pair("client_secret", secret.expose_secret());
        }
        ClientCredential::Public => {
            form.append_pair("client_id", &config.client_id);
        }
    }
    SecretString::from(form.finish())
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they are joined, so that a colon in one does no harm.
fn basic(client_id: &str, secret: &SecretString) -> SecretString {
    let secret = form_encoded(secret.expose_secret());
    let pair = format!("{}:{secret}", form_encoded(client_id));
    SecretString::from(format!("Basic {}", STANDARD.encode(pair)))
}

/// Whether [`basic`] sends anything else than the id and the secret themselves.
pub(super) fn basic_encodes(client_id: &str, secret: &SecretString) -> bool {
    let changed = |text: &str| form_encoded(text) != text;
    changed(client_id) || changed(secret.expose_secret())
}

fn form_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// An error response (RFC 6749 §5.2), without the provider's own words: they can hold what we sent.
fn failure(answer: Answer, config: &OidcConfig, metadata: &Metadata) -> IdentityError {
    let error = json::object(&answer.body).ok();
    match error.as_ref().and_then(|body| text(body, "error")) {
        Some("invalid_grant") => refused("the provider refused the code"),
        Some("invalid_client") => registration::client_refused(config, metadata, "invalid_client"),
        Some("unauthorized_client") => registration::flow_refused(config),
        // RFC 6749 §5.2: the status of `invalid_client`, from a provider that does not say so.
        None if answer.status == StatusCode::UNAUTHORIZED => {
            registration::client_refused(config, metadata, "401")
        }
        Some(_) | None => match answer.ok(&metadata.token_endpoint) {
            Err(error) => error.into(),
            Ok(_) => unusable("the token endpoint's answer cannot be used"),
        },
    }
}

fn text<'m>(body: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    body.get(name)?.as_str()
}
