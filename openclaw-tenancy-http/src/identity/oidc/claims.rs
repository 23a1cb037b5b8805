//! From verified claims to an identity.

use std::collections::BTreeSet;

use openclaw_tenancy::identity::{Identity, Subject};
use serde_json::{Map, Value};

/// RFC 5321 §4.5.3.1: 64 and 255 bytes and the `@`.
const MAX_EMAIL_BYTES: usize = 320;
const MAX_NAME_CHARS: usize = 200;
const MAX_GROUPS: usize = 500;
const MAX_GROUP_BYTES: usize = 256;

/// What the provider says about `issuer`'s `subject`. A claim in the signed token goes before one in `userinfo`.
pub(super) fn identity(
    issuer: &str,
    subject: &str,
    token: &Map<String, Value>,
    userinfo: Option<&Map<String, Value>>,
    groups_claim: &str,
) -> Identity {
    let sources = || std::iter::once(token).chain(userinfo);
    // The address and whether it is verified come from one document: verified is said of *that* address.
    let (email, email_verified) = sources()
        .find_map(|claims| {
            let verified = claims.get("email_verified") == Some(&Value::Bool(true));
            Some((email(claims)?, verified))
        })
        .map_or((None, false), |(email, verified)| (Some(email), verified));
    Identity {
        who: Subject {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        },
        email,
        email_verified,
        name: sources()
            .find_map(|claims| name(claims, "name"))
            .or_else(|| sources().find_map(|claims| name(claims, "preferred_username"))),
        groups: sources()
            .find_map(|claims| groups(claims, groups_claim))
            .unwrap_or_default(),
    }
}

/// Contact text. One that no mail server would take is none.
fn email(claims: &Map<String, Value>) -> Option<String> {
    let email = claims.get("email")?.as_str()?;
    let (local, domain) = email.rsplit_once('@')?;
    let plain = !email.chars().any(|c| c.is_control() || c.is_whitespace());
    let fits = !local.is_empty() && !domain.is_empty() && email.len() <= MAX_EMAIL_BYTES && plain;
    fits.then(|| email.to_owned())
}

/// A name to show: on one line and not endless.
fn name(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    let name = claims.get(claim)?.as_str()?;
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME_CHARS)
        .collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The groups in `claim`, a name to the letter or a way through objects by dots; a list, or one text.
fn groups(claims: &Map<String, Value>, claim: &str) -> Option<BTreeSet<String>> {
    let value = claims.get(claim).or_else(|| {
        let mut steps = claim.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    })?;
    let list = match value {
        Value::String(_) => std::slice::from_ref(value),
        Value::Array(several) => several,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let fits = |group: &&str| !group.is_empty() && group.len() <= MAX_GROUP_BYTES;
    let texts = list
        .iter()
        .filter_map(Value::as_str)
        .filter(fits)
        .take(MAX_GROUPS);
    Some(texts.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(token: Value, userinfo: Value, claim: &str) -> Identity {
        let (Value::Object(token), Value::Object(userinfo)) = (token, userinfo) else {
            panic!("claims are objects");
        };
        identity("https://issuer", "s", &token, Some(&userinfo), claim)
    }

    #[test]
    fn an_address_is_verified_only_by_the_document_that_names_it() {
        let id = of(
            json!({ "email": "a@b.example" }),
            json!({ "email": "x@y.example", "email_verified": true }),
            "groups",
        );
        assert_eq!(id.email.as_deref(), Some("a@b.example"));
        assert!(!id.email_verified);
        let id = of(
            json!({ "email_verified": true }),
            json!({ "email": "x@y.example" }),
            "groups",
        );
        assert_eq!(
            (id.email.as_deref(), id.email_verified),
            (Some("x@y.example"), false)
        );
        let id = of(
            json!({}),
            json!({ "email": "x@y.example", "email_verified": true }),
            "groups",
        );
        assert!(id.email_verified);
    }

    #[test]
    fn a_text_true_is_not_verified() {
        let id = of(
            json!({ "email": "a@b", "email_verified": "true" }),
            json!({}),
            "groups",
        );
        assert!(!id.email_verified);
    }

    #[test]
    fn what_is_no_address_is_none() {
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b\r\nBcc: x@y"] {
            assert_eq!(
                of(json!({ "email": bad }), json!({}), "groups").email,
                None,
                "{bad}"
            );
        }
    }

    #[test]
    fn groups_are_found_by_name_and_by_path() {
        let token = json!({
            "groups": ["a", "b", 3, ""],
            "one": "c",
            "realm_access": { "roles": ["d"] },
            "https://app.example/roles": ["e"],
        });
        let found = |claim: &str| {
            let id = of(token.clone(), json!({}), claim);
            id.groups.into_iter().collect::<Vec<_>>().join(",")
        };
        assert_eq!(found("groups"), "a,b");
        assert_eq!(found("one"), "c");
        assert_eq!(found("realm_access.roles"), "d");
        assert_eq!(found("https://app.example/roles"), "e");
        assert_eq!(found("realm_access.none"), "");
    }

    #[test]
    fn a_name_is_one_short_line() {
        let long = format!("A\n\u{1b}[31m{}", "x".repeat(500));
        let name = of(json!({ "name": long }), json!({}), "groups")
            .name
            .unwrap();
        assert_eq!(name.chars().count(), 200);
        assert!(!name.contains('\u{1b}') && !name.contains('\n'));
        let id = of(
            json!({ "name": " ", "preferred_username": "ann" }),
            json!({}),
            "groups",
        );
        assert_eq!(id.name.as_deref(), Some("ann"));
    }
}
