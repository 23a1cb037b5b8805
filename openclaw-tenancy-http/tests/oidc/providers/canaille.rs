//! The Python package `Canaille`: an identity server that people run.

use openclaw_tenancy_http::identity::jwt::Algorithm;
use openclaw_tenancy_http::identity::oidc::ClientCredential;
use test_support::provider::REDIRECT_URI;
use test_support::provider::canaille::{
    self, AWKWARD_BASIC, AWKWARD_POST, AWKWARD_SECRET, CLIENT_ID, CLIENT_SECRET, PUBLIC,
    WITHOUT_ALGORITHM, WITHOUT_AUDIENCE,
};
use test_support::provider::program::ProviderProgram;
use test_support::provider::python::python;

use super::{CANCELLED, Make, config, relying_party, sign_in};
use crate::support::{misconfigured, reason};

async fn start() -> Option<ProviderProgram> {
    let python = python(canaille::SERVICE)?;
    Some(canaille::start(&python, REDIRECT_URI).await)
}

fn basic(secret: &str) -> ClientCredential {
    ClientCredential::Basic(secret.into())
}

#[tokio::test]
async fn canaille_signs_people_in() {
    let Some(provider) = start().await else {
        return;
    };
    let make = Make {
        relying_party: relying_party(config(provider.issuer(), CLIENT_ID, basic(CLIENT_SECRET))),
        provider,
        says_verified: false,
        promises_iss: true,
        declined: CANCELLED,
        injected_code: "the provider refused the code",
    };
    make.keeps_the_rules().await;
}

/// How a client is registered there decides what its tokens say, and we take less than it sends.
#[tokio::test]
async fn canaille_is_refused_what_it_sends_to_clients_that_are_registered_by_halves() {
    let Some(provider) = start().await else {
        return;
    };
    let half = |client_id| config(provider.issuer(), client_id, basic(CLIENT_SECRET));
    let outcome = sign_in(&provider, half(WITHOUT_AUDIENCE), "ann").await;
    assert_eq!(reason(outcome), "the token is for another audience");

    let outcome = sign_in(&provider, half(WITHOUT_ALGORITHM), "ann").await;
    assert_eq!(reason(outcome), "the token's algorithm is not acceptable");
    let mut agreed = half(WITHOUT_ALGORITHM);
    agreed.rsa_algorithm = Algorithm::Rs512;
    sign_in(&provider, agreed, "bob").await.unwrap();
}

/// It reads a Basic credential as it stands, although RFC 6749 §2.3.1 has it form-encoded.
#[tokio::test]
async fn canaille_knows_its_clients_in_each_way_that_it_offers() {
    let Some(provider) = start().await else {
        return;
    };
    let as_client = |client_id, credential| {
        let config = config(provider.issuer(), client_id, credential);
        sign_in(&provider, config, "ann")
    };
    let post = ClientCredential::Post(AWKWARD_SECRET.into());
    as_client(AWKWARD_POST, post).await.unwrap();
    as_client(PUBLIC, ClientCredential::Public).await.unwrap();

    let encoded = "some providers read it as it stands";
    let what = misconfigured(as_client(CLIENT_ID, basic("another-secret")).await);
    assert!(
        what.contains("correct client_id and client_secret"),
        "{what}"
    );
    assert!(!what.contains(encoded), "{what}");
    let what = misconfigured(as_client(AWKWARD_BASIC, basic(AWKWARD_SECRET)).await);
    assert!(what.contains(encoded), "{what}");
}
