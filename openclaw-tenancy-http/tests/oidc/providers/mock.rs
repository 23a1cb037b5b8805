//! The Python package `oidc-provider-mock`: what developers sign in at while they write an application.

use openclaw_tenancy_http::identity::oidc::ClientCredential;
use test_support::provider::REDIRECT_URI;
use test_support::provider::mock;
use test_support::provider::python::python;

use super::{Make, config, relying_party};

/// That a sign-in goes through where discovery says little, no `iss` comes and tokens have no `kid`.
///
/// It proves nothing of our credential, our redirect address or our PKCE verifier: this provider takes any. So the code
/// that is slipped in comes through here, and what refuses it is our nonce alone, which the others never let us see.
#[tokio::test]
async fn a_provider_that_checks_nothing_signs_people_in() {
    let Some(python) = python(mock::SERVICE) else {
        return;
    };
    let provider = mock::start(&python, REDIRECT_URI).await;
    let basic = ClientCredential::Basic("any secret".into());
    let make = Make {
        relying_party: relying_party(config(provider.issuer(), "any-client", basic)),
        provider,
        says_verified: true,
        promises_iss: false,
        // It answers without the state that it was given.
        declined: "the provider's answer has no state",
        injected_code: "the token belongs to another sign-in",
    };
    make.keeps_the_rules().await;
}
