//! A9: tokens of one kind where another belongs.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openclaw_tenancy::access::SecretHash;
use openclaw_tenancy::clock::{Clock, ManualClock, SeededEntropy};
use openclaw_tenancy::id::AccountId;
use secrecy::{ExposeSecret as _, SecretString};

use super::super::{OwnTokens, TokenGrant, TokenSecret};
use super::*;

const SECRET: &str = "qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5Ti7OoWjUA=";
const OLD_SECRET: &str = "Zp4Lk9Xw2Cv7Bn1Mq6Rt8Yd3Gf5Hs0Ja-Ue_Io.WxQz";

fn secret(text: &str) -> TokenSecret {
    TokenSecret::new(SecretString::from(text)).unwrap()
}

fn tokens(issuer: &str, text: &str) -> (ManualClock, OwnTokens) {
    let clock = ManualClock::new(Timestamp::from_seconds(NOW));
    let entropy = Arc::new(SeededEntropy::new(7));
    (
        clock.clone(),
        OwnTokens::new(issuer, &secret(text), Arc::new(clock), entropy),
    )
}

fn grant(clock: &dyn Clock) -> TokenGrant {
    TokenGrant {
        account: AccountId::generate(clock, &SeededEntropy::new(1)),
        session: SecretHash::of("the session's secret"),
        lifetime: Duration::from_secs(30),
    }
}

/// A token of ours, changed by `edit` and signed with our own secret.
fn forged(token: &SecretString, edit: impl FnOnce(&mut Value, &mut Value)) -> SecretString {
    use hmac::Mac as _;

    let mut parts = token
        .expose_secret()
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap());
    let (mut header, mut claims): (Value, Value) = (parts.next().unwrap(), parts.next().unwrap());
    edit(&mut header, &mut claims);
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let text = format!("{}.{}", encode(&header), encode(&claims));
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    SecretString::from(format!("{text}.{signature}"))
}

/// Each of `typ` and `aud` alone keeps other kinds away, should the other ever fail.
#[test]
fn a09_token_confusion_another_kind_is_refused_even_with_our_signature() {
    let (clock, own) = tokens("https://tenancy.example", SECRET);
    let token = own.issue(&grant(&clock)).unwrap();
    assert!(own.verify(&forged(&token, |_, _| {})).is_ok());
    for typ in [
        "JWT",
        "at+jwt",
        "openclaw-edge+jwt",
        "openclaw-refresh+jwt",
        "",
    ] {
        let other = forged(&token, |header, _| header["typ"] = json!(typ));
        assert_eq!(own.verify(&other).unwrap_err(), JwtError::Type, "{typ}");
    }
    let untyped = forged(&token, |header, _| {
        header.as_object_mut().unwrap().remove("typ");
    });
    assert_eq!(own.verify(&untyped).unwrap_err(), JwtError::Type);
    for aud in [json!("urn:openclaw-tenancy:edge"), json!([]), json!("")] {
        let other = forged(&token, |_, claims| claims["aud"] = aud);
        assert_eq!(own.verify(&other).unwrap_err(), JwtError::Audience);
    }
}

#[test]
fn a09_token_confusion_a_providers_tokens_are_not_ours_and_ours_not_a_providers() {
    let (clock, own) = tokens(ISSUER, SECRET);
    for typ in ["JWT", "at+jwt", "openclaw-api+jwt"] {
        let mut claims = good();
        claims["aud"] = json!("urn:openclaw-tenancy:api");
        let theirs = SecretString::from(rsa().token(&json!({ "typ": typ }), &claims));
        assert_eq!(own.verify(&theirs).unwrap_err(), JwtError::UnknownKey);
    }
    let ours = own.issue(&grant(&clock)).unwrap();
    assert_eq!(
        verify(ours.expose_secret()).unwrap_err(),
        JwtError::Algorithm
    );
}

#[test]
fn a09_token_confusion_an_id_token_is_no_bearer() {
    let expect = Expect {
        issuer: ISSUER,
        audience: CLIENT,
        profile: Profile::AccessToken,
    };
    let now = Timestamp::from_seconds(NOW);
    let bearer = |header: Value, claims: &Value| {
        let token = rsa().token(&header, claims);
        UnverifiedToken::parse(&token)
            .unwrap()
            .verify(&public(rsa()), &expect, now)
            .map(|_| ())
    };
    let mut access = good();
    access.as_object_mut().unwrap().remove("nonce");
    assert_eq!(bearer(json!({}), &access), Ok(()));
    assert_eq!(bearer(json!({ "typ": "at+jwt" }), &access), Ok(()));
    assert_eq!(bearer(json!({}), &good()), Err(JwtError::IdTokenAsBearer));
    for claim in ["at_hash", "c_hash"] {
        let mut id = access.clone();
        id[claim] = json!("x");
        assert_eq!(
            bearer(json!({}), &id),
            Err(JwtError::IdTokenAsBearer),
            "{claim}"
        );
    }
    for typ in ["logout+jwt", "secevent+jwt", "openclaw-api+jwt"] {
        assert_eq!(
            bearer(json!({ "typ": typ }), &access),
            Err(JwtError::Type),
            "{typ}"
        );
    }
}

#[test]
fn our_own_tokens_end_when_they_say_and_none_lives_longer_than_it_may() {
    let (clock, own) = tokens("https://tenancy.example", SECRET);
    let forever = TokenGrant {
        lifetime: Duration::from_secs(u64::MAX),
        ..grant(&clock)
    };
    let token = own.issue(&forever).unwrap();
    clock.advance(OwnTokens::LONGEST.saturating_sub(Duration::from_secs(1)));
    assert!(own.verify(&token).is_ok());
    clock.advance(Duration::from_secs(1));
    let ended = own.verify(&token).unwrap_err();
    assert_eq!(ended, JwtError::Expired);
}

#[test]
fn two_secrets_are_valid_while_they_rotate() {
    let (clock, old) = tokens("https://tenancy.example", OLD_SECRET);
    let token = old.issue(&grant(&clock)).unwrap();
    let (_, new) = tokens("https://tenancy.example", SECRET);
    assert_eq!(new.verify(&token).unwrap_err(), JwtError::UnknownKey);
    let new = new.with_previous(&secret(OLD_SECRET));
    assert!(new.verify(&token).is_ok());
    let newer = new.issue(&grant(&clock)).unwrap();
    assert_eq!(old.verify(&newer).unwrap_err(), JwtError::UnknownKey);
}

#[test]
fn another_deployments_tokens_are_not_ours_even_with_one_secret() {
    let (clock, own) = tokens("https://tenancy.example", SECRET);
    let (_, other) = tokens("https://other.example", SECRET);
    let token = other.issue(&grant(&clock)).unwrap();
    assert_eq!(own.verify(&token).unwrap_err(), JwtError::Issuer);
}

#[test]
fn nothing_secret_is_shown() {
    let (clock, own) = tokens("https://tenancy.example", SECRET);
    let token = own.issue(&grant(&clock)).unwrap();
    let parsed = UnverifiedToken::parse(token.expose_secret()).unwrap();
    let shown = format!("{own:?} {parsed:?} {token:?}");
    let signature = token.expose_secret().rsplit('.').next().unwrap();
    assert!(
        !shown.contains(SECRET) && !shown.contains(signature),
        "{shown}"
    );
}
