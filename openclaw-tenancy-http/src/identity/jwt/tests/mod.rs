//! The verifier against forgers: real keys of `test_support`, which signs by another library than we verify by.

mod claims;
mod forgery;
mod fuzz;
mod own;

use std::sync::OnceLock;

use jsonwebtoken::DecodingKey;
use openclaw_tenancy::clock::Timestamp;
use serde_json::{Value, json};
use test_support::provider::keys::SigningKey;

use super::{Algorithm, Claims, Expect, JwtError, Profile, UnverifiedToken, VerifyKey};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";
const CLIENT: &str = "tenancy";
const NONCE: &str = "n-0S6_WzA2Mj";
const ACCESS_TOKEN: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";

fn rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::rs256("key-1"))
}

/// What the JWKS makes of `key`.
fn public(key: &SigningKey) -> VerifyKey {
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.jwk()).unwrap();
    let algorithm = Algorithm::from_header(key.alg()).unwrap();
    VerifyKey::new(
        key.kid.clone(),
        algorithm,
        DecodingKey::from_jwk(&jwk).unwrap(),
    )
}

fn good() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "248289761001",
        "aud": CLIENT,
        "iat": NOW,
        "exp": NOW + 300,
        "nonce": NONCE,
    })
}

fn id_token() -> Expect<'static> {
    let profile = Profile::IdToken {
        nonce: NONCE,
        access_token: ACCESS_TOKEN,
    };
    Expect {
        issuer: ISSUER,
        audience: CLIENT,
        profile,
    }
}

fn verify_at(now: i64, key: &SigningKey, token: &str) -> Result<Claims, JwtError> {
    let now = Timestamp::from_seconds(now);
    UnverifiedToken::parse(token)?.verify(&public(key), &id_token(), now)
}

fn verify(token: &str) -> Result<Claims, JwtError> {
    verify_at(NOW, rsa(), token)
}
