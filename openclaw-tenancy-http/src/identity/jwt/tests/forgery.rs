//! A7: forged, mangled and re-spelled tokens.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use test_support::provider::keys::{compact, hs256, strangers};

use super::*;

fn token() -> String {
    rsa().token(&json!({}), &good())
}

#[test]
fn a_good_token_of_each_algorithm_is_accepted() {
    for key in [
        SigningKey::rs256("k"),
        SigningKey::ps256("k"),
        SigningKey::es256("k"),
        SigningKey::ed25519("k"),
        SigningKey::rs256("k").without_kid(),
    ] {
        let token = key.token(&json!({}), &good());
        let claims = verify_at(NOW, &key, &token).unwrap();
        assert_eq!(
            (&*claims.issuer, &*claims.subject),
            (ISSUER, "248289761001")
        );
    }
}

#[test]
fn a07_jwt_forgery_algorithm_none() {
    for alg in ["none", "None", "NONE", "nOnE", "", " ", "NULL"] {
        let message = compact(
            &json!({ "alg": alg, "kid": "key-1" }).to_string(),
            &good().to_string(),
        );
        for signature in ["", "AA", "e30"] {
            assert!(
                verify(&format!("{message}.{signature}")).is_err(),
                "{alg:?} {signature:?}"
            );
        }
    }
}

#[test]
fn a07_jwt_forgery_hs256_with_the_public_key() {
    let der = rsa().public_der();
    let pem = |label: &str, end: &str| {
        let body = STANDARD.encode(&der);
        let lines: Vec<&str> = body
            .as_bytes()
            .chunks(64)
            .map(|l| str::from_utf8(l).unwrap())
            .collect();
        let body = lines.join("\n");
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----{end}").into_bytes()
    };
    let jwk = rsa().jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let message = compact(
        r#"{"alg":"HS256","typ":"JWT","kid":"key-1"}"#,
        &good().to_string(),
    );
    for secret in [
        der.clone(),
        pem("PUBLIC KEY", "\n"),
        pem("PUBLIC KEY", ""),
        pem("RSA PUBLIC KEY", "\n"),
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        modulus,
        Vec::new(),
        vec![0],
    ] {
        assert_eq!(
            verify(&hs256(&message, &secret)).unwrap_err(),
            JwtError::Algorithm
        );
    }
}

#[test]
fn a07_jwt_forgery_another_algorithm_than_the_keys() {
    for alg in [
        "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519",
    ] {
        let token = rsa().token(&json!({ "alg": alg }), &good());
        assert_eq!(verify(&token).unwrap_err(), JwtError::Algorithm, "{alg}");
    }
    for alg in [
        "HS384", "HS512", "ES512", "ES256K", "rs256", "RS256 ", "RSA-OAEP", "dir", "A128KW",
    ] {
        let token = rsa().token(&json!({ "alg": alg }), &good());
        assert_eq!(verify(&token).unwrap_err(), JwtError::Algorithm, "{alg}");
    }
    for alg in [
        json!(null),
        json!(256),
        json!(["RS256"]),
        json!({ "RS256": true }),
    ] {
        let token = rsa().token(&json!({ "alg": alg }), &good());
        assert_eq!(verify(&token).unwrap_err(), JwtError::Header, "{alg}");
    }
}

/// A token that brings its own key, signed by that key, under the `kid` of ours.
#[test]
fn a07_jwt_forgery_the_token_brings_its_key() {
    let jwk = strangers().jwk();
    for header in [
        json!({ "jwk": jwk }),
        json!({ "jku": "https://evil.example/jwks" }),
        json!({ "x5u": "https://evil.example/cert" }),
        json!({ "x5c": [STANDARD.encode(strangers().public_der())] }),
        json!({ "x5t": "AAAA", "x5t#S256": "AAAA" }),
    ] {
        let mut header = header;
        header["kid"] = json!("key-1");
        let forged = strangers().token(&header, &good());
        assert_eq!(
            verify(&forged).unwrap_err(),
            JwtError::Signature,
            "{header}"
        );
        // The same header from the real signer changes nothing: it is ignored, not obeyed.
        assert!(verify(&rsa().token(&header, &good())).is_ok(), "{header}");
    }
}

#[test]
fn a07_jwt_forgery_critical_extensions() {
    for crit in [
        json!(["exp"]),
        json!(["b64"]),
        json!(["http://x"]),
        json!([]),
        json!("x"),
        json!(null),
    ] {
        let token = rsa().token(&json!({ "crit": crit, "b64": false }), &good());
        assert_eq!(verify(&token).unwrap_err(), JwtError::Critical, "{crit}");
    }
}

#[test]
fn a07_jwt_forgery_key_ids_of_odd_kinds() {
    for kid in [
        json!(null),
        json!(1),
        json!(["key-1"]),
        json!({}),
        json!(""),
        json!("x".repeat(257)),
    ] {
        let token = rsa().token(&json!({ "kid": kid }), &good());
        assert_eq!(
            UnverifiedToken::parse(&token).unwrap_err(),
            JwtError::Header,
            "{kid}"
        );
    }
}

#[test]
fn a07_jwt_forgery_only_the_strict_compact_form() {
    let token = token();
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let flattened = json!({ "protected": header, "payload": payload, "signature": signature });
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{header}\n.{payload}.{signature}"),
        format!("{header}. {payload}.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!("{header}.{payload}.{}", STANDARD.encode(vec![0xfb; 256])),
        format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")),
        format!("Bearer {token}"),
        flattened.to_string(),
        format!("{header}%2e{payload}%2e{signature}"),
        format!("{header}.{payload}.{signature}\u{0}"),
        format!("{header}\u{ff0e}{payload}\u{ff0e}{signature}"),
        "A".repeat(super::super::MAX_TOKEN_BYTES + 1),
    ] {
        assert!(verify(&bad).is_err(), "{bad}");
    }
}

/// 256 bytes leave two bits over in base64: a lenient decoder takes four spellings of one signature.
#[test]
fn a07_jwt_forgery_one_spelling_of_a_signature() {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let token = token();
    let (rest, last) = token.split_at(token.len() - 1);
    let accepted: Vec<char> = ALPHABET
        .chars()
        .filter(|c| verify(&format!("{rest}{c}")).is_ok())
        .collect();
    assert_eq!(accepted, last.chars().collect::<Vec<_>>());
}

#[test]
fn a07_jwt_forgery_headers_that_two_parsers_read_differently() {
    let claims = good().to_string();
    for header in [
        r#"{"alg":"RS256","alg":"none","kid":"key-1"}"#,
        r#"{"alg":"none","alg":"RS256","kid":"key-1"}"#,
        r#"{"alg":"RS256","kid":"x","kid":"key-1"}"#,
        r#"{"alg":"RS256","kid":"key-1"} "#.trim_end(),
        r#"{"alg":"RS256","kid":"key-1"}x"#,
        r#"[{"alg":"RS256"}]"#,
        r#""RS256""#,
        r#"{"alg":"RS256","kid":"key-1","x":"\u0000"}"#,
        r#"{"alg":"RS256","typ":1}"#,
        "{}",
        "",
    ] {
        let token = rsa().token_of_text(header, &claims);
        let fine = header == r#"{"alg":"RS256","kid":"key-1"}"#;
        assert_eq!(verify(&token).is_ok(), fine, "{header}");
    }
}

#[test]
fn a07_jwt_forgery_signatures_of_something_else() {
    let other = rsa().token(&json!({}), &json!({ "iss": ISSUER, "sub": "other" }));
    let (token, other_signature) = (token(), other.rsplit('.').next().unwrap());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut longer = raw.clone();
    longer.push(0);
    let mut zeros_first = vec![0];
    zeros_first.extend_from_slice(&raw);
    for (signature, what) in [
        (other_signature.to_owned(), "another token's"),
        (encode(&raw[..255]), "cut"),
        (encode(&longer), "lengthened"),
        (encode(&zeros_first), "with a zero before it"),
        (encode(&[0; 256]), "zeros"),
        (encode(&[0xff; 256]), "ones"),
        (encode(&[1]), "one byte"),
        (
            encode(&strangers().sign(message.as_bytes())),
            "a stranger's",
        ),
        (encode(&rsa().sign(b"")), "of nothing"),
    ] {
        let refused = verify(&format!("{message}.{signature}")).unwrap_err();
        assert_eq!(refused, JwtError::Signature, "{what}");
    }
}

/// CVE-2022-21449 and its kin: ECDSA with r or s of 0, of the group order, or in another encoding.
#[test]
fn a07_jwt_forgery_elliptic_curve_edge_cases() {
    let key = SigningKey::es256("ec");
    let token = key.token(&json!({}), &good());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let order =
        hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let der = |r: &[u8], s: &[u8]| {
        let integer = |value: &[u8]| {
            let mut bytes = vec![0x02, 33, 0];
            bytes.extend_from_slice(value);
            bytes
        };
        let body = [integer(r), integer(s)].concat();
        [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
    };
    for (signature, what) in [
        (vec![0; 64], "zeros"),
        ([vec![0; 32], raw[32..].to_vec()].concat(), "r = 0"),
        ([raw[..32].to_vec(), vec![0; 32]].concat(), "s = 0"),
        ([order.clone(), raw[32..].to_vec()].concat(), "r = n"),
        ([raw[..32].to_vec(), order.clone()].concat(), "s = n"),
        (der(&raw[..32], &raw[32..]), "DER"),
        ([raw[32..].to_vec(), raw[..32].to_vec()].concat(), "swapped"),
        (raw[..63].to_vec(), "cut"),
    ] {
        let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(
            verify_at(NOW, &key, &forged).unwrap_err(),
            JwtError::Signature,
            "{what}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a07_jwt_forgery_any_text_is_refused_without_a_panic(text in "\\PC{0,200}") {
        prop_assert!(verify(&text).is_err());
    }

    #[test]
    fn a07_jwt_forgery_any_three_parts_are_refused(
        header in proptest::collection::vec(any::<u8>(), 0..100),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        signature in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let token = format!("{}.{}.{}", encode(header), encode(payload), encode(signature));
        prop_assert!(verify(&token).is_err());
    }

    #[test]
    fn a07_jwt_forgery_any_change_of_one_character_is_refused(
        position in any::<proptest::sample::Index>(),
        replacement in proptest::char::range('!', '~'),
    ) {
        let token = token();
        let mut characters: Vec<char> = token.chars().collect();
        let position = position.index(characters.len());
        prop_assume!(characters[position] != replacement);
        characters[position] = replacement;
        let changed: String = characters.into_iter().collect();
        prop_assert!(verify(&changed).is_err(), "{}", changed);
    }
}
