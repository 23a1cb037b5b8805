//! What the operator says about a provider.

use openclaw_tenancy::identity::IdentityError;
use secrecy::SecretString;
use url::Url;

use crate::identity::fetch::{FetchError, Fetcher, PlainHttp};
use crate::identity::jwt::Algorithm;

/// A provider and our registration with it.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    /// The issuer, to the letter as the provider states it in its discovery document: a trailing slash counts.
    pub issuer: String,
    /// Our client id.
    pub client_id: String,
    /// How we prove to be that client.
    pub credential: ClientCredential,
    /// Where the provider sends the browser back to. Each provider has a path of its own, so that one
    /// provider's answer is never taken for another's (RFC 9700 §4.4.2.2).
    pub redirect_uri: Url,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// The `aud` of JWT access tokens that the API takes as bearers; `None`: it takes none of this provider's.
    pub bearer_audience: Option<String>,
    /// The claim with the person's groups or roles; dots lead into objects (`realm_access.roles`).
    pub groups_claim: String,
    /// The algorithm of RSA keys that do not name one: the client's `id_token_signed_response_alg`.
    pub rsa_algorithm: Algorithm,
    /// Whether a provider on loopback may be spoken to without TLS.
    pub plain_http: PlainHttp,
    /// Certificates to trust beside the system's, in PEM.
    pub extra_roots_pem: Option<Vec<u8>>,
}

/// How a client proves to be itself at the token endpoint (OIDC Core §9).
#[derive(Debug, Clone)]
pub enum ClientCredential {
    /// `client_secret_basic`: what providers take unless told otherwise.
    Basic(SecretString),
    /// `client_secret_post`.
    Post(SecretString),
    /// `none`: a public client; PKCE alone protects the code.
    Public,
}

/// The names of a [`ClientCredential`].
#[derive(Debug, Clone, Copy)]
pub(super) struct MethodNames {
    /// The value of our setting `client_auth`.
    pub(super) setting: &'static str,
    /// The method's name in `token_endpoint_auth_methods_supported`.
    pub(super) method: &'static str,
}

impl MethodNames {
    const BASIC: Self = Self::new("basic", "client_secret_basic");
    const POST: Self = Self::new("post", "client_secret_post");
    const NONE: Self = Self::new("none", "none");

    const fn new(setting: &'static str, method: &'static str) -> Self {
        Self { setting, method }
    }
}

/// Those of every credential there is.
pub(super) const METHODS: [MethodNames; 3] =
    [MethodNames::BASIC, MethodNames::POST, MethodNames::NONE];

impl ClientCredential {
    /// The method's name in `token_endpoint_auth_methods_supported`.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        self.names().method
    }

    pub(super) const fn names(&self) -> MethodNames {
        match self {
            Self::Basic(_) => MethodNames::BASIC,
            Self::Post(_) => MethodNames::POST,
            Self::Public => MethodNames::NONE,
        }
    }
}

impl OidcConfig {
    /// The usual: scopes `email` and `profile`, groups in `groups`, RS256, TLS, no bearers.
    #[must_use]
    pub fn new(
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        credential: ClientCredential,
        redirect_uri: Url,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            credential,
            redirect_uri,
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            bearer_audience: None,
            groups_claim: "groups".to_owned(),
            rsa_algorithm: Algorithm::Rs256,
            plain_http: PlainHttp::Refused,
            extra_roots_pem: None,
        }
    }

    /// Checks every field and makes the client that will speak to the provider.
    pub(super) fn checked(&self) -> Result<Fetcher, OidcConfigError> {
        // A provider behind TLS must not lead us to an address without it.
        let plain = if self.issuer.starts_with("https:") {
            PlainHttp::Refused
        } else {
            self.plain_http
        };
        let fetcher = Fetcher::new(plain, self.extra_roots_pem.as_deref())?;
        let invalid = |field, value: &str, fix| {
            let value = value.chars().take(200).collect();
            Err(OidcConfigError::Invalid { field, value, fix })
        };
        let issuer = Url::parse(&self.issuer).ok().filter(|url| {
            fetcher.check(url).is_ok() && url.query().is_none() && !self.issuer.contains('#')
        });
        if issuer.is_none() {
            return invalid(
                "issuer",
                &self.issuer,
                "give the provider's https URL without query or fragment, \
                 as `issuer` in its /.well-known/openid-configuration has it",
            );
        }
        if self.client_id.is_empty() {
            return invalid(
                "client_id",
                "",
                "give the id that the provider registered for us",
            );
        }
        if self.bearer_audience.as_deref() == Some(&*self.client_id) {
            return invalid(
                "bearer_audience",
                &self.client_id,
                "it must differ from client_id, or ID tokens would pass for access tokens; \
                 register an API (resource) of its own with the provider",
            );
        }
        let redirect = &self.redirect_uri;
        if !matches!(redirect.scheme(), "https" | "http") || redirect.fragment().is_some() {
            return invalid(
                "redirect_uri",
                redirect.as_str(),
                "give an http or https URL without fragment",
            );
        }
        let token = |scope: &String| {
            // RFC 6749 §3.3.
            !scope.is_empty()
                && scope
                    .bytes()
                    .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
        };
        if let Some(scope) = self.scopes.iter().find(|scope| !token(scope)) {
            return invalid("scopes", scope, "give one scope an entry, without spaces");
        }
        Ok(fetcher)
    }
}

/// What is wrong with an [`OidcConfig`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcConfigError {
    /// A field.
    #[error("oidc {field} `{value}` is not acceptable: {fix}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Its value, cut to 200 characters; never a secret.
        value: String,
        /// What to write instead.
        fix: &'static str,
    },
    /// The extra certificates.
    #[error("oidc extra_roots_pem is not acceptable: give certificates in PEM")]
    Roots(#[from] FetchError),
}

/// A refusal with its stable reason.
pub(super) const fn refused(reason: &'static str) -> IdentityError {
    IdentityError::Refused { reason }
}

/// The provider does what it must not, or cannot be used as configured.
pub(super) fn unusable(reason: impl Into<String>) -> IdentityError {
    IdentityError::Unavailable {
        reason: reason.into(),
        source: None,
    }
}
