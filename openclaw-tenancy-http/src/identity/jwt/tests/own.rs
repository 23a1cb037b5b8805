//! A9: tokens of one kind where another belongs.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::SecretHash;
use openclaw_tenancy::clock::{Clock, ManualClock, SeededEntropy};
use openclaw_tenancy::id::AccountId;
use secrecy::{ExposeSecret as _, SecretString};

use super::super::{OwnTokens, TokenGrant, TokenKind, TokenSecret};
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
        bound_to: None,
        lifetime: Duration::from_secs(30),
    }
}

#[test]
fn a09_token_confusion_kinds_never_stand_in_for_each_other() {
    let (clock, own) = tokens("https://tenancy.example", SECRET);
    let grant = grant(&clock);
    for made in TokenKind::ALL {
        let token = own.issue(made, &grant).unwrap();
        for wanted in TokenKind::ALL {
            let result = own.verify(wanted, &token, None);
            if made == wanted {
                let claims = result.unwrap();
                assert_eq!(
                    (claims.account, claims.session),
                    (grant.account, grant.session)
                );
            } else {
                assert_eq!(
                    result.unwrap_err(),
                    JwtError::Type,
                    "{made:?} as {wanted:?}"
                );
            }
        }
    }
}

/// Each of `typ` and `aud` alone keeps the kinds apart, should the other ever fail.
#[test]
fn a09_token_confusion_type_and_audience_differ_for_every_kind() {
    for a in TokenKind::ALL {
        for b in TokenKind::ALL {
            assert_eq!(a == b, a.typ() == b.typ());
            assert_eq!(a == b, a.audience() == b.audience());
        }
    }
}

#[test]
fn a09_token_confusion_a_providers_tokens_are_not_ours_and_ours_not_a_providers() {
    let (clock, own) = tokens(ISSUER, SECRET);
    for typ in ["JWT", "at+jwt", "openclaw-api+jwt"] {
        let mut claims = good();
        claims["aud"] = json!(TokenKind::Api.audience());
        let theirs = SecretString::from(rsa().token(&json!({ "typ": typ }), &claims));
        assert_eq!(
            own.verify(TokenKind::Api, &theirs, None).unwrap_err(),
            JwtError::UnknownKey
        );
    }
    let ours = own.issue(TokenKind::Api, &grant(&clock)).unwrap();
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
fn a_binding_holds_to_the_letter() {
    let (clock, own) = tokens("https://tenancy.example", SECRET);
    let bound = TokenGrant {
        bound_to: Some("tenant-a/3".into()),
        ..grant(&clock)
    };
    let token = own.issue(TokenKind::Instance, &bound).unwrap();
    assert!(
        own.verify(TokenKind::Instance, &token, Some("tenant-a/3"))
            .is_ok()
    );
    for other in [None, Some("tenant-a/4"), Some("tenant-b/3"), Some("")] {
        let refused = own.verify(TokenKind::Instance, &token, other).unwrap_err();
        assert_eq!(refused, JwtError::Binding);
    }
    let unbound = own.issue(TokenKind::Instance, &grant(&clock)).unwrap();
    let refused = own
        .verify(TokenKind::Instance, &unbound, Some("tenant-a/3"))
        .unwrap_err();
    assert_eq!(refused, JwtError::Binding);
}

#[test]
fn our_own_tokens_end_when_they_say_and_no_kind_lives_longer_than_it_may() {
    let (clock, own) = tokens("https://tenancy.example", SECRET);
    let forever = TokenGrant {
        lifetime: Duration::from_secs(u64::MAX),
        ..grant(&clock)
    };
    let token = own.issue(TokenKind::HandOver, &forever).unwrap();
    clock.advance(Duration::from_secs(59));
    assert!(own.verify(TokenKind::HandOver, &token, None).is_ok());
    clock.advance(Duration::from_secs(1));
    let ended = own.verify(TokenKind::HandOver, &token, None).unwrap_err();
    assert_eq!(ended, JwtError::Expired);
}

#[test]
fn two_secrets_are_valid_while_they_rotate() {
    let (clock, old) = tokens("https://tenancy.example", OLD_SECRET);
    let token = old.issue(TokenKind::Api, &grant(&clock)).unwrap();
    let (_, new) = tokens("https://tenancy.example", SECRET);
    assert_eq!(
        new.verify(TokenKind::Api, &token, None).unwrap_err(),
        JwtError::UnknownKey
    );
    let new = new.with_previous(&secret(OLD_SECRET));
    assert!(new.verify(TokenKind::Api, &token, None).is_ok());
    let newer = new.issue(TokenKind::Api, &grant(&clock)).unwrap();
    assert_eq!(
        old.verify(TokenKind::Api, &newer, None).unwrap_err(),
        JwtError::UnknownKey
    );
}

#[test]
fn another_deployments_tokens_are_not_ours_even_with_one_secret() {
    let (clock, own) = tokens("https://tenancy.example", SECRET);
    let (_, other) = tokens("https://other.example", SECRET);
    let token = other.issue(TokenKind::Api, &grant(&clock)).unwrap();
    assert_eq!(
        own.verify(TokenKind::Api, &token, None).unwrap_err(),
        JwtError::Issuer
    );
}

#[test]
fn nothing_secret_is_shown() {
    let (clock, own) = tokens("https://tenancy.example", SECRET);
    let token = own.issue(TokenKind::Api, &grant(&clock)).unwrap();
    let parsed = UnverifiedToken::parse(token.expose_secret()).unwrap();
    let shown = format!("{own:?} {parsed:?} {token:?}");
    let signature = token.expose_secret().rsplit('.').next().unwrap();
    assert!(
        !shown.contains(SECRET) && !shown.contains(signature),
        "{shown}"
    );
}
