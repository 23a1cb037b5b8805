//! Accounts, passwords and the server's own values.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::super::race::{CALLERS, race};
use super::AccessFixture;
use crate::access::{AccessStore, Account, Replace, Rights};
use crate::clock::Timestamp;
use crate::id::AccountId;
use crate::identity::{Identity, Subject};
use crate::plan::PlanName;
use crate::store::StoreError;

const T0: Timestamp = Timestamp::from_seconds(1_790_000_000);
const LATER: Duration = Duration::from_secs(3600);

/// The first sign-in makes the account with the id given; later ones find it.
pub(super) async fn sign_in_makes_an_account_once(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let first = store.sign_in(identity("alice"), id(1), T0).await;
    let first = first.expect("signed in");
    let expected = Account {
        id: id(1),
        who: identity("alice").who,
        email: Some("alice@example.com".to_owned()),
        name: Some("Alice".to_owned()),
        rights: Rights::default(),
        created_at: T0,
    };
    assert_eq!(first, expected);
    let replica = fixture.replica();
    let again = replica
        .sign_in(identity("alice"), id(2), T0.plus(LATER))
        .await;
    assert_eq!(again.expect("signed in"), expected);
    let second = store.account(id(2)).await.expect("an answer");
    assert_eq!(second, None, "the second id was not used");
}

/// E-mail and name follow the provider; rights do not.
pub(super) async fn sign_in_brings_contact_text_up_to_date(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let mut expected = sign_in(&*store, identity("alice"), 1).await;
    let rights = store.set_account_rights(id(1), admin()).await;
    rights.expect("the account is there");
    expected.rights = admin();
    for (email, name) in [
        ("new@example.com", "Alice"),
        ("new@example.com", "Alice B."),
        ("newer@example.com", "Alice C."),
    ] {
        expected.email = Some(email.to_owned());
        expected.name = Some(name.to_owned());
        signs_in_as(fixture, &expected, Some(email), Some(name)).await;
    }
}

/// A claim that is absent says nothing: the e-mail and the name that were known stay, each for itself.
pub(super) async fn sign_in_keeps_contact_text_that_is_not_sent(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let nothing = Identity {
        email: None,
        name: None,
        ..identity("alice")
    };
    let mut expected = sign_in(&*store, nothing, 1).await;
    assert_eq!((&expected.email, &expected.name), (&None, &None));
    for (email, name) in [
        (None, Some("Alice")),
        (Some("alice@example.com"), None),
        (None, None),
        (None, Some("Alice B.")),
        (Some("new@example.com"), None),
        (None, None),
    ] {
        expected.email = email.map(str::to_owned).or(expected.email);
        expected.name = name.map(str::to_owned).or(expected.name);
        signs_in_as(fixture, &expected, email, name).await;
    }
}

/// Alice signs in with this e-mail and name, and is answered, and kept, as `expected`.
async fn signs_in_as(
    fixture: &dyn AccessFixture,
    expected: &Account,
    email: Option<&str>,
    name: Option<&str>,
) {
    let sent = Identity {
        email: email.map(str::to_owned),
        name: name.map(str::to_owned),
        ..identity("alice")
    };
    let account = sign_in(&*fixture.access(), sent, 2).await;
    assert_eq!(&account, expected, "sent {email:?} and {name:?}");
    let stored = fixture.replica().account(expected.id).await;
    assert_eq!(stored.expect("an answer"), Some(account));
}

/// A13: who somebody is is exactly issuer and subject; an equal e-mail joins nothing.
pub(super) async fn sign_in_binds_to_issuer_and_subject_alone(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let of = |issuer: &str, subject: &str| Identity {
        who: Subject {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        },
        ..identity("alice")
    };
    let people = [
        of("https://a.example", "alice"),
        of("https://b.example", "alice"),
        of("https://a.example", "Alice"),
        of("https://a.example", "alice "),
        of("https://a.example/", "alice"),
        of("https://a.example", "álice"),
    ];
    for (n, person) in people.iter().enumerate() {
        let n = u128::try_from(n).expect("few") + 1;
        assert_eq!(sign_in(&*store, person.clone(), n).await.id, id(n));
    }
}

/// An id that is another's is refused, not taken over.
pub(super) async fn sign_in_refuses_an_id_in_use(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let alice = sign_in(&*store, identity("alice"), 1).await;
    let answer = store.sign_in(identity("bob"), id(1), T0).await;
    let refused = matches!(answer, Err(StoreError::Conflict { .. }));
    assert!(refused, "{answer:?}");
    let kept = store.account(id(1)).await.expect("an answer");
    assert_eq!(kept, Some(alice));
}

/// Of 32 first sign-ins at once, all have one account.
pub(super) async fn concurrent_sign_ins_give_one_account(fixture: &dyn AccessFixture) {
    let stores = [fixture.access(), fixture.replica()];
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        async move {
            store
                .sign_in(identity("alice"), id(u128::from(n) + 1), T0)
                .await
        }
    })
    .await;
    let ids: BTreeSet<_> = answers
        .into_iter()
        .map(|answer| answer.expect("signed in").id)
        .collect();
    assert_eq!(ids.len(), 1);
    let mut there = 0;
    for n in 1..=CALLERS {
        let account = stores[0].account(id(n.into())).await.expect("an answer");
        there += usize::from(account.is_some());
    }
    assert_eq!(there, 1, "no account is left over");
}

/// Absent is a value, not an error.
pub(super) async fn account_finds_only_what_is_there(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let account = sign_in(&*store, identity("alice"), 1).await;
    let found = fixture.replica().account(id(1)).await;
    assert_eq!(found.expect("an answer"), Some(account));
    assert_eq!(store.account(id(9)).await.expect("an answer"), None);
}

/// Every account is in one page, whatever order they were made in and however long a page is.
pub(super) async fn accounts_are_listed_once_each_in_pages(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let none = store.accounts(None, 10).await;
    assert_eq!(none.expect("an answer"), []);
    let mut there = Vec::new();
    for n in [3, 1, 5, 2, 4] {
        there.push(sign_in(&*store, identity(&format!("person-{n}")), n).await);
    }
    let administrator = store.set_account_rights(id(2), admin()).await;
    there.sort_by_key(|account| account.id);
    there[1] = administrator.expect("the account is there");

    let replica = fixture.replica();
    for limit in [1, 2, 5, 10] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = replica.accounts(after, limit).await.expect("an answer");
            assert!(page.len() <= limit as usize, "{limit}: {page:?}");
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            listed.extend(page);
            assert!(listed.len() <= there.len(), "{limit}: {listed:?}");
        }
        assert_eq!(listed, there, "{limit}");
    }
}

/// Rights are replaced as a whole, and stay.
pub(super) async fn set_account_rights_keeps_them(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let mut expected = sign_in(&*store, identity("alice"), 1).await;
    let pro = Rights {
        admin: false,
        plan: Some(PlanName::new("pro").expect("a plan name")),
    };
    for rights in [admin(), pro.clone(), pro, Rights::default()] {
        expected.rights = rights.clone();
        let set = store.set_account_rights(id(1), rights).await;
        assert_eq!(set.expect("the account is there"), expected);
        let stored = fixture.replica().account(id(1)).await;
        assert_eq!(stored.expect("an answer").as_ref(), Some(&expected));
    }
}

/// Rights make no account.
pub(super) async fn set_account_rights_refuses_what_is_not_there(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let answer = store.set_account_rights(id(1), admin()).await;
    let refused = matches!(answer, Err(StoreError::NotFound { .. }));
    assert!(refused, "{answer:?}");
    assert_eq!(store.account(id(1)).await.expect("an answer"), None);
}

/// True while at least one account administers.
pub(super) async fn has_admin_tells_whether_one_administers(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let has_admin = async || store.has_admin().await.expect("an answer");
    assert!(!has_admin().await);
    sign_in(&*store, identity("alice"), 1).await;
    assert!(!has_admin().await);
    for (rights, expected) in [(admin(), true), (Rights::default(), false)] {
        let set = store.set_account_rights(id(1), rights).await;
        set.expect("the account is there");
        assert_eq!(has_admin().await, expected);
    }
}

/// A start of the server does not reset a password; a change of it does.
pub(super) async fn put_password_keeps_the_first_unless_told_otherwise(
    fixture: &dyn AccessFixture,
) {
    let store = fixture.access();
    let steps = [
        ("first", Replace::No, true, "first"),
        ("second", Replace::No, false, "first"),
        ("third", Replace::Yes, true, "third"),
    ];
    for (phc, replace, written, kept) in steps {
        let put = store
            .put_password("admin".to_owned(), phc.into(), replace)
            .await;
        assert_eq!(put.expect("an answer"), written);
        let stored = fixture.replica().password("admin").await;
        assert_eq!(text(stored.expect("an answer")), Some(kept.to_owned()));
    }
    let new = store
        .put_password("bob".to_owned(), "b".into(), Replace::Yes)
        .await;
    assert!(new.expect("an answer"), "there was nothing to replace");
}

/// Of 32 replicas that start at once, one writes the first password.
pub(super) async fn concurrent_first_passwords_have_one_winner(fixture: &dyn AccessFixture) {
    let stores = [fixture.access(), fixture.replica()];
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let phc = SecretString::from(n.to_string());
        async move {
            store
                .put_password("admin".to_owned(), phc, Replace::No)
                .await
        }
    })
    .await;
    let winners: Vec<_> = answers
        .into_iter()
        .enumerate()
        .filter(|(_, answer)| *answer.as_ref().expect("an answer"))
        .map(|(n, _)| n.to_string())
        .collect();
    assert_eq!(winners.len(), 1);
    let stored = stores[0].password("admin").await.expect("an answer");
    assert_eq!(text(stored).as_ref(), winners.first());
}

/// Names are exact; absent is a value.
pub(super) async fn password_finds_only_what_is_there(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let put = store
        .put_password("admin".to_owned(), "p".into(), Replace::No)
        .await;
    put.expect("written");
    for other in ["Admin", "admin ", "", "bob"] {
        let found = store.password(other).await.expect("an answer");
        assert_eq!(text(found), None, "{other:?}");
    }
}

/// The deployment's keys are made once.
pub(super) async fn meta_keeps_the_first_value(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    for (name, value, kept) in [
        ("key", "first", "first"),
        ("key", "second", "first"),
        ("other", "third", "third"),
        ("key", "fourth", "first"),
    ] {
        let got = fixture.replica().meta(name, value.into()).await;
        assert_eq!(got.expect("an answer").expose_secret(), kept);
    }
    let got = store.meta("key", "fifth".into()).await;
    assert_eq!(got.expect("an answer").expose_secret(), "first");
}

/// Of 32 replicas that start at once, all get one value.
pub(super) async fn concurrent_meta_gives_everybody_one_value(fixture: &dyn AccessFixture) {
    let stores = [fixture.access(), fixture.replica()];
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let value = SecretString::from(n.to_string());
        async move { store.meta("key", value).await }
    })
    .await;
    let values: BTreeSet<_> = answers
        .into_iter()
        .map(|answer| answer.expect("an answer").expose_secret().to_owned())
        .collect();
    assert_eq!(values.len(), 1, "{values:?}");
}

async fn sign_in(store: &dyn AccessStore, identity: Identity, n: u128) -> Account {
    let account = store.sign_in(identity, id(n), T0).await;
    account.expect("signed in")
}

fn id(n: u128) -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(n))
}

fn identity(name: &str) -> Identity {
    Identity {
        who: Subject {
            issuer: "https://id.example".to_owned(),
            subject: name.to_owned(),
        },
        email: Some(format!("{name}@example.com")),
        email_verified: true,
        name: Some("Alice".to_owned()),
        groups: BTreeSet::new(),
    }
}

fn admin() -> Rights {
    Rights {
        admin: true,
        plan: None,
    }
}

fn text(secret: Option<SecretString>) -> Option<String> {
    secret.map(|secret| secret.expose_secret().to_owned())
}
