//! The provider's own description (OpenID Connect Discovery 1.0, RFC 8414).

use std::sync::Arc;

use openclaw_tenancy::clock::Clock;
use openclaw_tenancy::error::Source;
use openclaw_tenancy::identity::IdentityError;
use serde_json::{Map, Value};
use url::Url;

use super::config::{OidcConfig, unusable};
use super::registration;
use crate::identity::fetch::Fetcher;
use crate::identity::jwks::Jwks;
use crate::json;

/// What we use of the description, checked.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) jwks: Arc<Jwks>,
    /// `token_endpoint_auth_methods_supported`, where the provider tells.
    pub(super) auth_methods: Option<Vec<String>>,
    /// The provider promises `iss` in each authorization response (RFC 9207 §3).
    pub(super) iss_promised: bool,
}

/// Fetches and checks the description of `config.issuer`. The keys in `known` are kept if their address is the same.
pub(super) async fn discover(
    config: &OidcConfig,
    fetcher: &Fetcher,
    clock: &Arc<dyn Clock>,
    known: Option<Arc<Jwks>>,
) -> Result<Metadata, IdentityError> {
    let address = well_known(&config.issuer)?;
    let body = fetcher.get(&address, None).await?.ok(&address)?;
    let document = json::object(&body).map_err(|error| IdentityError::Unavailable {
        reason: "the discovery document is not acceptable".to_owned(),
        source: Some(Source::from(error)),
    })?;

    // Discovery §4.3: without this, one provider could describe itself as another.
    if document.get("issuer").and_then(Value::as_str) != Some(&*config.issuer) {
        return Err(unusable(format!(
            "the discovery document's issuer is not `{}` to the letter",
            config.issuer
        )));
    }
    lists(&document, "response_types_supported", "code")?;
    // RFC 9700 §2.1.1: a provider that knows PKCE and not S256 would let us be downgraded.
    lists(&document, "code_challenge_methods_supported", "S256")?;
    let auth_methods = texts(&document, "token_endpoint_auth_methods_supported");
    let method = config.credential.method();
    let taken = match &auth_methods {
        Some(listed) => listed.iter().any(|name| name == method),
        // The default of Discovery §3.
        None => method == "client_secret_basic",
    };
    if !taken {
        return Err(registration::method_not_listed(
            config,
            auth_methods.as_deref(),
        ));
    }

    let endpoint = |name: &str| -> Result<Option<Url>, IdentityError> {
        let Some(value) = document.get(name) else {
            return Ok(None);
        };
        let url = value.as_str().and_then(|text| Url::parse(text).ok());
        let url = url.ok_or_else(|| unusable(format!("`{name}` in discovery is no URL")))?;
        fetcher.check(&url)?;
        Ok(Some(url))
    };
    let required =
        |name: &str| endpoint(name)?.ok_or_else(|| unusable(format!("discovery has no `{name}`")));
    let jwks_uri = required("jwks_uri")?;
    let jwks = known
        .filter(|keys| *keys.url() == jwks_uri)
        .unwrap_or_else(|| {
            let (fetcher, clock) = (fetcher.clone(), Arc::clone(clock));
            Arc::new(Jwks::new(jwks_uri, fetcher, clock, config.rsa_algorithm))
        });
    Ok(Metadata {
        authorization_endpoint: required("authorization_endpoint")?,
        token_endpoint: required("token_endpoint")?,
        userinfo_endpoint: endpoint("userinfo_endpoint")?,
        jwks,
        auth_methods,
        iss_promised: document.get("authorization_response_iss_parameter_supported")
            == Some(&Value::Bool(true)),
    })
}

/// Discovery §4: the issuer without its trailing slash, and the path.
fn well_known(issuer: &str) -> Result<Url, IdentityError> {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{issuer}/.well-known/openid-configuration"))
        .map_err(|_| unusable("the issuer is no URL"))
}

/// The texts in the list `name`; nothing but texts counts.
fn texts(document: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    let list = document
        .get(name)?
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let texts = list.iter().filter_map(Value::as_str).map(str::to_owned);
    Some(texts.collect())
}

/// Whether `value` is in the list `name`. The default of an absent list contains it, or says nothing.
fn lists(document: &Map<String, Value>, name: &str, value: &str) -> Result<(), IdentityError> {
    match texts(document, name) {
        Some(listed) if !listed.iter().any(|entry| entry == value) => {
            Err(unusable(format!("`{name}` in discovery lacks `{value}`")))
        }
        Some(_) | None => Ok(()),
    }
}
