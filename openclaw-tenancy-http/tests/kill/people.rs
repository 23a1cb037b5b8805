//! Many people with one provider, who call the API with its bearer tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use test_support::provider::Provider;

/// The audience of the tokens.
const AUDIENCE: &str = "the API";

/// One request; a server that is being killed does not answer at all.
const REQUEST: Duration = Duration::from_secs(10);

/// The provider, and the way to the API.
pub(crate) struct People {
    provider: Provider,
    client: Client,
    api: String,
}

/// Somebody.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The subject at the provider.
    pub(crate) name: String,
    token: String,
    client: Client,
    api: String,
}

impl People {
    /// Starts a provider for a server that will serve its API on `port`.
    pub(crate) async fn start(port: u16) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .timeout(REQUEST)
            // Before the server closes one that rests, which may be just when the next request comes.
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        Self {
            provider: Provider::start(now()).await,
            client,
            api: format!("http://127.0.0.1:{port}"),
        }
    }

    /// The server's configuration of the provider; `admin` administers.
    pub(crate) fn section(&self) -> String {
        let issuer = self.provider.issuer();
        format!(
            r#"
[identity]
admins = [{{ issuer = "{issuer}", subject = "admin" }}]
[[identity.oidc]]
id = "company"
issuer = "{issuer}"
client_id = "tenancy"
client_secret = "of a test"
audience = "{AUDIENCE}"
plain_http_loopback = true
"#
        )
    }

    /// Somebody of this name.
    pub(crate) fn person(&self, name: &str) -> Person {
        let claims = json!({
            "iss": self.provider.issuer(),
            "sub": name,
            "aud": AUDIENCE,
            "iat": now(),
            "exp": now() + 3600,
        });
        let key = self.provider.key();
        Person {
            name: name.to_owned(),
            token: key.token(&json!({ "typ": "at+jwt" }), &claims),
            client: self.client.clone(),
            api: self.api.clone(),
        }
    }
}

impl Person {
    /// Asks the API; `None` when no whole answer came.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&Value, &str)>,
    ) -> Option<(u16, Value)> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.api))
            .bearer_auth(&self.token);
        if let Some((body, key)) = body {
            request = request.json(body).header("Idempotency-Key", key);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.ok()?))
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
