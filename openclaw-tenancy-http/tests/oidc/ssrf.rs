//! A5: what a provider's answers make us dial, wait for and hold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openclaw_tenancy::clock::{ManualClock, SystemEntropy, Timestamp};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy_http::identity::fetch::PlainHttp;
use openclaw_tenancy_http::identity::oidc::OidcProvider;
use serde_json::json;
use test_support::provider::{Endpoint, Fault, Provider, set};

use crate::support::{self, BROWSER, NOW, World, config, unavailable};

#[tokio::test]
async fn a05_ssrf_redirects_are_never_followed() {
    for endpoint in [
        Endpoint::Discovery,
        Endpoint::Jwks,
        Endpoint::Token,
        Endpoint::Userinfo,
    ] {
        let world = World::new().await;
        world.provider.fault(endpoint, Fault::Redirect);
        let reason = world.unavailable().await;
        assert!(
            reason.ends_with("answered with a redirect, which is not followed"),
            "{reason}"
        );
        assert_eq!(world.provider.count(Endpoint::Elsewhere), 0, "{endpoint:?}");
    }
}

#[tokio::test]
async fn a05_ssrf_a_body_of_100_mb_is_left_after_one() {
    for endpoint in [
        Endpoint::Discovery,
        Endpoint::Jwks,
        Endpoint::Token,
        Endpoint::Userinfo,
    ] {
        let world = World::new().await;
        world.provider.fault(endpoint, Fault::Huge);
        let reason = world.unavailable().await;
        assert!(
            reason.ends_with("answered with more than 1 MiB"),
            "{reason}"
        );
        let sent = world.provider.sent();
        assert!(
            sent < 20_000_000,
            "{endpoint:?}: {sent} bytes were taken off the provider's hands"
        );
    }
}

/// Each in its own time: five seconds, whether the provider drips or is silent.
#[tokio::test]
async fn a05_ssrf_drips_and_silence_end_after_five_seconds() {
    let endpoints = [
        Endpoint::Discovery,
        Endpoint::Jwks,
        Endpoint::Token,
        Endpoint::Userinfo,
    ];
    let cases = endpoints.iter().flat_map(|endpoint| {
        [Fault::Drip, Fault::Silent].map(|fault| async move {
            let world = World::new().await;
            world.provider.fault(*endpoint, fault.clone());
            let started = started();
            let reason = world.unavailable().await;
            assert!(
                reason.ends_with("did not answer"),
                "{endpoint:?} {fault:?}: {reason}"
            );
            started.elapsed()
        })
    });
    let waited = futures::future::join_all(cases).await;
    let longest = waited.iter().max().unwrap();
    println!("longest wait for a provider that drips or is silent: {longest:?}");
    assert!(*longest < Duration::from_secs(25), "{longest:?}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "real time of a real timeout, printed and loosely bounded"
)]
fn started() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn a05_ssrf_discovery_names_no_address_that_we_would_not_dial() {
    let world = World::new().await;
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
    ] {
        for address in [
            "http://id.example/x",
            "http://10.0.0.1/x",
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/x",
            "http://127.0.0.1.evil.example/x",
            "http://localhost.evil.example/x",
            "file:///etc/passwd",
            "ftp://127.0.0.1/x",
            "gopher://127.0.0.1/x",
            "unix:///var/run/docker.sock",
            "data:application/json,{}",
            "https://user:password@127.0.0.1/x",
            "https://127.0.0.1/x#fragment",
            "//127.0.0.1/x",
            "/x",
            "",
        ] {
            // A world a case would be slow, and the ration would end a single one.
            world.clock.advance(Duration::from_secs(30));
            world
                .provider
                .bend(|bends| bends.discovery = set(name, json!(address)));
            let result = world.relying_party.check().await;
            let reason = unavailable(result);
            let told = reason.contains("is not acceptable") || reason.contains("is no URL");
            assert!(told, "{name} {address}: {reason}");
        }
        world.clock.advance(Duration::from_secs(30));
        world
            .provider
            .bend(|bends| bends.discovery = set(name, json!(7)));
        assert!(world.relying_party.check().await.is_err());
    }
    assert_eq!(world.provider.count(Endpoint::Jwks), 0);
}

#[tokio::test]
async fn a05_ssrf_plain_http_needs_the_flag_and_loopback() {
    let store = || Arc::new(MemoryAccess::new());
    let clock = ManualClock::new(Timestamp::default());
    let refused = |issuer: &str, plain: PlainHttp| {
        let mut config = config(issuer);
        config.plain_http = plain;
        OidcProvider::new(
            config,
            store(),
            Arc::new(clock.clone()),
            Arc::new(SystemEntropy),
        )
        .err()
        .map(|error| error.to_string())
    };
    for issuer in ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"] {
        let why = refused(issuer, PlainHttp::Refused).unwrap();
        assert!(
            why.contains("issuer") && why.contains(issuer) && why.contains("https"),
            "{why}"
        );
        assert_eq!(refused(issuer, PlainHttp::LoopbackOnly), None);
    }
    for issuer in [
        "http://id.example",
        "http://192.168.0.1",
        "http://0.0.0.0",
        "https://id.example?x",
        "https://id.example#x",
        "https://user@id.example",
        "id.example",
        "",
    ] {
        assert!(
            refused(issuer, PlainHttp::LoopbackOnly).is_some(),
            "{issuer}"
        );
    }
    assert_eq!(refused("https://id.example", PlainHttp::Refused), None);
}

/// A certificate that nobody vouches for ends every request, and one more root is all that changes it.
#[tokio::test]
async fn a05_ssrf_tls_is_verified() {
    let provider = Provider::start_tls(NOW).await;
    let store = Arc::new(MemoryAccess::new());
    let clock = ManualClock::new(Timestamp::from_seconds(NOW));
    let mut config = config(provider.issuer());
    config.plain_http = PlainHttp::Refused;
    let distrusting = support::relying_party(config.clone(), &store, &clock);
    let reason = unavailable(support::begin(&distrusting).await);
    assert!(reason.ends_with("did not answer"), "{reason}");
    assert_eq!(provider.count(Endpoint::Discovery), 0);

    config.extra_roots_pem = Some(provider.certificate_pem().as_bytes().to_vec());
    let trusting = support::relying_party(config.clone(), &store, &clock);
    let query = provider
        .authorize(&support::begin(&trusting).await.unwrap())
        .await;
    support::finish(&trusting, &query, BROWSER).await.unwrap();

    config.extra_roots_pem = Some(b"-----BEGIN CERTIFICATE-----\nnone\n".to_vec());
    let error = OidcProvider::new(config, store, Arc::new(clock), Arc::new(SystemEntropy))
        .map(|_| ())
        .unwrap_err();
    assert!(error.to_string().contains("extra_roots_pem"), "{error}");
}

/// TLS and then a step down: the addresses in discovery may not be plain, even on loopback.
#[tokio::test]
async fn a05_ssrf_no_step_down_from_tls() {
    let provider = Provider::start_tls(NOW).await;
    let store = Arc::new(MemoryAccess::new());
    let clock = ManualClock::new(Timestamp::from_seconds(NOW));
    let mut config = config(provider.issuer());
    config.extra_roots_pem = Some(provider.certificate_pem().as_bytes().to_vec());
    let relying_party = support::relying_party(config, &store, &clock);
    provider.bend(|bends| bends.discovery = set("jwks_uri", json!("http://127.0.0.1:9/jwks")));
    let reason = unavailable(relying_party.check().await);
    assert!(reason.contains("is not acceptable"), "{reason}");
}
