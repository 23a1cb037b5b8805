//! The identity kit holds a provider of bearer tokens alone, such as API keys of your own.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_tenancy::conformance::identity::IdentityFixture;
use openclaw_tenancy::identity::{
    Identity, IdentityError, IdentityProvider, LoggedIn, LoginAnswer, LoginRequest, LoginStep,
    Subject,
};
use secrecy::{ExposeSecret as _, SecretString};

const ISSUER: &str = "keys";

/// Each key is `key-` and its owner.
#[derive(Debug)]
struct Keys;

fn people() -> [Subject; 2] {
    ["ada", "grace"].map(|name| Subject::new(ISSUER, name))
}

fn key(who: &Subject) -> String {
    format!("key-{}", who.subject)
}

#[async_trait]
impl IdentityProvider for Keys {
    fn issuer(&self) -> &str {
        ISSUER
    }

    async fn verify(&self, token: &SecretString) -> Result<Identity, IdentityError> {
        people()
            .into_iter()
            .find(|who| key(who) == token.expose_secret())
            .map(Identity::new)
            .ok_or(IdentityError::Refused { reason: "no key" })
    }

    async fn begin(&self, _: LoginRequest) -> Result<LoginStep, IdentityError> {
        Err(IdentityError::Unsupported { what: "a sign-in" })
    }

    async fn finish(&self, _: LoginAnswer) -> Result<LoggedIn, IdentityError> {
        Err(IdentityError::Unsupported { what: "a sign-in" })
    }
}

#[derive(Debug)]
struct Fixture;

#[async_trait]
impl IdentityFixture for Fixture {
    fn provider(&self) -> Arc<dyn IdentityProvider> {
        Arc::new(Keys)
    }

    fn people(&self) -> [Subject; 2] {
        people()
    }

    async fn token(&self, who: &Subject) -> Option<SecretString> {
        Some(key(who).into())
    }

    async fn answer(&self, _: &Subject, step: LoginStep, _: &SecretString) -> LoginAnswer {
        panic!("there is no sign-in that could ask for {step:?}")
    }

    async fn finish(&self) {}
}

openclaw_tenancy::conformance_identity!(async { Some(Fixture) });
