//! The identity port in memory: tokens that a test hands out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use crate::identity::{
    Identity, IdentityError, IdentityProvider, LoggedIn, LoginAnswer, LoginRequest, LoginStep,
};

/// An [`IdentityProvider`] that knows the tokens and passwords it was given. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryIdentity {
    issuer: String,
    tokens: Arc<Mutex<BTreeMap<String, Identity>>>,
}

impl MemoryIdentity {
    /// A provider that knows nobody.
    #[must_use]
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            tokens: Arc::default(),
        }
    }

    /// From now on `token` is a bearer token of this identity, and the password of its subject.
    pub fn know(&self, token: &str, identity: Identity) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(token.to_owned(), identity);
    }

    fn find(&self, token: &SecretString) -> Result<Identity, IdentityError> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tokens.get(token.expose_secret()).cloned();
        found.ok_or(IdentityError::Refused {
            reason: "unknown token",
        })
    }
}

#[async_trait]
impl IdentityProvider for MemoryIdentity {
    fn issuer(&self) -> &str {
        &self.issuer
    }

    async fn verify(&self, token: &SecretString) -> Result<Identity, IdentityError> {
        self.find(token)
    }

    async fn begin(&self, _request: LoginRequest) -> Result<LoginStep, IdentityError> {
        Ok(LoginStep::Password)
    }

    async fn finish(&self, answer: LoginAnswer) -> Result<LoggedIn, IdentityError> {
        match answer {
            LoginAnswer::Password { username, password } => {
                let identity = self.find(&password)?;
                if identity.who.subject == username {
                    Ok(LoggedIn {
                        identity,
                        return_to: None,
                    })
                } else {
                    Err(IdentityError::Refused {
                        reason: "unknown name or password",
                    })
                }
            }
            LoginAnswer::Callback { .. } => Err(IdentityError::Unsupported { what: "a callback" }),
        }
    }
}
