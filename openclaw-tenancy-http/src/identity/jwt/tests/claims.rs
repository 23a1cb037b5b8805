//! A6: each claim rule of OIDC Core §3.1.3.7, one bent claim at a time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256, Sha512};

use super::*;

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn outcome(claims: &Value) -> Result<(), JwtError> {
    verify(&rsa().token(&json!({}), claims)).map(|_| ())
}

#[test]
fn a06_bad_id_token_each_rule() {
    use JwtError::{
        AccessTokenHash, Audience, AuthorizedParty, Claims, Expired, IssuedAt, Issuer, Nonce,
        NotYetValid, Subject,
    };
    let long = "x".repeat(256);
    for (claims, error) in [
        (without("iss"), Issuer),
        (with("iss", json!("https://id.example/")), Issuer),
        (with("iss", json!("https://ID.example")), Issuer),
        (with("iss", json!("http://id.example")), Issuer),
        (
            with("iss", json!("https://id.example.evil.example")),
            Issuer,
        ),
        (with("iss", json!("")), Issuer),
        (with("iss", json!(null)), Claims),
        (with("iss", json!([ISSUER])), Claims),
        (without("sub"), Subject),
        (with("sub", json!("")), Subject),
        (with("sub", json!(long)), Subject),
        (with("sub", json!("a\nb")), Subject),
        (with("sub", json!("a\u{1b}[31m")), Subject),
        (with("sub", json!("\u{7f}")), Subject),
        (with("sub", json!("a\u{85}b")), Subject),
        (with("sub", json!("zoë")), Subject),
        (with("sub", json!(null)), Claims),
        (with("sub", json!(248_289_761_001_u64)), Claims),
        (with("sub", json!(["a"])), Claims),
        (without("aud"), Audience),
        (with("aud", json!("")), Audience),
        (with("aud", json!([])), Audience),
        (with("aud", json!(null)), Audience),
        (with("aud", json!("other")), Audience),
        (with("aud", json!("tenancy ")), Audience),
        (with("aud", json!("Tenancy")), Audience),
        (with("aud", json!(["other"])), Audience),
        (with("aud", json!([CLIENT, 7])), Audience),
        (with("aud", json!({ "tenancy": true })), Audience),
        (with("aud", json!([[CLIENT]])), Audience),
        (with("aud", json!([CLIENT, "other"])), AuthorizedParty),
        (with("aud", json!([CLIENT, CLIENT])), AuthorizedParty),
        (with("azp", json!("other")), AuthorizedParty),
        (with("azp", json!([CLIENT])), Claims),
        (without("exp"), Expired),
        (with("exp", json!(NOW - 60)), Expired),
        (with("exp", json!(0)), Expired),
        (with("exp", json!(-1)), Claims),
        (with("exp", json!(null)), Claims),
        (with("exp", json!("1900000000")), Claims),
        (with("exp", json!(1_900_000_000.5)), Claims),
        (with("exp", json!(1e300)), Claims),
        (with("exp", json!(u64::MAX)), Claims),
        (with("exp", json!(i64::MAX)), Claims),
        (with("exp", json!([NOW + 300])), Claims),
        (without("iat"), IssuedAt),
        (with("iat", json!(NOW + 61)), IssuedAt),
        (with("iat", json!("now")), Claims),
        (with("iat", json!(true)), Claims),
        (with("nbf", json!(NOW + 61)), NotYetValid),
        (with("nbf", json!("later")), Claims),
        (without("nonce"), Nonce),
        (with("nonce", json!("")), Nonce),
        (with("nonce", json!("n-0S6_WzA2M")), Nonce),
        (with("nonce", json!("n-0S6_WzA2Mj ")), Nonce),
        (with("nonce", json!(null)), Claims),
        (with("nonce", json!([NONCE])), Claims),
        (with("at_hash", json!("")), AccessTokenHash),
        (
            with("at_hash", json!("87QmUPtjPfzWtF2AnpK9RQ")),
            AccessTokenHash,
        ),
        (with("at_hash", json!(7)), Claims),
    ] {
        assert_eq!(outcome(&claims), Err(error), "{claims}");
    }
}

#[test]
fn a06_bad_id_token_claims_that_two_parsers_read_differently() {
    let good = good().to_string();
    let evil = good.replacen('{', r#"{"sub":"admin","#, 1);
    let late = format!("{},\"sub\":\"admin\"}}", good.trim_end_matches('}'));
    let deep = format!(
        r#"{},"x":{}1{}}}"#,
        good.trim_end_matches('}'),
        "[".repeat(40),
        "]".repeat(40)
    );
    let nul = good.replace("248289761001", r"2482\u0000");
    for text in [
        &*evil,
        &late,
        &deep,
        &nul,
        "[]",
        "null",
        "",
        "{}x",
        &format!("{good}{good}"),
    ] {
        let token = rsa().token_of_text(r#"{"alg":"RS256","kid":"key-1"}"#, text);
        assert_eq!(verify(&token).unwrap_err(), JwtError::Claims, "{text}");
    }
}

#[test]
fn what_the_standard_allows_is_accepted() {
    let both = json!([CLIENT, "other"]);
    let mut several = with("aud", both);
    several["azp"] = json!(CLIENT);
    for claims in [
        several,
        with("aud", json!([CLIENT])),
        with("azp", json!(CLIENT)),
        with("sub", json!("x".repeat(255))),
        with("sub", json!("auth0|Ada Lovelace~1")),
        with("exp", json!(NOW - 59)),
        with("iat", json!(NOW + 60)),
        with("nbf", json!(NOW + 60)),
        with("iat", json!(0)),
        with("groups", json!({ "any": ["thing"] })),
    ] {
        assert_eq!(outcome(&claims), Ok(()), "{claims}");
    }
}

#[test]
fn at_hash_fits_the_algorithms_hash() {
    let half = |hash: &[u8]| json!(URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2]));
    let sha256 = with("at_hash", half(&Sha256::digest(ACCESS_TOKEN)));
    let sha512 = with("at_hash", half(&Sha512::digest(ACCESS_TOKEN)));
    assert_eq!(outcome(&sha256), Ok(()));
    assert_eq!(outcome(&sha512), Err(JwtError::AccessTokenHash));
    let ed = SigningKey::ed25519("ed");
    assert!(verify_at(NOW, &ed, &ed.token(&json!({}), &sha512)).is_ok());
}

/// OIDC Core §A.3's own example.
#[test]
fn at_hash_of_the_standards_example() {
    assert_eq!(
        URL_SAFE_NO_PAD.encode(Algorithm::Rs256.half_hash(ACCESS_TOKEN)),
        "77QmUPtjPfzWtF2AnpK9RQ",
    );
}

#[test]
fn a06_bad_id_token_of_another_type() {
    for (typ, fits) in [
        (json!("JWT"), true),
        (json!("jwt"), true),
        (json!("application/jwt"), true),
        (json!("at+jwt"), false),
        (json!("application/at+jwt"), false),
        (json!("logout+jwt"), false),
        (json!("openclaw-api+jwt"), false),
        (json!("JOSE"), false),
        (json!(""), false),
    ] {
        let token = rsa().token(&json!({ "typ": typ }), &good());
        let wanted = if fits { Ok(()) } else { Err(JwtError::Type) };
        assert_eq!(verify(&token).map(|_| ()), wanted, "{typ}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The window is what the documentation says, at every second around its edges.
    #[test]
    fn a06_bad_id_token_dates_have_one_window(
        exp in NOW - 200..NOW + 200,
        iat in NOW - 200..NOW + 200,
        nbf in proptest::option::of(NOW - 200..NOW + 200),
    ) {
        let mut claims = good();
        claims["exp"] = json!(exp);
        claims["iat"] = json!(iat);
        if let Some(nbf) = nbf {
            claims["nbf"] = json!(nbf);
        }
        let valid = exp + 60 > NOW && iat <= NOW + 60 && nbf.is_none_or(|nbf| nbf <= NOW + 60);
        prop_assert_eq!(outcome(&claims).is_ok(), valid);
    }
}
