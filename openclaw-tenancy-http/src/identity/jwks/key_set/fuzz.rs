//! Of a provider's document only keys are taken that may verify, each with an algorithm of its own kind, and none of
//! them takes what nobody signed.

use fuzzing::Verdict;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use proptest::{prop_assert, prop_assert_eq};

use super::*;
use crate::identity::jwt::UnverifiedToken;

#[test]
fn fuzz_jwks_takes_only_keys_that_may_verify() {
    fuzzing::run(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/jwks"), check);
}

fn check(input: &[u8]) -> Verdict {
    for rsa in [Algorithm::Rs256, Algorithm::Ps512] {
        let Ok(keys) = key_set(input, rsa) else {
            continue;
        };
        prop_assert!((1..=MAX_KEYS).contains(&keys.len()));
        let document: Value = serde_json::from_slice(input)
            .map_err(|error| fuzzing::fails(format!("taken, and no JSON: {error}")))?;
        let listed = document["keys"].as_array().cloned().unwrap_or_default();
        let mut taken = Vec::new();
        for jwk in &listed {
            if let Some(key) = jwk.as_object().and_then(|jwk| key(jwk, rsa)) {
                fits(jwk, &key, rsa)?;
                taken.push(key.id().map(str::to_owned));
            }
        }
        let ids: Vec<Option<String>> = keys.iter().map(|key| key.id().map(str::to_owned)).collect();
        prop_assert_eq!(ids, taken);
    }
    Ok(())
}

/// What the library makes of the entry is what we make of it.
fn fits(jwk: &Value, key: &VerifyKey, rsa: Algorithm) -> Verdict {
    let algorithm = key.algorithm();
    prop_assert_eq!(jwk["kid"].as_str(), key.id());
    match jwk
        .get("alg")
        .map(|alg| alg.as_str().and_then(Algorithm::from_header))
    {
        Some(named) => prop_assert_eq!(named, Some(algorithm)),
        None => prop_assert!(jwk["kty"] != "RSA" || algorithm == rsa),
    }
    // What else stands there is nobody's business, and the library would want it well formed.
    let of_a_key = ["kty", "crv", "n", "e", "x", "y", "k", "use", "kid"];
    let members = jwk.as_object().into_iter().flatten();
    let members = members.filter(|(name, _)| of_a_key.contains(&name.as_str()));
    let plain: Value = members
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let read: Jwk = serde_json::from_value(plain)
        .map_err(|error| fuzzing::fails(format!("the library reads no key: {error}")))?;
    prop_assert!(matches!(
        read.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ));
    let size = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
    let kind = match &read.algorithm {
        AlgorithmParameters::RSA(read) => {
            let modulus = URL_SAFE_NO_PAD.decode(&read.n).unwrap_or_default();
            let first = modulus
                .iter()
                .position(|byte| *byte != 0)
                .unwrap_or(modulus.len());
            prop_assert!((256..=1024).contains(&modulus[first..].len()));
            prop_assert!(
                modulus
                    .get(first)
                    .is_some_and(|b| modulus.len() - first > 256 || *b >= 0x80)
            );
            let exponent = URL_SAFE_NO_PAD.decode(&read.e).unwrap_or_default();
            let exponent = exponent
                .iter()
                .fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
            prop_assert!(exponent >= 3 && exponent % 2 == 1, "{exponent}");
            matches!(
                algorithm,
                Algorithm::Rs256
                    | Algorithm::Rs384
                    | Algorithm::Rs512
                    | Algorithm::Ps256
                    | Algorithm::Ps384
                    | Algorithm::Ps512
            )
        }
        AlgorithmParameters::EllipticCurve(read) => match read.curve {
            EllipticCurve::P256 => algorithm == Algorithm::Es256 && size(&read.x) == 32,
            EllipticCurve::P384 => algorithm == Algorithm::Es384 && size(&read.y) == 48,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(read) => {
            algorithm == Algorithm::EdDsa
                && read.curve == EllipticCurve::Ed25519
                && size(&read.x) == 32
        }
        _ => false,
    };
    prop_assert!(kind, "{jwk} is used for {algorithm:?}");
    nothing_unsigned(key)
}

/// Signatures of every length in use, of one byte all over, are of no message.
fn nothing_unsigned(key: &VerifyKey) -> Verdict {
    use openclaw_tenancy::clock::Timestamp;

    use crate::identity::jwt::{Expect, JwtError, Profile};

    let expect = Expect {
        issuer: "",
        audience: "",
        profile: Profile::AccessToken,
    };
    let name = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
    ]
    .into_iter()
    .find(|name| Algorithm::from_header(name) == Some(key.algorithm()));
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{}"}}"#, name.unwrap_or_default()));
    for length in [64, 96, 256] {
        for byte in [0, 1, 0xff] {
            let signature = URL_SAFE_NO_PAD.encode(vec![byte; length]);
            let token = format!("{header}.e30.{signature}");
            let token = UnverifiedToken::parse(&token);
            let token = token.map_err(|error| fuzzing::fails(error.to_string()))?;
            let verdict = token.verify(key, &expect, Timestamp::default());
            prop_assert_eq!(verdict.err(), Some(JwtError::Signature));
        }
    }
    Ok(())
}
