//! The rules of [`IdentityProvider`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::Rule;
use crate::identity::{
    IdentityError, IdentityProvider, LoginAnswer, LoginRequest, LoginStep, Subject,
};

/// A provider to try the rules on, with two people who can sign in.
#[async_trait]
pub trait IdentityFixture: fmt::Debug + Send + Sync + 'static {
    /// The provider.
    fn provider(&self) -> Arc<dyn IdentityProvider>;

    /// Who the two are.
    fn people(&self) -> [Subject; 2];

    /// A bearer token of one of them, valid now; `None` where the provider has none.
    async fn token(&self, who: &Subject) -> Option<SecretString>;

    /// Does in a browser what `step` asks, as one of them, and comes back. `browser` is the pre-login cookie.
    async fn answer(&self, who: &Subject, step: LoginStep, browser: &SecretString) -> LoginAnswer;

    /// Cleans up after a rule that held.
    async fn finish(&self);
}

/// Every rule.
pub const RULES: &[Rule<dyn IdentityFixture>] = crate::conformance_identity!(@list table []);

/// Expands to one `#[tokio::test]` for each rule of
/// [`IdentityProvider`](crate::identity::IdentityProvider).
///
/// The argument is an expression that is evaluated anew for each test: a future of `Option<impl`
/// [`IdentityFixture`](crate::conformance::identity::IdentityFixture)`>`. `None` skips the test; say why when giving
/// it.
#[macro_export]
macro_rules! conformance_identity {
    (@list $how:ident [$($with:tt)*]) => {
        $crate::conformance_identity! { @$how [$($with)*]
            verify_gives_the_bearer
            verify_again_gives_the_same
            verify_refuses_what_is_no_token
            verify_refuses_a_changed_token
            finish_gives_who_signed_in
            finish_returns_to_where_it_began
            finish_refuses_anothers_secret
            finish_refuses_a_changed_answer
            finish_refuses_another_browser
            finish_takes_a_callback_once
        }
    };
    (@test [$fixture:expr] $($rule:ident)*) => {
        $crate::conformance_tests! { identity IdentityFixture [$fixture] $($rule)* }
    };
    (@table [] $($rule:ident)*) => {
        &[$($crate::conformance::Rule {
            name: stringify!($rule),
            check: |fixture| Box::pin($rule(fixture)),
        }),*]
    };
    ($fixture:expr) => {
        $crate::conformance_identity! { @list test [$fixture] }
    };
}

const RETURN_TO: &str = "/kit?a=1";

fn browser(n: u8) -> SecretString {
    SecretString::from(format!("{n:02x}").repeat(32))
}

/// The token of one of them, or a word that there is none.
async fn token(fixture: &dyn IdentityFixture, who: &Subject) -> Option<SecretString> {
    let token = fixture.token(who).await;
    if token.is_none() {
        println!("skipped: the provider has no bearer tokens");
    }
    token
}

/// A browser that has signed in as `who` and comes back, or a word that there is no sign-in.
async fn came_back(
    fixture: &dyn IdentityFixture,
    who: &Subject,
    browser: &SecretString,
) -> Option<LoginAnswer> {
    let request = LoginRequest {
        browser: browser.clone(),
        return_to: RETURN_TO.to_owned(),
    };
    let step = match fixture.provider().begin(request).await {
        Err(IdentityError::Unsupported { .. }) => {
            println!("skipped: the provider has no sign-in");
            return None;
        }
        begun => begun.expect("the provider answers"),
    };
    Some(fixture.answer(who, step, browser).await)
}

async fn assert_refused(fixture: &dyn IdentityFixture, answer: LoginAnswer) {
    let finished = fixture.provider().finish(answer).await;
    assert!(
        matches!(finished, Err(IdentityError::Refused { .. })),
        "{finished:?}"
    );
}

/// Each token gives its own bearer, of the provider's issuer.
async fn verify_gives_the_bearer(fixture: &dyn IdentityFixture) {
    for who in fixture.people() {
        assert_eq!(who.issuer, fixture.provider().issuer());
        let Some(token) = token(fixture, &who).await else {
            return;
        };
        let identity = fixture.provider().verify(&token).await;
        assert_eq!(identity.expect("it is valid").who, who);
    }
}

/// Verifying uses nothing up.
async fn verify_again_gives_the_same(fixture: &dyn IdentityFixture) {
    let [who, _] = fixture.people();
    let Some(token) = token(fixture, &who).await else {
        return;
    };
    let provider = fixture.provider();
    let first = provider.verify(&token).await.expect("it is valid");
    for _ in 0..3 {
        assert_eq!(provider.verify(&token).await.expect("it is valid"), first);
    }
}

async fn assert_no_token(fixture: &dyn IdentityFixture, text: &str) {
    let token = SecretString::from(text.to_owned());
    let answer = fixture.provider().verify(&token).await;
    assert!(
        matches!(
            answer,
            Err(IdentityError::Refused { .. } | IdentityError::Unsupported { .. })
        ),
        "{text:?}: {answer:?}"
    );
}

/// Text of any other kind is refused.
async fn verify_refuses_what_is_no_token(fixture: &dyn IdentityFixture) {
    let long = "a".repeat(70_000);
    for text in [
        "", " ", ".", "..", "a.b.c", "null", "Bearer x", "\0", "租户", &long,
    ] {
        assert_no_token(fixture, text).await;
    }
}

/// One character more, less or other anywhere makes it no token.
async fn verify_refuses_a_changed_token(fixture: &dyn IdentityFixture) {
    let [who, _] = fixture.people();
    let Some(token) = token(fixture, &who).await else {
        return;
    };
    let text = token.expose_secret();
    assert!(text.is_ascii(), "a bearer token is ASCII (RFC 6750 §2.1)");
    for changed in [
        format!("{text}A"),
        format!(" {text}"),
        format!("{text} "),
        format!("{text}."),
        text[1..].to_owned(),
        text[..text.len() - 1].to_owned(),
    ] {
        assert_no_token(fixture, &changed).await;
    }
    let step = (text.len() / 40).max(1);
    for at in (0..text.len()).step_by(step) {
        let other = if text.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        let mut changed = text.to_owned();
        changed.replace_range(at..=at, other);
        assert_no_token(fixture, &changed).await;
    }
}

/// Each sign-in gives the one who signed in, of the provider's issuer.
async fn finish_gives_who_signed_in(fixture: &dyn IdentityFixture) {
    for who in fixture.people() {
        let Some(answer) = came_back(fixture, &who, &browser(1)).await else {
            return;
        };
        let finished = fixture.provider().finish(answer).await;
        assert_eq!(finished.expect("it is in order").identity.who, who);
    }
}

/// A sign-in by callback ends where its own beginning said; one by password says nothing.
async fn finish_returns_to_where_it_began(fixture: &dyn IdentityFixture) {
    let [who, _] = fixture.people();
    let Some(answer) = came_back(fixture, &who, &browser(1)).await else {
        return;
    };
    let wanted = match &answer {
        LoginAnswer::Callback { .. } => Some(RETURN_TO),
        LoginAnswer::Password { .. } => None,
    };
    let finished = fixture.provider().finish(answer).await;
    assert_eq!(
        finished.expect("it is in order").return_to.as_deref(),
        wanted
    );
}

/// One's name with the other's password, or one's state with the other's code, is nobody.
async fn finish_refuses_anothers_secret(fixture: &dyn IdentityFixture) {
    let [one, other] = fixture.people();
    let Some(first) = came_back(fixture, &one, &browser(1)).await else {
        return;
    };
    let Some(second) = came_back(fixture, &other, &browser(2)).await else {
        return;
    };
    let crossed = match (first, second) {
        (LoginAnswer::Password { username, .. }, LoginAnswer::Password { password, .. }) => {
            LoginAnswer::Password { username, password }
        }
        (LoginAnswer::Callback { query, .. }, LoginAnswer::Callback { browser, .. }) => {
            LoginAnswer::Callback { query, browser }
        }
        (LoginAnswer::Password { .. }, LoginAnswer::Callback { .. })
        | (LoginAnswer::Callback { .. }, LoginAnswer::Password { .. }) => {
            panic!("one provider has one kind of sign-in")
        }
    };
    assert_refused(fixture, crossed).await;
}

/// A wrong password, an unknown name and an empty or doubled callback are refused.
async fn finish_refuses_a_changed_answer(fixture: &dyn IdentityFixture) {
    let [who, _] = fixture.people();
    let Some(answer) = came_back(fixture, &who, &browser(1)).await else {
        return;
    };
    match answer {
        LoginAnswer::Password { username, password } => {
            let right = password.expose_secret();
            for wrong in ["".to_owned(), format!("{right}x"), right[1..].to_owned()] {
                let answer = LoginAnswer::Password {
                    username: username.clone(),
                    password: SecretString::from(wrong),
                };
                assert_refused(fixture, answer).await;
            }
            let answer = LoginAnswer::Password {
                username: format!("{username}-not"),
                password,
            };
            assert_refused(fixture, answer).await;
        }
        LoginAnswer::Callback { query, browser } => {
            for changed in [String::new(), format!("{query}&{query}"), "a=b".to_owned()] {
                let answer = LoginAnswer::Callback {
                    query: changed,
                    browser: browser.clone(),
                };
                assert_refused(fixture, answer).await;
            }
        }
    }
}

/// A callback that another browser brings is refused.
async fn finish_refuses_another_browser(fixture: &dyn IdentityFixture) {
    let [who, _] = fixture.people();
    let Some(answer) = came_back(fixture, &who, &browser(1)).await else {
        return;
    };
    match answer {
        LoginAnswer::Callback { query, .. } => {
            let browser = browser(2);
            assert_refused(fixture, LoginAnswer::Callback { query, browser }).await;
        }
        LoginAnswer::Password { .. } => println!("skipped: the provider has no callback"),
    }
}

/// The second time a callback is refused.
async fn finish_takes_a_callback_once(fixture: &dyn IdentityFixture) {
    let [who, _] = fixture.people();
    let Some(answer) = came_back(fixture, &who, &browser(1)).await else {
        return;
    };
    if matches!(answer, LoginAnswer::Password { .. }) {
        println!("skipped: the provider has no callback");
        return;
    }
    let first = fixture.provider().finish(answer.clone()).await;
    first.expect("it is in order");
    assert_refused(fixture, answer).await;
}
