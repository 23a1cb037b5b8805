//! A provider by callback, with one bug.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use openclaw_tenancy::conformance::identity::IdentityFixture;
use openclaw_tenancy::identity::{
    Identity, IdentityError, IdentityProvider, LoggedIn, LoginAnswer, LoginRequest, LoginStep,
    Subject,
};
use secrecy::{ExposeSecret, SecretString};

/// What a provider does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    EverybodyIsOne,
    TokensOnce,
    EmptyIsSomebody,
    Trims,
    ReturnsToTheStart,
    LastStateWins,
    AnyBrowser,
    Replays,
}

/// A provider whose code is the subject's name, and two people.
#[derive(Debug, Clone)]
pub(crate) struct People {
    bug: Bug,
    /// Logins that have begun: by state, the browser and the return path.
    begun: Arc<Mutex<BTreeMap<String, (String, String)>>>,
    used: Arc<Mutex<BTreeSet<String>>>,
}

impl People {
    pub(crate) fn new(bug: Bug) -> Self {
        Self {
            bug,
            begun: Arc::default(),
            used: Arc::default(),
        }
    }

    fn identity(&self, subject: &str) -> Result<Identity, IdentityError> {
        let known = ["ada", "grace"].into_iter().find(|name| *name == subject);
        let known = match self.bug {
            Bug::EmptyIsSomebody if subject.is_empty() => Some("ada"),
            Bug::EverybodyIsOne => known.map(|_| "grace"),
            _ => known,
        };
        Ok(Identity {
            who: who(known.ok_or(REFUSED)?),
            email: None,
            email_verified: false,
            name: None,
            groups: BTreeSet::new(),
        })
    }
}

const REFUSED: IdentityError = IdentityError::Refused { reason: "unknown" };

fn who(subject: &str) -> Subject {
    Subject {
        issuer: "callback".to_owned(),
        subject: subject.to_owned(),
    }
}

#[async_trait]
impl IdentityProvider for People {
    fn issuer(&self) -> &'static str {
        "callback"
    }

    async fn verify(&self, token: &SecretString) -> Result<Identity, IdentityError> {
        let mut token = token.expose_secret();
        if self.bug == Bug::Trims {
            token = token.trim();
        }
        if self.bug == Bug::TokensOnce && !self.used.lock().unwrap().insert(token.to_owned()) {
            return Err(REFUSED);
        }
        self.identity(token)
    }

    async fn begin(&self, request: LoginRequest) -> Result<LoginStep, IdentityError> {
        let mut begun = self.begun.lock().unwrap();
        let state = format!("s{}", begun.len());
        let browser = request.browser.expose_secret().to_owned();
        begun.insert(state.clone(), (browser, request.return_to));
        Ok(LoginStep::Redirect { url: state })
    }

    async fn finish(&self, answer: LoginAnswer) -> Result<LoggedIn, IdentityError> {
        let LoginAnswer::Callback { query, browser } = answer else {
            return Err(IdentityError::Unsupported { what: "passwords" });
        };
        let fields: Vec<_> = query.split('&').filter_map(|f| f.split_once('=')).collect();
        if fields.len() != 2 && self.bug != Bug::LastStateWins {
            return Err(REFUSED);
        }
        let field = |name| {
            let found = fields.iter().rev().find(|(is, _)| *is == name);
            found.map(|(_, value)| *value).ok_or(REFUSED)
        };
        let (state, code) = (field("state")?, field("code")?);
        let mut begun = self.begun.lock().unwrap();
        let (began, return_to) = begun.get(state).cloned().ok_or(REFUSED)?;
        if began != browser.expose_secret() && self.bug != Bug::AnyBrowser {
            return Err(REFUSED);
        }
        if self.bug != Bug::Replays {
            begun.remove(state);
        }
        Ok(LoggedIn {
            identity: self.identity(code)?,
            return_to: match self.bug {
                Bug::ReturnsToTheStart => Some("/".to_owned()),
                _ => Some(return_to),
            },
        })
    }
}

#[async_trait]
impl IdentityFixture for People {
    fn provider(&self) -> Arc<dyn IdentityProvider> {
        Arc::new(self.clone())
    }

    fn people(&self) -> [Subject; 2] {
        ["ada", "grace"].map(who)
    }

    async fn token(&self, who: &Subject) -> Option<SecretString> {
        Some(SecretString::from(who.subject.clone()))
    }

    async fn answer(&self, who: &Subject, step: LoginStep, browser: &SecretString) -> LoginAnswer {
        let LoginStep::Redirect { url } = step else {
            panic!("a redirect was begun")
        };
        LoginAnswer::Callback {
            query: format!("state={url}&code={}", who.subject),
            browser: browser.clone(),
        }
    }

    async fn finish(&self) {}
}
