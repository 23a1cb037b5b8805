//! The only way to a provider: bounded in size and time, encrypted, and never redirected.
//!
//! A provider's answers name further addresses of it, so whoever controls one answer would otherwise choose
//! where we dial next (server-side request forgery), how long we wait and how much we hold.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode};
use openclaw_tenancy::error::Source;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

/// The whole exchange, from the first packet to the last byte.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Discovery documents and key sets are a few kilobytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Whether a provider may be spoken to in clear text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// Never: `https` only.
    #[default]
    Refused,
    /// To loopback addresses only: a provider on the developer's own machine.
    LoopbackOnly,
}

/// Asks a provider.
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    /// For loopback, where a proxy of the environment would dial its own machine instead of ours.
    loopback: Option<reqwest::Client>,
}

impl Fetcher {
    /// A fetcher that trusts the system's roots and the certificates in `extra_roots_pem`.
    ///
    /// # Errors
    /// [`FetchError::SetUp`] when the certificates do not parse or TLS cannot be set up.
    pub fn new(plain: PlainHttp, extra_roots_pem: Option<&[u8]>) -> Result<Self, FetchError> {
        let base = || -> Result<reqwest::ClientBuilder, reqwest::Error> {
            let builder = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(TIMEOUT)
                .connect_timeout(TIMEOUT)
                .referer(false)
                .user_agent(concat!("openclaw-tenancy/", env!("CARGO_PKG_VERSION")));
            Ok(match extra_roots_pem {
                Some(pem) => builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?),
                None => builder,
            })
        };
        let set_up = |source| FetchError::SetUp { source };
        let client = base()
            .map_err(set_up)?
            .https_only(true)
            .build()
            .map_err(set_up)?;
        let loopback = match plain {
            PlainHttp::Refused => None,
            PlainHttp::LoopbackOnly => {
                Some(base().map_err(set_up)?.no_proxy().build().map_err(set_up)?)
            }
        };
        Ok(Self { client, loopback })
    }

    /// Whether `url` may be asked at all: `https`, or `http` to loopback where that is allowed; no user name in it,
    /// no fragment.
    ///
    /// # Errors
    /// [`FetchError::Address`].
    pub fn check(&self, url: &Url) -> Result<(), FetchError> {
        let plain = self.loopback.is_some() && is_loopback(url);
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && plain);
        let bare =
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if scheme && bare && url.host().is_some() {
            Ok(())
        } else {
            Err(FetchError::Address { url: shown(url) })
        }
    }

    /// `GET`s a document, with `bearer` as the credential if there is one.
    pub(in crate::identity) async fn get(
        &self,
        url: &Url,
        bearer: Option<&SecretString>,
    ) -> Result<Answer, FetchError> {
        let mut request = self.client_for(url)?.get(url.clone());
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer.expose_secret());
        }
        self.send(url, request).await
    }

    /// `POST`s a form, with `authorization` as that header if there is one.
    pub(in crate::identity) async fn post_form(
        &self,
        url: &Url,
        form: &SecretString,
        authorization: Option<&SecretString>,
    ) -> Result<Answer, FetchError> {
        let mut request = self
            .client_for(url)?
            .post(url.clone())
            .header(
                http::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            )
            .body(form.expose_secret().to_owned());
        if let Some(value) = authorization {
            request = request.header(http::header::AUTHORIZATION, value.expose_secret());
        }
        self.send(url, request).await
    }

    fn client_for(&self, url: &Url) -> Result<&reqwest::Client, FetchError> {
        self.check(url)?;
        Ok(match &self.loopback {
            Some(loopback) if is_loopback(url) => loopback,
            Some(_) | None => &self.client,
        })
    }

    async fn send(
        &self,
        url: &Url,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, FetchError> {
        let failed = |source: reqwest::Error| FetchError::Transport {
            url: shown(url),
            // A request's URL can hold what must not be logged.
            source: source.without_url(),
        };
        let response = request
            .header(http::header::ACCEPT, "application/json")
            .send()
            .await
            .map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchError::Redirected { url: shown(url) });
        }
        let headers = response.headers().clone();
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk: Bytes = chunk.map_err(failed)?;
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(FetchError::TooLarge { url: shown(url) });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("loopback", &self.loopback.is_some())
            .finish_non_exhaustive()
    }
}

/// What a provider answered, whole.
pub(in crate::identity) struct Answer {
    pub(in crate::identity) status: StatusCode,
    pub(in crate::identity) headers: HeaderMap,
    pub(in crate::identity) body: Vec<u8>,
}

impl Answer {
    /// The body of a 200.
    pub(in crate::identity) fn ok(self, url: &Url) -> Result<Vec<u8>, FetchError> {
        if self.status == StatusCode::OK {
            Ok(self.body)
        } else {
            Err(FetchError::Status {
                url: shown(url),
                status: self.status.as_u16(),
            })
        }
    }

    /// The media type, in lower case and without parameters.
    pub(in crate::identity) fn media_type(&self) -> Option<String> {
        let value = self
            .headers
            .get(http::header::CONTENT_TYPE)?
            .to_str()
            .ok()?;
        Some(value.split(';').next()?.trim().to_ascii_lowercase())
    }
}

/// Why a provider's document cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The client cannot be set up.
    #[error("the HTTP client cannot be set up; check the extra CA certificates")]
    SetUp {
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// An address that must not be dialled.
    #[error("`{url}` is not acceptable: https is required (http only to loopback, where allowed)")]
    Address {
        /// Which.
        url: String,
    },
    /// No connection, no TLS, no answer in time.
    #[error("`{url}` did not answer")]
    Transport {
        /// Which.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// A redirect, which is never followed.
    #[error("`{url}` answered with a redirect, which is not followed")]
    Redirected {
        /// Which.
        url: String,
    },
    /// The answer is longer than 1 MiB.
    #[error("`{url}` answered with more than 1 MiB")]
    TooLarge {
        /// Which.
        url: String,
    },
    /// Another status than 200.
    #[error("`{url}` answered with status {status} instead of 200")]
    Status {
        /// Which.
        url: String,
        /// The status.
        status: u16,
    },
}

impl From<FetchError> for openclaw_tenancy::identity::IdentityError {
    fn from(error: FetchError) -> Self {
        Self::Unavailable {
            reason: error.to_string(),
            source: Some(Source::from(error)),
        }
    }
}

/// The address without its query, which can hold secrets.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // RFC 6761 §6.3: these names are loopback wherever they are asked.
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
