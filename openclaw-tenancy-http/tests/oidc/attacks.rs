//! A1 to A5 and A9 of the attack table against the whole flow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openclaw_tenancy::access::{AccessStore as _, GrantKind, SecretHash};
use openclaw_tenancy::clock::{ManualClock, SystemEntropy, Timestamp};
use openclaw_tenancy::identity::{IdentityError, IdentityProvider as _, LoginAnswer, LoginRequest};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy_http::identity::fetch::PlainHttp;
use openclaw_tenancy_http::identity::oidc::{ClientCredential, OidcProvider};
use secrecy::SecretString;
use serde_json::json;
use test_support::provider::{CLIENT_ID, CLIENT_SECRET, Endpoint, Fault, Provider, remove, set};
use url::form_urlencoded;

use crate::support::{self, BROWSER, NOW, World, config, reason, unavailable};

const OTHER_BROWSER: &str = "0tHeRbRoWsEr0tHeRbRoWsEr0tHeRbRoWsEr0tHeRbR";

/// `query` with the parameter `name` set to `value`.
fn with(query: &str, name: &str, value: &str) -> String {
    let others = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key != name);
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .append_pair(name, value)
        .finish()
}

fn without(query: &str, name: &str) -> String {
    let others = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key != name);
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .finish()
}

fn parameter(query: &str, name: &str) -> String {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap()
}

/// The attacker begins a sign-in, stops before the last step, and has the victim's browser take it.
#[tokio::test]
async fn a01_login_csrf_a_foreign_code_and_state_are_refused() {
    let world = World::new().await;
    let attackers = world.callback().await;
    let refused = support::finish(&world.relying_party, &attackers, OTHER_BROWSER).await;
    assert_eq!(reason(refused), "the sign-in was begun in another browser");
    assert_eq!(
        world.provider.count(Endpoint::Token),
        0,
        "the code went nowhere"
    );
    let again = world.finish(&attackers).await;
    assert!(
        reason(again).starts_with("the sign-in is unknown"),
        "the state is used up"
    );
    assert_eq!(world.grants().await, 0);
}

#[tokio::test]
async fn a01_login_csrf_without_a_cookie_nothing_begins_or_ends() {
    let world = World::new().await;
    for browser in ["", "short"] {
        let request = LoginRequest {
            browser: browser.into(),
            return_to: "/".to_owned(),
        };
        let refused = reason(world.relying_party.begin(request).await);
        assert_eq!(refused, "the browser sent no pre-login cookie");
        let query = world.callback().await;
        assert!(
            support::finish(&world.relying_party, &query, browser)
                .await
                .is_err()
        );
    }
    assert_eq!(world.grants().await, 0);
}

#[tokio::test]
async fn a01_login_csrf_state_is_random_and_used_once() {
    let world = World::new().await;
    let query = world.callback().await;
    world.finish(&query).await.unwrap();
    let again = reason(world.finish(&query).await);
    assert_eq!(
        again,
        "the sign-in is unknown, already used or older than ten minutes"
    );
    let states: std::collections::BTreeSet<String> =
        futures::future::join_all((0..50).map(|_| world.callback()))
            .await
            .iter()
            .map(|query| parameter(query, "state"))
            .collect();
    assert_eq!(states.len(), 50);
}

#[tokio::test]
async fn a01_login_csrf_of_many_finishers_one_gets_in() {
    let world = World::new().await;
    let query = world.callback().await;
    let results = futures::future::join_all((0..32).map(|_| world.finish(&query))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(
        world.provider.count(Endpoint::Token),
        1,
        "the code is sent once"
    );
}

#[tokio::test]
async fn a01_login_csrf_state_ends_after_ten_minutes() {
    let world = World::new().await;
    let query = world.callback().await;
    world.advance(Duration::from_secs(599));
    assert!(world.finish(&query).await.is_ok());
    let query = world.callback().await;
    world.advance(Duration::from_secs(600));
    assert!(reason(world.finish(&query).await).starts_with("the sign-in is unknown"));
}

#[tokio::test]
async fn a01_login_csrf_bent_callbacks() {
    let world = World::new().await;
    let query = world.callback().await;
    for (bent, why) in [
        (String::new(), "the provider's answer has no state"),
        ("?".to_owned(), "the provider's answer has no state"),
        (
            without(&query, "state"),
            "the provider's answer has no state",
        ),
        (
            with(&query, "state", ""),
            "the provider's answer has no state",
        ),
        (
            with(&query, "state", "invented"),
            "the sign-in is unknown, already used or older than ten minutes",
        ),
        (
            format!("{query}&state=x"),
            "the provider's answer repeats a parameter",
        ),
        (
            format!("{query}&code=x"),
            "the provider's answer repeats a parameter",
        ),
        (
            format!("{query}&iss=x"),
            "the provider's answer repeats a parameter",
        ),
        (
            format!("{query}&x={}", "y".repeat(8192)),
            "the provider's answer is too long",
        ),
    ] {
        assert_eq!(reason(world.finish(&bent).await), why, "{bent}");
    }
    // None of those used the state up: its owner still gets in.
    assert!(world.finish(&query).await.is_ok());
}

#[tokio::test]
async fn errors_of_the_provider_end_the_sign_in() {
    let world = World::new().await;
    for (error, wanted) in [
        (
            "access_denied",
            Some("the sign-in was cancelled at the provider"),
        ),
        ("login_required", Some("the provider refused the sign-in")),
        ("<script>", Some("the provider refused the sign-in")),
        ("", Some("the provider refused the sign-in")),
        ("server_error", None),
        ("temporarily_unavailable", None),
    ] {
        // The code that stands beside an error is not taken.
        let query = with(&world.callback().await, "error", error);
        let result = world.finish(&query).await;
        match wanted {
            Some(wanted) => assert_eq!(reason(result), wanted, "{error}"),
            None => assert_eq!(
                unavailable(result),
                "the provider reports a fault of its own"
            ),
        }
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    assert_eq!(world.grants().await, 0);
}

/// Nothing that the store holds, and nothing in the callback's URL, is enough to make nonce or verifier.
#[tokio::test]
async fn a02_code_injection_the_store_keeps_no_secret() {
    let world = World::new().await;
    let url: url::Url = world.begin().await.unwrap().parse().unwrap();
    let query = url.query().unwrap();
    let state = SecretHash::of(&parameter(query, "state"));
    let now = Timestamp::from_seconds(NOW);
    let grant = world
        .store
        .grant(GrantKind::LoginState, state, now)
        .await
        .unwrap()
        .unwrap();
    for secret in [
        &parameter(query, "state"),
        &parameter(query, "nonce"),
        &parameter(query, "code_challenge"),
        BROWSER,
    ] {
        assert!(!grant.data.contains(secret), "{}", grant.data);
    }
    assert_eq!(
        grant.expires_at.since(grant.created_at),
        Duration::from_secs(600)
    );
}

/// The attacker's code in the victim's own callback: PKCE and the nonce belong to the victim's sign-in.
#[tokio::test]
async fn a02_code_injection_a_code_of_another_sign_in_is_refused() {
    let world = World::new().await;
    let stolen = parameter(&world.callback().await, "code");
    let query = with(&world.callback().await, "code", &stolen);
    assert_eq!(
        reason(world.finish(&query).await),
        "the provider refused the code"
    );
    // A provider that ignores the verifier: the nonce refuses it.
    let world = World::new().await;
    world
        .provider
        .bend(|bends| bends.claims = set("nonce", json!("of another sign-in")));
    assert_eq!(
        world.refused().await,
        "the token belongs to another sign-in"
    );
}

#[tokio::test]
async fn a02_pkce_is_refused_where_the_provider_lists_others_only() {
    let world = World::new().await;
    for methods in [json!(["plain"]), json!([]), json!("S256"), json!(null)] {
        let listed = methods.clone();
        world
            .provider
            .bend(|bends| bends.discovery = set("code_challenge_methods_supported", methods));
        let reason = world.unavailable().await;
        let wanted = "`code_challenge_methods_supported` in discovery lacks `S256`";
        assert_eq!(reason, wanted, "{listed}");
    }
    // One that says nothing is sent the challenge all the same.
    let world = World::new().await;
    world
        .provider
        .bend(|bends| bends.discovery = remove("code_challenge_methods_supported"));
    world.login().await.unwrap();
    let request = world.provider.last_token_request().unwrap();
    assert_eq!(request.form["code_verifier"].len(), 43);
}

/// Two providers of ours; one of them is hostile and sends the browser to the other, or back with its own answer.
#[tokio::test]
async fn a03_mix_up_two_providers_swapped() {
    let world = World::new().await;
    let other = Provider::start(NOW).await;
    let other_party = support::relying_party(config(other.issuer()), &world.store, &world.clock);

    // Begun at ours, finished at the other's redirect path.
    let query = world.callback().await;
    let refused = support::finish(&other_party, &query, BROWSER).await;
    assert_eq!(reason(refused), "the sign-in was begun at another provider");
    assert_eq!(
        other.count(Endpoint::Token),
        0,
        "our code never reached the other's token endpoint"
    );

    // The other's answer under the state of ours: RFC 9207's `iss` tells.
    let url = world.begin().await.unwrap();
    let state = parameter(url.split_once('?').unwrap().1, "state");
    let others = other
        .authorize(&support::begin(&other_party).await.unwrap())
        .await;
    let refused = world.finish(&with(&others, "state", &state)).await;
    assert_eq!(reason(refused), "the answer is from another provider");
    assert_eq!(
        world.provider.count(Endpoint::Token),
        0,
        "and its code never reached ours"
    );
}

#[tokio::test]
async fn a03_mix_up_iss_is_checked_when_sent_or_promised() {
    let world = World::new().await;
    let promised = "the answer does not name its provider";
    assert_eq!(
        reason(world.finish(&without(&world.callback().await, "iss")).await),
        promised
    );
    let errors = with(
        &without(&world.callback().await, "iss"),
        "error",
        "access_denied",
    );
    assert_eq!(reason(world.finish(&errors).await), promised);
    for iss in [
        "https://evil.example",
        "",
        &format!("{}/", world.provider.issuer()),
    ] {
        let refused = world
            .finish(&with(&world.callback().await, "iss", iss))
            .await;
        assert_eq!(
            reason(refused),
            "the answer is from another provider",
            "{iss}"
        );
    }

    let world = World::new().await;
    let name = "authorization_response_iss_parameter_supported";
    world.provider.bend(|bends| bends.discovery = remove(name));
    let silent = without(&world.callback().await, "iss");
    assert!(
        world.finish(&silent).await.is_ok(),
        "not promised, not sent"
    );
    let refused = world
        .finish(&with(
            &world.callback().await,
            "iss",
            "https://evil.example",
        ))
        .await;
    assert_eq!(
        reason(refused),
        "the answer is from another provider",
        "not promised, but sent"
    );
}

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

#[tokio::test]
async fn token_responses_that_cannot_be_used() {
    for (name, value) in [
        ("token_type", json!("mac")),
        ("token_type", json!(null)),
        ("id_token", json!(null)),
        ("id_token", json!(["x"])),
        ("access_token", json!(7)),
    ] {
        let world = World::new().await;
        world
            .provider
            .bend(|bends| bends.token_response = set(name, value));
        let reason = world.unavailable().await;
        assert!(reason.contains(name), "{reason}");
    }
    let world = World::new().await;
    world
        .provider
        .bend(|bends| bends.token_response = set("id_token", json!("a.b.c")));
    assert_eq!(
        world.refused().await,
        "the token is not a signed JWT in compact form"
    );
    for (status, body, told) in [
        (
            401,
            r#"{"error":"invalid_client"}"#,
            "refused our client credentials",
        ),
        (
            400,
            r#"{"error":"unauthorized_client"}"#,
            "refused our client credentials",
        ),
        (
            400,
            r#"{"error":"invalid_request"}"#,
            "status 400 instead of 200",
        ),
        (503, "down", "status 503 instead of 200"),
        (201, "{}", "status 201 instead of 200"),
    ] {
        let world = World::new().await;
        world
            .provider
            .fault(Endpoint::Token, Fault::Status(status, body));
        let reason = world.unavailable().await;
        assert!(reason.contains(told), "{reason}");
    }
}

#[tokio::test]
async fn a06_bad_id_token_through_the_whole_flow() {
    for (change, why) in [
        (
            set("exp", json!(NOW - 3600)),
            "the token has no expiry or has expired",
        ),
        (remove("exp"), "the token has no expiry or has expired"),
        (set("nbf", json!(NOW + 3600)), "the token is not valid yet"),
        (
            set("aud", json!([CLIENT_ID, "other"])),
            "the token was issued to another client",
        ),
        (
            set("azp", json!("other")),
            "the token was issued to another client",
        ),
        (
            set("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
            "the token belongs to another access token",
        ),
        (
            set("sub", json!("x".repeat(256))),
            "the token has no usable subject",
        ),
    ] {
        let world = World::new().await;
        world.provider.bend(|bends| bends.claims = change);
        assert_eq!(world.refused().await, why);
    }
    let world = World::new().await;
    world.provider.bend(|bends| {
        bends.claims_text = Box::new(|text| text.replacen('{', r#"{"sub":"admin","#, 1));
    });
    assert_eq!(
        world.refused().await,
        "the token's claims are not acceptable"
    );
}

#[tokio::test]
async fn client_secret_post_and_a_public_client() {
    let world = World::with(|config| {
        config.credential = ClientCredential::Post(CLIENT_SECRET.into());
    })
    .await;
    world.login().await.unwrap();
    let request = world.provider.last_token_request().unwrap();
    assert_eq!(request.authorization, None);
    assert_eq!(request.form["client_secret"], CLIENT_SECRET);

    let world = World::with(|config| config.credential = ClientCredential::Public).await;
    let reason = world.unavailable().await;
    assert_eq!(
        reason,
        "`token_endpoint_auth_methods_supported` in discovery lacks `none`"
    );
}

#[tokio::test]
async fn a09_token_confusion_bearers_of_a_provider() {
    let world = World::with(|config| config.bearer_audience = Some("the API".to_owned())).await;
    let key = world.provider.key();
    let bearer = |header: serde_json::Value, change: &dyn Fn(&mut serde_json::Value)| {
        let mut claims = world.provider.good_claims("unused");
        claims.as_object_mut().unwrap().remove("nonce");
        claims["aud"] = json!("the API");
        claims["groups"] = json!(["staff"]);
        change(&mut claims);
        SecretString::from(key.token(&header, &claims))
    };
    let relying_party = &world.relying_party;
    let verify = |token: SecretString| async move { relying_party.verify(&token).await };

    let identity = verify(bearer(json!({ "typ": "at+jwt" }), &|_| {}))
        .await
        .unwrap();
    assert_eq!(identity.groups.iter().collect::<Vec<_>>(), ["staff"]);
    for (token, why) in [
        (
            bearer(json!({}), &|claims| claims["aud"] = json!(CLIENT_ID)),
            "the token is for another audience",
        ),
        (
            bearer(json!({}), &|claims| claims["nonce"] = json!("n")),
            "an ID token is not a bearer token",
        ),
        (
            bearer(json!({}), &|claims| {
                claims["iss"] = json!("https://evil.example")
            }),
            "the token is from another issuer",
        ),
        (
            bearer(json!({}), &|claims| claims["exp"] = json!(NOW - 61)),
            "the token has no expiry or has expired",
        ),
        (
            bearer(json!({ "typ": "openclaw-api+jwt" }), &|_| {}),
            "the token is of another type",
        ),
        (
            SecretString::from("opaque"),
            "the token is not a signed JWT in compact form",
        ),
        (
            SecretString::from(""),
            "the token is not a signed JWT in compact form",
        ),
    ] {
        assert_eq!(reason(verify(token).await), why);
    }
}

#[tokio::test]
async fn a09_token_confusion_no_bearers_unless_configured_and_never_for_the_client_id() {
    let world = World::new().await;
    let token = SecretString::from("x");
    let refused = world.relying_party.verify(&token).await.unwrap_err();
    assert!(matches!(
        refused,
        IdentityError::Unsupported {
            what: "bearer tokens"
        }
    ));

    let mut config = config("https://id.example");
    config.bearer_audience = Some(CLIENT_ID.to_owned());
    let clock = Arc::new(world.clock.clone());
    let store = Arc::new(MemoryAccess::new());
    let error = OidcProvider::new(config, store, clock, Arc::new(SystemEntropy)).unwrap_err();
    assert!(error.to_string().contains("bearer_audience"), "{error}");
}

#[tokio::test]
async fn a_password_is_nothing_for_a_provider() {
    let world = World::new().await;
    let answer = LoginAnswer::Password {
        username: "ann".to_owned(),
        password: "password".into(),
    };
    let refused = world.relying_party.finish(answer).await.unwrap_err();
    assert!(matches!(
        refused,
        IdentityError::Unsupported { what: "passwords" }
    ));
}

/// A sign-in and the server's start survive a provider that is down; both work again when it is back.
#[tokio::test]
async fn a_provider_that_comes_back_is_used_again() {
    let world = World::new().await;
    world
        .provider
        .fault(Endpoint::Discovery, Fault::Status(502, "<html>"));
    assert!(world.unavailable().await.contains("status 502"));
    world.provider.straighten();
    world.login().await.unwrap();
    // Down again: what is known is used until it is old, and then still.
    world
        .provider
        .fault(Endpoint::Discovery, Fault::Status(502, "<html>"));
    world.advance(Duration::from_secs(7200));
    world.login().await.unwrap();
}

#[tokio::test]
async fn a28_secret_leak_nothing_secret_in_debug_or_errors() {
    let world = World::new().await;
    let query = world.callback().await;
    world.provider.fault(
        Endpoint::Token,
        Fault::Status(400, r#"{"error":"invalid_request"}"#),
    );
    let error = world.finish(&query).await.unwrap_err();
    let shown = format!(
        "{:?} {error:?} {error} {}",
        world.relying_party,
        openclaw_tenancy::error::chain(&error)
    );
    for secret in [
        CLIENT_SECRET,
        BROWSER,
        &parameter(&query, "code"),
        &parameter(&query, "state"),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
