//! Where in a browser's return from a provider the fault is that ended a sign-in.

/// The parameter, header or token that a refused sign-in is about. Told by the stable reason: a provider is a plug-in
/// and gives no more. One that has words of its own is about the answer as a whole.
pub(super) fn place(reason: &str) -> &'static str {
    let places = PLACES.iter();
    let mut known = places.filter(|(_, reasons)| reasons.contains(&reason));
    match known.next() {
        Some((place, _)) => place,
        None if reason.starts_with("the token") => "id_token",
        None => "query",
    }
}

const PLACES: &[(&str, &[&str])] = &[
    (
        "state",
        &[
            "the sign-in is unknown, already used or older than ten minutes",
            "the sign-in was begun by another version of this server",
            "the sign-in was begun at another provider",
            "the provider's answer has no state",
        ],
    ),
    (
        "Cookie",
        &[
            "the sign-in was begun in another browser",
            "the browser sent no pre-login cookie",
        ],
    ),
    (
        "code",
        &[
            "the provider's answer has no code",
            "the provider refused the code",
        ],
    ),
    (
        "iss",
        &[
            "the answer is from another provider",
            "the answer does not name its provider",
        ],
    ),
    (
        "error",
        &[
            "the sign-in was cancelled at the provider",
            "the provider refused the sign-in",
        ],
    ),
    (
        "query",
        &[
            "the provider's answer is too long",
            "the provider's answer repeats a parameter",
        ],
    ),
    (
        "provider",
        &["the provider does not offer this way to sign in"],
    ),
    (
        "id_token",
        &["the UserInfo response is about somebody else"],
    ),
];

#[cfg(test)]
mod tests {
    use super::super::phrases::tests::reasons_in;
    use super::*;

    #[test]
    fn every_reason_of_a_refused_sign_in_has_its_place() {
        let told = reasons_in("src/identity/oidc", &["refused("]);
        assert!(told.len() > 10, "{told:?}");
        for reason in told {
            let known = PLACES
                .iter()
                .any(|(_, reasons)| reasons.contains(&&*reason));
            assert!(known, "{reason}: say in PLACES what it is about");
        }
        assert_eq!(place("the token has no usable subject"), "id_token");
    }
}
