//! The npm package `oidc-provider`: certified, and strict.

use openclaw_tenancy_http::identity::oidc::ClientCredential;
use test_support::provider::REDIRECT_URI;
use test_support::provider::strict::{self, CLIENT_ID, CLIENT_SECRET};

use super::{CANCELLED, Make, config, relying_party, sign_in};
use crate::support::misconfigured;

#[tokio::test]
async fn a_strict_provider_signs_people_in() {
    let Some(folder) = strict::folder() else {
        return;
    };
    let provider = strict::start(&folder, REDIRECT_URI).await;
    let basic = ClientCredential::Basic(CLIENT_SECRET.into());
    let make = Make {
        relying_party: relying_party(config(provider.issuer(), CLIENT_ID, basic)),
        provider,
        says_verified: true,
        promises_iss: true,
        declined: CANCELLED,
        injected_code: "the provider refused the code",
    };
    make.keeps_the_rules().await;
}

#[tokio::test]
async fn a_strict_provider_refuses_a_wrong_client_secret() {
    let Some(folder) = strict::folder() else {
        return;
    };
    let provider = strict::start(&folder, REDIRECT_URI).await;
    let wrong = ClientCredential::Basic("another secret".into());
    let config = config(provider.issuer(), CLIENT_ID, wrong);
    let outcome = sign_in(&provider, config, "bob").await;
    let what = misconfigured(outcome);
    assert!(what.contains("client_secret"), "{what}");
}
