//! A real sign-in at a strict provider of somebody else's making: the npm package `oidc-provider`.

use std::sync::Arc;

use openclaw_tenancy::clock::{SystemClock, SystemEntropy};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy_http::identity::fetch::PlainHttp;
use openclaw_tenancy_http::identity::oidc::{ClientCredential, OidcConfig, OidcProvider};
use test_support::provider::REDIRECT_URI;
use test_support::provider::strict::{self, CLIENT_ID, CLIENT_SECRET, PASSWORD, StrictProvider};

use crate::support::{self, BROWSER, reason};

fn relying_party(issuer: &str, credential: ClientCredential) -> OidcProvider {
    let mut config = OidcConfig::new(issuer, CLIENT_ID, credential, REDIRECT_URI.parse().unwrap());
    config.plain_http = PlainHttp::LoopbackOnly;
    config.scopes.push("groups".to_owned());
    let store = Arc::new(MemoryAccess::new());
    OidcProvider::new(
        config,
        store,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    )
    .unwrap()
}

#[tokio::test]
async fn a_strict_provider_signs_people_in() {
    let Some(folder) = strict::folder() else {
        return;
    };
    let provider = StrictProvider::start(&folder, REDIRECT_URI).await;
    let basic = ClientCredential::Basic(CLIENT_SECRET.into());
    let relying_party = relying_party(provider.issuer(), basic);

    let url = support::begin(&relying_party).await.unwrap();
    let query = provider.authorize(&url, "ann", PASSWORD).await;
    let identity = support::finish(&relying_party, &query, BROWSER)
        .await
        .unwrap()
        .identity;
    assert_eq!(identity.who.issuer, provider.issuer());
    assert_eq!(identity.who.subject, "ann");
    assert_eq!(identity.email.as_deref(), Some("ann@example.com"));
    assert!(identity.email_verified);
    assert_eq!(identity.name.as_deref(), Some("Ann Example"));
    assert_eq!(identity.groups.iter().collect::<Vec<_>>(), ["staff"]);

    // Once is once, and a wrong password is nobody.
    assert!(
        support::finish(&relying_party, &query, BROWSER)
            .await
            .is_err()
    );
    let url = support::begin(&relying_party).await.unwrap();
    let query = provider.authorize(&url, "ann", "wrong").await;
    let refused = support::finish(&relying_party, &query, BROWSER).await;
    assert_eq!(reason(refused), "the sign-in was cancelled at the provider");
}

#[tokio::test]
async fn a_strict_provider_refuses_a_wrong_client_secret() {
    let Some(folder) = strict::folder() else {
        return;
    };
    let provider = StrictProvider::start(&folder, REDIRECT_URI).await;
    let wrong = ClientCredential::Basic("another secret".into());
    let relying_party = relying_party(provider.issuer(), wrong);
    let url = support::begin(&relying_party).await.unwrap();
    let query = provider.authorize(&url, "bob", PASSWORD).await;
    let what = support::misconfigured(support::finish(&relying_party, &query, BROWSER).await);
    assert!(what.contains("client_secret"), "{what}");
}
