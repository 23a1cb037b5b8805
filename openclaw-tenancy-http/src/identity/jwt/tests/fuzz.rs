//! A token that passes is one that the key signed, in the one spelling that it signed, and says what every reader reads
//! in it; and it is of one kind.
//!
//! An input is a token, or a header and a payload on two lines, which are then signed: so whoever has a key and is not
//! to be believed in everything is tried too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fuzzing::Verdict;
use proptest::{prop_assert, prop_assert_eq};
use test_support::provider::keys::{compact, hs256};

use super::*;

/// As [`SigningKey::ed25519_of`] makes it, so that the signatures in the corpus are of this key.
const SEED: [u8; 32] = [7; 32];
/// The secret of HS256.
const SHARED: &[u8] = b"qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5Ti7OoWjUA=";

#[test]
fn fuzz_jwt_passes_what_the_key_signed_and_nothing_else() {
    fuzzing::run(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/jwt"), check);
}

fn check(input: &[u8]) -> Verdict {
    let key = SigningKey::ed25519_of("key-1", &SEED);
    let text = String::from_utf8_lossy(input);
    let ed = |message: &str| {
        format!(
            "{message}.{}",
            URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()))
        )
    };
    let hs = |message: &str| hs256(message, SHARED);
    let hs_key = VerifyKey::new(
        Some("key-1".to_owned()),
        Algorithm::Hs256,
        DecodingKey::from_secret(SHARED),
    );
    if let Some((header, payload)) = text.split_once('\n') {
        let message = compact(header, payload);
        holds(&ed(&message), &public(&key), &ed)?;
        holds(&hs(&message), &hs_key, &hs)?;
        // Signed with one, and looked at with the other.
        holds(&ed(&message), &hs_key, &hs)?;
        return holds(&hs(&message), &public(&key), &ed);
    }
    holds(&text, &public(&key), &ed)?;
    holds(&text, &hs_key, &hs)
}

fn holds(token: &str, key: &VerifyKey, sign: &dyn Fn(&str) -> String) -> Verdict {
    let Ok(parsed) = UnverifiedToken::parse(token) else {
        return Ok(());
    };
    let own = Profile::Own { typ: "own+jwt" };
    let kinds = [id_token().profile, Profile::AccessToken, own];
    let passed: Vec<Claims> = kinds
        .iter()
        .filter_map(|profile| {
            let expect = Expect {
                profile: *profile,
                ..id_token()
            };
            parsed
                .verify(key, &expect, Timestamp::from_seconds(NOW))
                .ok()
        })
        .collect();
    prop_assert!(passed.len() <= 1, "of {} kinds", passed.len());
    let Some(claims) = passed.first() else {
        return Ok(());
    };

    let (message, _) = token.rsplit_once('.').unwrap_or_default();
    prop_assert_eq!(token, sign(message), "not what the key signed");
    let part = |number: usize| -> Option<Value> {
        let part = token.split('.').nth(number)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let (Some(header), Some(payload)) = (part(0), part(1)) else {
        return Err(fuzzing::fails("passes and is no JSON"));
    };
    prop_assert_eq!(
        header["alg"].as_str().and_then(Algorithm::from_header),
        Some(key.algorithm())
    );
    prop_assert!(header.get("crit").is_none());
    prop_assert_eq!(&payload["iss"], ISSUER);
    prop_assert_eq!(payload["sub"].as_str(), Some(&*claims.subject));
    prop_assert!(!claims.subject.is_empty());
    let for_us = payload["aud"] == CLIENT
        || payload["aud"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == CLIENT));
    prop_assert!(for_us, "for {}", payload["aud"]);
    prop_assert!(
        payload["exp"].as_i64().is_some_and(|at| at > NOW - 60),
        "{}",
        payload["exp"]
    );
    let issued = payload["iat"].as_i64();
    prop_assert!(issued.is_some_and(|at| at <= NOW + 24 * 3600), "{issued:?}");
    let from = &payload["nbf"];
    prop_assert!(
        from.is_null() || from.as_i64().is_some_and(|at| at <= NOW + 60),
        "{from}"
    );
    prop_assert_eq!(Value::Object(claims.all.clone()), payload);
    Ok(())
}
