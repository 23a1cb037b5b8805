//! An OpenID Connect provider on loopback in which every field can be bent.
//!
//! Straight, it is strict: it checks the client's credential, the redirect address, PKCE, and that a code is
//! used once. Each test bends one thing and asserts that nobody gets in.
#![expect(
    clippy::expect_used,
    reason = "a double that cannot start fails its test, and says why"
)]

mod bend;
mod browser;
pub mod canaille;
mod endpoints;
mod forms;
pub mod keys;
pub mod mock;
pub mod program;
pub mod python;
pub mod strict;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::serve::Listener;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

pub use bend::{Bends, Edit, EditPairs, EditText, Endpoint, Fault, Signature, remove, set};
use keys::SigningKey;
use tls::TlsListener;

/// The client that the provider knows.
pub const CLIENT_ID: &str = "tenancy & co:1";
/// Its secret: with what form encoding changes, so that a client that forgets it fails.
pub const CLIENT_SECRET: &str = "s3cret+/=: &%ü";
/// Where the provider sends browsers back to, unless it is told otherwise ([`Provider::send_back_to`]).
pub const REDIRECT_URI: &str = "http://app.localhost:3000/auth/callback/provider";
/// Who signs in.
pub const SUBJECT: &str = "248289761001";

/// A running provider; it stops when dropped.
pub struct Provider {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    browser: reqwest::Client,
    certificate_pem: Option<String>,
}

/// The state behind the endpoints.
struct Shared {
    issuer: String,
    redirect_uri: Mutex<String>,
    now: AtomicI64,
    bends: Mutex<Bends>,
    keys: Mutex<Keys>,
    counts: Mutex<BTreeMap<Endpoint, usize>>,
    codes: Mutex<BTreeMap<String, Request>>,
    last_token_request: Mutex<Option<TokenRequest>>,
    sent: AtomicU64,
}

struct Keys {
    /// The first one signs; every one is in the key set.
    published: Vec<Arc<SigningKey>>,
    made: usize,
}

/// An authorization request whose code has not been redeemed.
#[derive(Debug, Clone)]
struct Request {
    redirect_uri: String,
    nonce: Option<String>,
    challenge: String,
    scope: String,
}

/// A token request as it arrived.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The form.
    pub form: BTreeMap<String, String>,
}

impl Provider {
    /// Starts a provider whose clock stands at `now` (seconds since the epoch), with one RS256 key.
    ///
    /// # Panics
    /// When loopback cannot be bound.
    pub async fn start(now: i64) -> Self {
        let (listener, address) = bind().await;
        Self::serve(listener, &format!("http://{address}"), now, None)
    }

    /// Starts it behind TLS, with a certificate of its own ([`Self::certificate_pem`]).
    ///
    /// # Panics
    /// When loopback cannot be bound or no certificate can be made.
    pub async fn start_tls(now: i64) -> Self {
        let (listener, address) = bind().await;
        let (listener, pem) = TlsListener::new(listener);
        Self::serve(listener, &format!("https://{address}"), now, Some(pem))
    }

    fn serve<L>(listener: L, issuer: &str, now: i64, certificate_pem: Option<String>) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let shared = Arc::new(Shared {
            issuer: issuer.to_owned(),
            redirect_uri: Mutex::new(REDIRECT_URI.to_owned()),
            now: AtomicI64::new(now),
            bends: Mutex::default(),
            keys: Mutex::new(Keys {
                published: vec![Arc::new(SigningKey::pooled("key-1", 0))],
                made: 1,
            }),
            counts: Mutex::default(),
            codes: Mutex::default(),
            last_token_request: Mutex::default(),
            sent: AtomicU64::new(0),
        });
        let router = endpoints::router(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // Ends only by being dropped.
            let _ = axum::serve(listener, router).await;
        });
        let browser = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(true)
            .no_proxy()
            .build()
            .expect("a client");
        Self {
            shared,
            server,
            browser,
            certificate_pem,
        }
    }

    /// The certificate of [`Self::start_tls`].
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        self.certificate_pem
            .as_deref()
            .expect("the provider was started behind TLS")
    }

    /// The issuer, which is also the base of every address.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// Knows the client by another redirect address from now on: that of a server whose port was not known before.
    pub fn send_back_to(&self, redirect_uri: &str) {
        redirect_uri.clone_into(&mut lock(&self.shared.redirect_uri));
    }

    /// Changes how the provider behaves from now on.
    pub fn bend(&self, change: impl FnOnce(&mut Bends)) {
        change(&mut lock(&self.shared.bends));
    }

    /// Makes the whole endpoint misbehave.
    pub fn fault(&self, endpoint: Endpoint, fault: Fault) {
        self.bend(|bends| {
            bends.faults.insert(endpoint, fault);
        });
    }

    /// Straight again.
    pub fn straighten(&self) {
        *lock(&self.shared.bends) = Bends::default();
    }

    /// How often an endpoint was asked.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> usize {
        lock(&self.shared.counts)
            .get(&endpoint)
            .copied()
            .unwrap_or(0)
    }

    /// Bytes of oversized and dripping bodies that were handed to the network.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// The last token request.
    #[must_use]
    pub fn last_token_request(&self) -> Option<TokenRequest> {
        lock(&self.shared.last_token_request).clone()
    }

    /// Sets the provider's clock.
    pub fn set_time(&self, now: i64) {
        self.shared.now.store(now, Ordering::SeqCst);
    }

    /// Replaces every key by another RS256 key with a `kid` of its own.
    pub fn rotate(&self) {
        let mut keys = lock(&self.shared.keys);
        let number = keys.made;
        keys.made += 1;
        let kid = format!("key-{}", keys.made);
        keys.published = vec![Arc::new(SigningKey::pooled(&kid, number))];
    }

    /// Publishes exactly these keys; the first one signs.
    pub fn publish(&self, keys: Vec<SigningKey>) {
        lock(&self.shared.keys).published = keys.into_iter().map(Arc::new).collect();
    }

    /// The key that signs.
    ///
    /// # Panics
    /// When no key is published.
    #[must_use]
    pub fn key(&self) -> Arc<SigningKey> {
        self.shared.key()
    }

    /// The claims of a good ID token with this nonce, as a forger would copy them.
    #[must_use]
    pub fn good_claims(&self, nonce: &str) -> Value {
        self.shared.claims(Some(nonce))
    }

    /// Follows an authorization request as a browser does whose person agrees to everything.
    /// Returns the query string that the browser brings back.
    ///
    /// # Panics
    /// When the provider refuses the request.
    pub async fn authorize(&self, url: &str) -> String {
        let response = self
            .browser
            .get(url)
            .send()
            .await
            .expect("the provider answers");
        let status = response.status();
        assert_eq!(
            status.as_u16(),
            303,
            "{}",
            response.text().await.unwrap_or_default()
        );
        let location = response.headers()["location"]
            .to_str()
            .expect("a URL in ASCII");
        let location = Url::parse(location).expect("an absolute URL");
        location.query().unwrap_or_default().to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.shared.issuer)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn key(&self) -> Arc<SigningKey> {
        Arc::clone(&lock(&self.keys).published[0])
    }

    fn claims(&self, nonce: Option<&str>) -> Value {
        let now = self.now.load(Ordering::SeqCst);
        let mut claims = json!({
            "iss": self.issuer,
            "sub": SUBJECT,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "auth_time": now - 2,
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        claims
    }
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback can be bound");
    let address = listener
        .local_addr()
        .expect("a bound listener has an address");
    (listener, address)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
