//! Whole sign-ins at providers of somebody else's making, each held to the same.
//!
//! What a provider has to be bent for is with the hostile one. Signing out at a provider is nowhere here: we end
//! sessions of ours and ask no provider to end its own.

mod canaille;
mod mock;
mod strict;

use std::sync::Arc;

use openclaw_tenancy::clock::{SystemClock, SystemEntropy};
use openclaw_tenancy::identity::{IdentityError, LoggedIn};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy_http::identity::fetch::PlainHttp;
use openclaw_tenancy_http::identity::oidc::{ClientCredential, OidcConfig, OidcProvider};
use test_support::provider::REDIRECT_URI;
use test_support::provider::program::ProviderProgram;

use crate::support::{self, BROWSER, parameter, reason, with, without};

const CANCELLED: &str = "the sign-in was cancelled at the provider";
const UNKNOWN: &str = "the sign-in is unknown, already used or older than ten minutes";

/// A provider with our registration there, and what that provider is known to do.
struct Make {
    provider: ProviderProgram,
    relying_party: OidcProvider,
    /// Whether it says of its people's addresses that they are verified.
    says_verified: bool,
    /// Whether it promises `iss` in its answers (RFC 9207).
    promises_iss: bool,
    /// Why its answer to somebody who does not go through with a sign-in signs nobody in.
    declined: &'static str,
    /// Why a code of one sign-in is refused in another sign-in of the same browser.
    injected_code: &'static str,
}

impl Make {
    /// Begins a sign-in; the address that the browser is sent to.
    async fn begin(&self) -> String {
        support::begin(&self.relying_party).await.unwrap()
    }

    /// The provider's answer to a sign-in begun now, in which `login` goes through with it.
    async fn answer(&self, login: &str) -> String {
        self.provider.sign_in(&self.begin().await, login).await
    }

    async fn finish(&self, query: &str) -> Result<LoggedIn, IdentityError> {
        support::finish(&self.relying_party, query, BROWSER).await
    }

    /// Every rule that a sign-in at any provider keeps.
    async fn keeps_the_rules(&self) {
        self.signs_people_in().await;
        self.takes_an_answer_for_its_own_sign_in_alone().await;
        self.takes_no_answer_of_another_provider().await;
    }

    async fn signs_people_in(&self) {
        // First of all: who has agreed once may not be asked again.
        let query = self.provider.decline(&self.begin().await, "ann").await;
        assert_eq!(reason(self.finish(&query).await), self.declined);
        for (login, name, groups) in [
            ("ann", "Ann Example", &["staff"][..]),
            ("bob", "Bob Example", &[]),
        ] {
            let query = self.answer(login).await;
            let LoggedIn {
                identity,
                return_to,
            } = self.finish(&query).await.unwrap();
            assert_eq!(identity.who.issuer, self.provider.issuer());
            assert_eq!(identity.who.subject, login);
            assert_eq!(identity.email, Some(format!("{login}@example.com")));
            assert_eq!(identity.email_verified, self.says_verified);
            assert_eq!(identity.name.as_deref(), Some(name));
            assert_eq!(Vec::from_iter(&identity.groups), groups);
            assert_eq!(return_to.as_deref(), Some("/instances"));
            assert_eq!(reason(self.finish(&query).await), UNKNOWN, "once is once");
        }
    }

    async fn takes_an_answer_for_its_own_sign_in_alone(&self) {
        let query = self.answer("ann").await;
        let invented = with(&query, "state", &"x".repeat(43));
        assert_eq!(reason(self.finish(&invented).await), UNKNOWN);
        let elsewhere = BROWSER.replace('b', "c");
        let other = support::finish(&self.relying_party, &query, &elsewhere).await;
        assert_eq!(reason(other), "the sign-in was begun in another browser");

        // Somebody slips the code of a sign-in of his own into the victim's.
        let (own, victims) = (self.answer("bob").await, self.answer("ann").await);
        let injected = with(&victims, "code", &parameter(&own, "code"));
        assert_eq!(reason(self.finish(&injected).await), self.injected_code);
    }

    async fn takes_no_answer_of_another_provider(&self) {
        let query = self.answer("ann").await;
        assert_eq!(query.contains("iss="), self.promises_iss, "{query}");
        let other = with(&query, "iss", "https://evil.example");
        assert_eq!(
            reason(self.finish(&other).await),
            "the answer is from another provider"
        );
        let silent = without(&self.answer("ann").await, "iss");
        if self.promises_iss {
            assert_eq!(
                reason(self.finish(&silent).await),
                "the answer does not name its provider"
            );
        } else {
            self.finish(&silent).await.unwrap();
        }
    }
}

/// Our registration as `client_id`, with a scope for groups.
fn config(issuer: &str, client_id: &str, credential: ClientCredential) -> OidcConfig {
    let redirect_uri = REDIRECT_URI.parse().unwrap();
    let mut config = OidcConfig::new(issuer, client_id, credential, redirect_uri);
    config.plain_http = PlainHttp::LoopbackOnly;
    config.scopes.push("groups".to_owned());
    config
}

fn relying_party(config: OidcConfig) -> OidcProvider {
    OidcProvider::new(
        config,
        Arc::new(MemoryAccess::new()),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    )
    .unwrap()
}

/// A whole sign-in.
async fn sign_in(
    provider: &ProviderProgram,
    config: OidcConfig,
    login: &str,
) -> Result<LoggedIn, IdentityError> {
    let relying_party = relying_party(config);
    let url = support::begin(&relying_party).await.unwrap();
    let query = provider.sign_in(&url, login).await;
    support::finish(&relying_party, &query, BROWSER).await
}
