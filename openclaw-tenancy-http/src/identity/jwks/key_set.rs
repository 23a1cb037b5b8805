//! From a JWK Set to keys that may be used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::identity::jwt::{Algorithm, VerifyKey};
use crate::json;

/// More keys than this is an attack or a mistake, never a provider's rotation.
pub(super) const MAX_KEYS: usize = 64;

/// The smallest RSA modulus (RFC 8017; NIST SP 800-131A) and the largest that the library takes, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A document that is no usable key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::identity) enum KeySetError {
    #[error("the key set is not one strict JSON object with a list `keys`")]
    Syntax,
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooMany,
    #[error("the key set has no usable signature key")]
    NoneUsable,
}

/// The usable signature keys of a JWK Set (RFC 7517 §5). What we cannot or must not use is left out, as §5 asks.
///
/// An RSA key without `alg` is bound to `rsa`, the one algorithm that the client is configured for.
pub(in crate::identity) fn key_set(
    document: &[u8],
    rsa: Algorithm,
) -> Result<Vec<VerifyKey>, KeySetError> {
    let document = json::object(document).map_err(|_| KeySetError::Syntax)?;
    let keys = document
        .get("keys")
        .and_then(Value::as_array)
        .ok_or(KeySetError::Syntax)?;
    if keys.len() > MAX_KEYS {
        return Err(KeySetError::TooMany);
    }
    let usable: Vec<VerifyKey> = keys
        .iter()
        .filter_map(Value::as_object)
        .filter_map(|jwk| key(jwk, rsa))
        .collect();
    if usable.is_empty() {
        return Err(KeySetError::NoneUsable);
    }
    Ok(usable)
}

fn key(jwk: &Map<String, Value>, rsa: Algorithm) -> Option<VerifyKey> {
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return None;
    }
    let verifies = |operations: &Value| {
        operations
            .as_array()
            .is_some_and(|list| list.iter().any(|name| name == "verify"))
    };
    if jwk
        .get("key_ops")
        .is_some_and(|operations| !verifies(operations))
    {
        return None;
    }
    let id = match jwk.get("kid") {
        Some(id) => Some(id.as_str().filter(|id| !id.is_empty())?.to_owned()),
        None => None,
    };
    let (fits, key): (&[Algorithm], DecodingKey) = match text(jwk, "kty")? {
        "RSA" => (
            &[
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
            ],
            rsa_key(jwk)?,
        ),
        "EC" => ec_key(jwk)?,
        "OKP" => (&[Algorithm::EdDsa], ed_key(jwk)?),
        // `oct` above all: a symmetric key in a public document is no secret.
        _ => return None,
    };
    let algorithm = match jwk.get("alg") {
        Some(alg) => Algorithm::from_header(alg.as_str()?)?,
        None if fits.contains(&rsa) => rsa,
        None => *fits.first()?,
    };
    fits.contains(&algorithm)
        .then(|| VerifyKey::new(id, algorithm, key))
}

fn rsa_key(jwk: &Map<String, Value>) -> Option<DecodingKey> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let n: Vec<u8> = n.into_iter().skip_while(|byte| *byte == 0).collect();
    let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    let e: Vec<u8> = e.into_iter().skip_while(|byte| *byte == 0).collect();
    // With an exponent of 1 every message signs itself.
    let fits = RSA_BITS.contains(&bits) && odd(&n) && odd(&e) && e != [1] && e.len() <= 5;
    fits.then(|| DecodingKey::from_rsa_raw_components(&n, &e))
}

fn ec_key(jwk: &Map<String, Value>) -> Option<(&'static [Algorithm], DecodingKey)> {
    let (algorithms, size): (&[Algorithm], usize) = match text(jwk, "crv")? {
        "P-256" => (&[Algorithm::Es256], 32),
        "P-384" => (&[Algorithm::Es384], 48),
        _ => return None,
    };
    let (x, y) = (text(jwk, "x")?, text(jwk, "y")?);
    let whole = bytes(jwk, "x")?.len() == size && bytes(jwk, "y")?.len() == size;
    let key = whole.then(|| DecodingKey::from_ec_components(x, y).ok())??;
    Some((algorithms, key))
}

fn ed_key(jwk: &Map<String, Value>) -> Option<DecodingKey> {
    let x = bytes(jwk, "x")?;
    let fits = text(jwk, "crv")? == "Ed25519" && x.len() == 32;
    fits.then(|| DecodingKey::from_ed_der(&x))
}

fn text<'m>(jwk: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    jwk.get(name)?.as_str()
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok()
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rsa(bits: usize) -> Value {
        let n = URL_SAFE_NO_PAD.encode(vec![0xff_u8; bits / 8]);
        json!({ "kty": "RSA", "kid": "a", "n": n, "e": "AQAB" })
    }

    fn with(mut jwk: Value, name: &str, value: Value) -> Value {
        jwk[name] = value;
        jwk
    }

    fn parse(keys: &[Value]) -> Result<Vec<VerifyKey>, KeySetError> {
        key_set(
            json!({ "keys": keys }).to_string().as_bytes(),
            Algorithm::Rs256,
        )
    }

    #[test]
    fn the_algorithm_is_bound_to_the_key() {
        let bound = |jwk: Value| parse(&[jwk]).unwrap()[0].algorithm();
        let coordinate = |size: usize| URL_SAFE_NO_PAD.encode(vec![7_u8; size]);
        let ec = |crv: &str, size: usize| {
            let (x, y) = (coordinate(size), coordinate(size));
            json!({ "kty": "EC", "crv": crv, "x": x, "y": y })
        };
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": coordinate(32) });
        assert_eq!(bound(rsa(2048)), Algorithm::Rs256);
        assert_eq!(
            bound(with(rsa(2048), "alg", json!("PS512"))),
            Algorithm::Ps512
        );
        assert_eq!(bound(ec("P-256", 32)), Algorithm::Es256);
        assert_eq!(bound(ec("P-384", 48)), Algorithm::Es384);
        assert_eq!(bound(ed), Algorithm::EdDsa);
        let document = json!({ "keys": [rsa(2048)] }).to_string();
        let keys = key_set(document.as_bytes(), Algorithm::Ps256).unwrap();
        assert_eq!(
            keys[0].algorithm(),
            Algorithm::Ps256,
            "the client's own choice"
        );
    }

    #[test]
    fn a08_jwks_unusable_keys_are_left_out() {
        let good = rsa(2048);
        for (bad, why) in [
            (rsa(1024), "1024 bits"),
            (rsa(2040), "2040 bits"),
            (rsa(16384), "16384 bits"),
            (with(good.clone(), "use", json!("enc")), "for encryption"),
            (with(good.clone(), "use", json!(["sig"])), "use is no text"),
            (
                with(good.clone(), "key_ops", json!(["encrypt"])),
                "not for verifying",
            ),
            (
                with(good.clone(), "alg", json!("HS256")),
                "symmetric algorithm on an RSA key",
            ),
            (with(good.clone(), "alg", json!("none")), "none"),
            (
                with(good.clone(), "alg", json!("ES256")),
                "another type's algorithm",
            ),
            (
                with(good.clone(), "alg", json!("RSA-OAEP")),
                "an encryption algorithm",
            ),
            (with(good.clone(), "e", json!("AQ")), "exponent 1"),
            (
                with(good.clone(), "e", json!("AAAAAQ")),
                "exponent 1 with zeros before it",
            ),
            (with(good.clone(), "e", json!("Ag")), "even exponent"),
            (with(good.clone(), "n", json!("")), "no modulus"),
            (with(good.clone(), "kid", json!(7)), "kid is no text"),
            (with(good.clone(), "kty", json!("oct")), "oct"),
            (
                json!({ "kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256" }),
                "oct with HS256",
            ),
            (
                json!({ "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ" }),
                "short coordinates",
            ),
            (
                json!({ "kty": "EC", "crv": "P-521", "x": "AQ", "y": "AQ" }),
                "unknown curve",
            ),
            (
                json!({ "kty": "OKP", "crv": "X25519", "x": "AQ" }),
                "key agreement curve",
            ),
            (json!({}), "nothing"),
        ] {
            assert_eq!(
                parse(std::slice::from_ref(&bad)).unwrap_err(),
                KeySetError::NoneUsable,
                "{why}"
            );
            assert_eq!(
                parse(&[bad, good.clone()]).unwrap().len(),
                1,
                "{why}, beside a good one"
            );
        }
    }

    #[test]
    fn a08_jwks_more_than_64_keys_are_refused() {
        assert_eq!(parse(&vec![rsa(2048); 64]).unwrap().len(), 64);
        assert_eq!(
            parse(&vec![rsa(2048); 65]).unwrap_err(),
            KeySetError::TooMany
        );
    }

    #[test]
    fn a08_jwks_only_strict_documents() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":[],"keys":[]}"#,
            r#"{"keys":[]} trailing"#,
        ] {
            assert!(
                key_set(text.as_bytes(), Algorithm::Rs256).is_err(),
                "{text}"
            );
        }
    }
}
