//! A8: rotation and floods, and the rest of A5's limits on key sets.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::{Clock, ManualClock, Timestamp};
use openclaw_tenancy::identity::IdentityError;
use openclaw_tenancy_http::identity::fetch::{Fetcher, PlainHttp};
use openclaw_tenancy_http::identity::jwks::Jwks;
use openclaw_tenancy_http::identity::jwt::{Algorithm, Claims, Expect, Profile, UnverifiedToken};
use serde_json::json;
use test_support::provider::keys::{SigningKey, compact, hs256};
use test_support::provider::{Endpoint, Fault, Provider, SUBJECT, set};

use crate::support::{NOW, reason, unavailable};

const AUDIENCE: &str = "api";

struct Keys {
    provider: Provider,
    clock: ManualClock,
    jwks: Jwks,
}

impl Keys {
    async fn new() -> Self {
        let provider = Provider::start(NOW).await;
        let clock = ManualClock::new(Timestamp::from_seconds(NOW));
        let url = format!("{}/jwks", provider.issuer()).parse().unwrap();
        let fetcher = Fetcher::new(PlainHttp::LoopbackOnly, None).unwrap();
        let jwks = Jwks::new(url, fetcher, Arc::new(clock.clone()), Algorithm::Rs256);
        Self {
            provider,
            clock,
            jwks,
        }
    }

    /// A token signed by `key`.
    fn token(&self, key: &SigningKey) -> String {
        let now = self.clock.now().as_seconds();
        let issuer = self.provider.issuer();
        let claims =
            json!({ "iss": issuer, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "exp": now + 60 });
        key.token(&json!({}), &claims)
    }

    async fn verify(&self, token: &str) -> Result<Claims, IdentityError> {
        let issuer = self.provider.issuer();
        let expect = Expect {
            issuer,
            audience: AUDIENCE,
            profile: Profile::AccessToken,
        };
        self.jwks
            .verify(&UnverifiedToken::parse(token)?, &expect)
            .await
    }

    fn fetches(&self) -> usize {
        self.provider.count(Endpoint::Jwks)
    }
}

/// A token under a `kid` that nobody has. What it is signed with is never looked at.
fn unknown(keys: &Keys, number: usize) -> String {
    let header = json!({ "alg": "RS256", "kid": format!("unknown-{number}") });
    let claims = json!({ "iss": keys.provider.issuer(), "sub": SUBJECT });
    format!("{}.AA", compact(&header.to_string(), &claims.to_string()))
}

#[tokio::test]
async fn a08_jwks_flood_of_unknown_kids_is_rationed() {
    let keys = Keys::new().await;
    let good = keys.token(&keys.provider.key());
    keys.verify(&good).await.unwrap();
    let mut busy = 0;
    for number in 0..10_000 {
        // A minute of the flood, evenly.
        keys.clock.advance(Duration::from_millis(6));
        match keys.verify(&unknown(&keys, number)).await {
            Err(IdentityError::Refused { .. }) => {}
            Err(IdentityError::Busy { retry_after }) => {
                assert!(retry_after <= Duration::from_secs(30));
                busy += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let fetches = keys.fetches();
    println!("10,000 unknown kids in a minute: {fetches} fetches, {busy} told to wait");
    assert!(
        fetches <= 7,
        "the first load and six for the flood: {fetches}"
    );
    // Who comes with a known key does not notice.
    keys.verify(&good).await.unwrap();
}

#[tokio::test]
async fn a08_jwks_flood_at_once_shares_its_fetches() {
    let keys = Keys::new().await;
    let tokens: Vec<String> = (0..1000).map(|number| unknown(&keys, number)).collect();
    let results = futures::future::join_all(tokens.iter().map(|token| keys.verify(token))).await;
    assert!(results.iter().all(Result::is_err));
    assert!(keys.fetches() <= 3, "{}", keys.fetches());
}

#[tokio::test]
async fn a08_jwks_rotation_works_in_a_flood_once_the_bucket_refills() {
    let keys = Keys::new().await;
    keys.verify(&keys.token(&keys.provider.key()))
        .await
        .unwrap();
    for number in 0..100 {
        let _ = keys.verify(&unknown(&keys, number)).await;
    }
    keys.provider.rotate();
    let token = keys.token(&keys.provider.key());
    assert!(matches!(
        keys.verify(&token).await,
        Err(IdentityError::Busy { .. })
    ));
    keys.clock.advance(Duration::from_secs(30));
    keys.verify(&keys.token(&keys.provider.key()))
        .await
        .unwrap();
}

/// A flat cool-down would refuse the second.
#[tokio::test]
async fn a08_jwks_several_rotations_in_a_minute() {
    let keys = Keys::new().await;
    for _ in 0..4 {
        keys.verify(&keys.token(&keys.provider.key()))
            .await
            .unwrap();
        keys.provider.rotate();
        keys.clock.advance(Duration::from_secs(10));
    }
    keys.verify(&keys.token(&keys.provider.key()))
        .await
        .unwrap();
}

/// Everybody who comes with the new key at the moment of the rotation gets in.
#[tokio::test]
async fn a08_jwks_rotation_under_load_fails_nobody() {
    let keys = Keys::new().await;
    keys.verify(&keys.token(&keys.provider.key()))
        .await
        .unwrap();
    for _ in 0..3 {
        keys.provider.rotate();
        let tokens: Vec<String> = (0..50).map(|_| keys.token(&keys.provider.key())).collect();
        let verified = tokens.iter().map(|token| keys.verify(token));
        let results = futures::future::join_all(verified).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    assert_eq!(keys.fetches(), 4, "one fetch a rotation");
}

#[tokio::test]
async fn a08_jwks_a_withdrawn_key_ends() {
    let keys = Keys::new().await;
    let old = keys.provider.key();
    keys.verify(&keys.token(&old)).await.unwrap();
    keys.provider.rotate();
    keys.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(
        reason(keys.verify(&keys.token(&old)).await),
        "the token's key is unknown"
    );
}

#[tokio::test]
async fn a08_jwks_without_kid_a_rotation_is_noticed_by_the_signature() {
    let keys = Keys::new().await;
    for _ in 0..2 {
        keys.provider
            .publish(vec![SigningKey::rs256("").without_kid()]);
        keys.verify(&keys.token(&keys.provider.key()))
            .await
            .unwrap();
    }
    assert_eq!(keys.fetches(), 2);
}

/// Whatever the provider answers instead of keys, the last good ones stay and nothing grows.
#[tokio::test]
async fn a08_jwks_the_last_good_keys_stay() {
    let keys = Keys::new().await;
    let key = keys.provider.key();
    keys.verify(&keys.token(&key)).await.unwrap();
    let jwk = key.jwk();
    let many: Vec<_> = (0..65).map(|_| jwk.clone()).collect();
    for fault in [
        Fault::Status(500, "{}"),
        Fault::Status(404, ""),
        Fault::Redirect,
        Fault::Body(String::new()),
        Fault::Body("<html>".to_owned()),
        Fault::Body(r#"{"keys":[]}"#.to_owned()),
        Fault::Body(json!({ "keys": many }).to_string()),
        Fault::Body(format!(r#"{{"keys":[{jwk}],"keys":[]}}"#)),
        Fault::Huge,
    ] {
        keys.provider.fault(Endpoint::Jwks, fault.clone());
        keys.clock.advance(Duration::from_secs(16 * 60));
        keys.verify(&keys.token(&key))
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    }
    assert_eq!(keys.fetches(), 10);
    assert_eq!(
        keys.provider.count(Endpoint::Elsewhere),
        0,
        "no redirect is followed"
    );
}

#[tokio::test]
async fn a08_jwks_unusable_from_the_start_is_told() {
    let keys = Keys::new().await;
    let token = keys.token(&keys.provider.key());
    keys.provider
        .bend(|bends| bends.jwks = set("keys", json!([])));
    let reason = unavailable(keys.verify(&token).await);
    assert_eq!(reason, "the key set has no usable signature key");
}

/// Two keys under one name: neither is guessed.
#[tokio::test]
async fn a08_jwks_one_kid_for_two_keys_is_ambiguous() {
    let keys = Keys::new().await;
    keys.provider
        .publish(vec![SigningKey::rs256("same"), SigningKey::rs256("same")]);
    let token = keys.token(&keys.provider.key());
    let refused = reason(keys.verify(&token).await);
    assert_eq!(refused, "the token does not say which key signed it");
    // Of different algorithms they are told apart.
    keys.provider
        .publish(vec![SigningKey::rs256("other"), SigningKey::es256("other")]);
    keys.verify(&keys.token(&keys.provider.key()))
        .await
        .unwrap();
}

/// A symmetric token is not even worth a look for its key.
#[tokio::test]
async fn a07_jwt_forgery_hs256_asks_for_no_key() {
    let keys = Keys::new().await;
    let key = keys.provider.key();
    keys.verify(&keys.token(&key)).await.unwrap();
    for kid in ["key-1", "unknown"] {
        let header = json!({ "alg": "HS256", "kid": kid }).to_string();
        let claims = json!({ "iss": keys.provider.issuer(), "sub": SUBJECT }).to_string();
        let forged = hs256(&compact(&header, &claims), &key.public_der());
        let refused = reason(keys.verify(&forged).await);
        assert_eq!(refused, "the token's algorithm is not acceptable");
    }
    assert_eq!(keys.fetches(), 1);
}

/// `kid` is compared with what is in memory; nothing is opened or dialled for it.
#[tokio::test]
async fn a07_jwt_forgery_kid_is_only_a_name() {
    let keys = Keys::new().await;
    keys.verify(&keys.token(&keys.provider.key()))
        .await
        .unwrap();
    let elsewhere = format!("{}/elsewhere", keys.provider.issuer());
    for kid in [
        "/dev/null",
        "../../../../dev/null",
        &elsewhere,
        "' UNION SELECT 'x' --",
        "key-1\n",
        "KEY-1",
        "key-1/",
        "%6bey-1",
        "| id",
    ] {
        let header = json!({ "kid": kid, "jku": elsewhere, "x5u": elsewhere });
        let claims = json!({ "iss": keys.provider.issuer(), "sub": SUBJECT });
        let token = keys.provider.key().token(&header, &claims);
        assert!(keys.verify(&token).await.is_err(), "{kid}");
    }
    assert_eq!(keys.provider.count(Endpoint::Elsewhere), 0);
}
