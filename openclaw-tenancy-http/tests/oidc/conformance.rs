//! Our providers keep every rule of the core's kit: local accounts, and OpenID Connect against a provider of ours.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use openclaw_tenancy::access::Replace;
use openclaw_tenancy::clock::{SystemClock, SystemEntropy};
use openclaw_tenancy::conformance::identity::IdentityFixture;
use openclaw_tenancy::identity::{IdentityProvider, LoginAnswer, LoginStep, Subject};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy_http::identity::local::{ISSUER, LocalAccounts};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use crate::support::{World, parameter};

/// Two local accounts. They have no bearers of a provider's and no callback: the rules of those say that they skip.
#[derive(Debug)]
struct Accounts(Arc<LocalAccounts>);

impl Accounts {
    async fn new() -> Self {
        let store = Arc::new(MemoryAccess::new());
        let accounts =
            LocalAccounts::new(store, Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap();
        for name in ["ada", "grace"] {
            let added = accounts.set_password(name, password(name), Replace::No);
            assert!(added.await.unwrap(), "{name}");
        }
        Self(Arc::new(accounts))
    }
}

fn password(name: &str) -> SecretString {
    SecretString::from(format!("the long password of {name}"))
}

#[async_trait]
impl IdentityFixture for Accounts {
    fn provider(&self) -> Arc<dyn IdentityProvider> {
        Arc::clone(&self.0) as _
    }

    fn people(&self) -> [Subject; 2] {
        ["ada", "grace"].map(|name| Subject {
            issuer: ISSUER.to_owned(),
            subject: name.to_owned(),
        })
    }

    async fn token(&self, _: &Subject) -> Option<SecretString> {
        None
    }

    async fn answer(&self, who: &Subject, step: LoginStep, _: &SecretString) -> LoginAnswer {
        assert!(matches!(step, LoginStep::Password), "{step:?}");
        LoginAnswer::Password {
            username: who.subject.clone(),
            password: password(&who.subject),
        }
    }

    async fn finish(&self) {}
}

mod local_accounts {
    use super::Accounts;

    openclaw_tenancy::conformance_identity!(async { Some(Accounts::new().await) });
}

const AUDIENCE: &str = "urn:test:api";

/// A provider with two people.
struct Oidc {
    world: Arc<World>,
    /// Who signed in, by the sign-in's nonce, as the provider remembers it until the code is redeemed.
    signed_in: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Oidc {
    async fn new() -> Self {
        let world = World::with(|config| config.bearer_audience = Some(AUDIENCE.to_owned())).await;
        let signed_in = Arc::<Mutex<BTreeMap<String, String>>>::default();
        let known = Arc::clone(&signed_in);
        // One sign-in is redeemed at a time: whose the access token is that UserInfo is asked with.
        let redeemed = Arc::new(Mutex::new(Value::Null));
        let asked = Arc::clone(&redeemed);
        world.provider.bend(|bends| {
            bends.claims = Box::new(move |claims| {
                let nonce = claims["nonce"].as_str().unwrap();
                claims["sub"] = json!(known.lock().unwrap()[nonce]);
                redeemed.lock().unwrap().clone_from(&claims["sub"]);
            });
            bends.userinfo = Box::new(move |document| {
                document["sub"].clone_from(&asked.lock().unwrap());
            });
        });
        Self {
            world: Arc::new(world),
            signed_in,
        }
    }

    fn remember(&self, nonce: String, who: &Subject) {
        let mut signed_in = self.signed_in.lock().unwrap();
        signed_in.insert(nonce, who.subject.clone());
    }
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").finish_non_exhaustive()
    }
}

#[async_trait]
impl IdentityFixture for Oidc {
    fn provider(&self) -> Arc<dyn IdentityProvider> {
        Arc::clone(&self.world.relying_party) as _
    }

    fn people(&self) -> [Subject; 2] {
        ["ada", "grace"].map(|subject| Subject {
            issuer: self.world.provider.issuer().to_owned(),
            subject: subject.to_owned(),
        })
    }

    async fn token(&self, who: &Subject) -> Option<SecretString> {
        let mut claims: Value = self.world.provider.good_claims("unused");
        claims.as_object_mut()?.remove("nonce");
        claims["aud"] = json!(AUDIENCE);
        claims["sub"] = json!(who.subject);
        let token = self
            .world
            .provider
            .key()
            .token(&json!({ "typ": "at+jwt" }), &claims);
        Some(SecretString::from(token))
    }

    async fn answer(&self, who: &Subject, step: LoginStep, browser: &SecretString) -> LoginAnswer {
        let LoginStep::Redirect { url } = step else {
            panic!("{step:?}")
        };
        let sent: Url = url.parse().unwrap();
        let nonce = parameter(sent.query().unwrap(), "nonce");
        self.remember(nonce, who);
        LoginAnswer::Callback {
            query: self.world.provider.authorize(&url).await,
            browser: browser.clone(),
        }
    }

    async fn finish(&self) {}
}

mod open_id_connect {
    use super::Oidc;

    openclaw_tenancy::conformance_identity!(async { Some(Oidc::new().await) });
}
