//! What to tell the operator when a provider refuses us, by the names of our settings.

use openclaw_tenancy::identity::IdentityError;

use super::config::{ClientCredential, METHODS, OidcConfig};
use super::discovery::Metadata;
use super::exchange;
use crate::echo::echo;

/// So many of the provider's own words are repeated in a message.
const MAX_LISTED: usize = 8;

/// The token endpoint took neither our client id nor the proof of it.
pub(super) fn client_refused(
    config: &OidcConfig,
    metadata: &Metadata,
    answer: &str,
) -> IdentityError {
    let change = change(config, metadata.auth_methods.as_deref());
    let encoding = encoding(config);
    misconfigured(
        config,
        &format!(
            "the token endpoint answered {answer} to the client credentials: {change}; if client_auth is right, \
             correct client_id and client_secret{encoding}"
        ),
    )
}

/// Why right credentials may not be known: Canaille, for one, does not decode what RFC 6749 §2.3.1 has encoded.
fn encoding(config: &OidcConfig) -> &'static str {
    match &config.credential {
        ClientCredential::Basic(secret) if exchange::basic_encodes(&config.client_id, secret) => {
            "; one of them has characters that \"basic\" sends form-encoded (RFC 6749 §2.3.1), and some providers read \
             it as it stands: \"post\", or a secret of letters and digits, works there too"
        }
        ClientCredential::Basic(_) | ClientCredential::Post(_) | ClientCredential::Public => "",
    }
}

/// The client is known, and may not do what we do.
pub(super) fn flow_refused(config: &OidcConfig) -> IdentityError {
    misconfigured(
        config,
        &format!(
            "the token endpoint answered unauthorized_client: at the provider, allow the client `{}` the grant type \
             authorization_code, or correct client_id",
            config.client_id
        ),
    )
}

/// The provider's description rules our way to prove to be a client out.
pub(super) fn method_not_listed(config: &OidcConfig, listed: Option<&[String]>) -> IdentityError {
    let method = config.credential.method();
    let change = change(config, listed);
    misconfigured(
        config,
        &format!("`token_endpoint_auth_methods_supported` in discovery lacks `{method}`: {change}"),
    )
}

fn misconfigured(config: &OidcConfig, what: &str) -> IdentityError {
    IdentityError::Misconfigured {
        what: format!("the provider with issuer `{}`: {what}", config.issuer),
    }
}

/// Which values of `client_auth` may be right instead of what it is.
fn change(config: &OidcConfig, listed: Option<&[String]>) -> String {
    let now = config.credential.names().setting;
    let fits = |method: &str| listed.is_none_or(|listed| listed.iter().any(|name| name == method));
    let values: Vec<String> = METHODS
        .iter()
        .filter(|names| names.setting != now && fits(names.method))
        .map(|names| format!("\"{}\" ({})", names.setting, names.method))
        .collect();
    let lists = match listed {
        Some([]) => "it lists no method".to_owned(),
        Some(listed) => {
            let shown: Vec<String> = listed
                .iter()
                .take(MAX_LISTED)
                .map(|name| echo(name))
                .collect();
            format!("it lists {}", shown.join(", "))
        }
        None => "it does not list what it takes".to_owned(),
    };
    if values.is_empty() {
        return format!(
            "client_auth is \"{now}\", and {lists}: register the client there with client_secret_basic \
             (client_auth = \"basic\") or client_secret_post (client_auth = \"post\")"
        );
    }
    format!(
        "client_auth is \"{now}\", and {lists}; set client_auth to {}, as the client is registered there",
        values.join(" or ")
    )
}
