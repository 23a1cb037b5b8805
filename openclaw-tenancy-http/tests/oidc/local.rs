//! Local accounts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openclaw_tenancy::access::{AccessStore, Grant, GrantKind, Replace, SecretHash};
use openclaw_tenancy::clock::{Clock, SystemClock, SystemEntropy};
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::{
    Identity, IdentityError, IdentityProvider as _, LoginAnswer, LoginRequest, LoginStep,
};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy::plan::PlanName;
use openclaw_tenancy_http::identity::local::{FIRST_ADMINISTRATOR, ISSUER, LocalAccounts};
use secrecy::{ExposeSecret as _, SecretString};

use crate::support::reason;

const WRONG: &str = "the name or the password is wrong";
const PASSWORD: &str = "correct horse battery staple";

fn accounts() -> (Arc<MemoryAccess>, Arc<LocalAccounts>) {
    let store = Arc::new(MemoryAccess::new());
    (Arc::clone(&store), Arc::new(on(&store)))
}

fn on(store: &Arc<MemoryAccess>) -> LocalAccounts {
    let store = Arc::clone(store) as Arc<dyn AccessStore>;
    LocalAccounts::new(store, Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap()
}

async fn sign_in(
    accounts: &LocalAccounts,
    username: &str,
    password: &str,
) -> Result<Identity, IdentityError> {
    let answer = LoginAnswer::Password {
        username: username.to_owned(),
        password: password.into(),
    };
    Ok(accounts.finish(answer).await?.identity)
}

#[tokio::test]
async fn the_first_administrator_is_made_once_and_signs_in() {
    let (store, accounts) = accounts();
    let pro = PlanName::new("pro").unwrap();
    let first = accounts
        .first_administrator(Some(pro.clone()))
        .await
        .unwrap()
        .unwrap();
    assert!(
        accounts.first_administrator(None).await.unwrap().is_none(),
        "only once"
    );
    assert!(
        on(&store)
            .first_administrator(None)
            .await
            .unwrap()
            .is_none(),
        "after a restart too"
    );

    let password = first.password.expose_secret();
    assert_eq!((first.username, password.len()), (FIRST_ADMINISTRATOR, 23));
    assert!(!format!("{first:?}").contains(password));
    let identity = sign_in(&accounts, "admin", password).await.unwrap();
    assert_eq!(identity.who.issuer, ISSUER);
    let id = AccountId::generate(&SystemClock, &SystemEntropy);
    let account = store
        .sign_in(identity, id, SystemClock.now())
        .await
        .unwrap();
    assert!(account.rights.admin);
    assert_eq!(account.rights.plan, Some(pro));
    assert!(store.has_admin().await.unwrap());
}

#[tokio::test]
async fn of_many_replicas_that_start_at_once_one_gets_the_password() {
    let (store, first) = accounts();
    let replicas: Vec<LocalAccounts> = (0..4).map(|_| on(&store)).collect();
    let made = futures::future::join_all(
        replicas
            .iter()
            .map(|replica| replica.first_administrator(None)),
    )
    .await;
    let passwords: Vec<_> = made.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(passwords.len(), 1);
    let password = passwords[0].password.expose_secret();
    assert!(sign_in(&first, FIRST_ADMINISTRATOR, password).await.is_ok());
}

#[tokio::test]
async fn a_lost_password_is_replaced() {
    let (_store, accounts) = accounts();
    let first = accounts.first_administrator(None).await.unwrap().unwrap();
    let second = accounts.reset_password("Admin").await.unwrap();
    assert_eq!(
        reason(sign_in(&accounts, "admin", first.password.expose_secret()).await),
        WRONG
    );
    assert!(
        sign_in(&accounts, "admin", second.expose_secret())
            .await
            .is_ok()
    );
    let unknown = accounts.reset_password("nobody").await.unwrap_err();
    assert!(matches!(unknown, IdentityError::Refused { .. }));
}

/// Whoever had the old password may have sessions, and instances open.
#[tokio::test]
async fn a_new_password_ends_every_session_of_its_account_and_nobody_elses() {
    let (store, accounts) = accounts();
    let first = accounts.first_administrator(None).await.unwrap().unwrap();
    let of_admin = sign_in(&accounts, "admin", first.password.expose_secret()).await;
    let mut of_ann = of_admin.as_ref().unwrap().clone();
    of_ann.who.subject = "ann".to_owned();
    let kinds = [
        GrantKind::Session,
        GrantKind::HandOver,
        GrantKind::InstanceSession,
    ];
    let now = SystemClock.now();
    for (identity, secret) in [(of_admin.unwrap(), "admin"), (of_ann, "ann")] {
        let id = AccountId::generate(&SystemClock, &SystemEntropy);
        let account = store.sign_in(identity, id, now).await.unwrap();
        for kind in kinds {
            let grant = Grant {
                kind,
                secret: SecretHash::of(secret),
                account: Some(account.id),
                data: String::new(),
                created_at: now,
                expires_at: now.plus(Duration::from_secs(600)),
            };
            store.put_grant(grant).await.unwrap();
        }
    }
    let open = async |secret: &str| {
        let mut open = 0;
        for kind in kinds {
            let found = store.grant(kind, SecretHash::of(secret), now).await;
            open += usize::from(found.unwrap().is_some());
        }
        open
    };
    // One that is not written ends nothing.
    let kept = accounts.set_password("admin", PASSWORD.into(), Replace::No);
    assert!(!kept.await.unwrap());
    assert_eq!((open("admin").await, open("ann").await), (3, 3));
    accounts.reset_password("admin").await.unwrap();
    assert_eq!((open("admin").await, open("ann").await), (0, 3));
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_get_one_answer() {
    let (_store, accounts) = accounts();
    accounts
        .set_password("ann", PASSWORD.into(), Replace::No)
        .await
        .unwrap();
    assert!(
        sign_in(&accounts, " ANN ", PASSWORD).await.is_ok(),
        "case and spaces of a name"
    );
    for (username, password) in [
        ("ann", "wrong"),
        ("ann", ""),
        ("ann", "Correct horse battery staple"),
        ("ann", "correct horse battery staple "),
        ("bob", PASSWORD),
        ("", PASSWORD),
        ("ann\0", PASSWORD),
        ("ann' OR '1'='1", PASSWORD),
        ("аnn", PASSWORD),
        (&"a".repeat(10_000), PASSWORD),
        ("ann", &"x".repeat(1025)),
    ] {
        assert_eq!(reason(sign_in(&accounts, username, password).await), WRONG);
    }
}

#[tokio::test]
async fn what_is_no_name_or_no_password_is_refused_with_the_rule() {
    let (store, accounts) = accounts();
    for (username, password, rule) in [
        ("", PASSWORD, "a name is"),
        ("a b", PASSWORD, "a name is"),
        ("ann/..", PASSWORD, "a name is"),
        (&"a".repeat(65), PASSWORD, "a name is"),
        ("ann", "elevenchars", "at least 12 characters"),
        ("ann", &"x".repeat(1025), "at most 1024 bytes"),
        ("annannannann", "AnnAnnAnnAnn", "the password is the name"),
    ] {
        let refused = reason(
            accounts
                .set_password(username, password.into(), Replace::No)
                .await,
        );
        assert!(refused.contains(rule), "{refused}");
    }
    assert!(store.password("ann").await.unwrap().is_none());
}

#[tokio::test]
async fn only_an_argon2id_hash_is_stored() {
    let (store, accounts) = accounts();
    assert!(
        accounts
            .set_password("ann", PASSWORD.into(), Replace::No)
            .await
            .unwrap()
    );
    assert!(
        !accounts
            .set_password("ann", "another password".into(), Replace::No)
            .await
            .unwrap()
    );
    let phc = store.password("ann").await.unwrap().unwrap();
    let phc = phc.expose_secret();
    assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    assert!(sign_in(&accounts, "ann", PASSWORD).await.is_ok());
}

/// A26: two hashes at a time, a short queue, and the rest is told to come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a26_exhaustion_password_hashing_is_bounded() {
    let (_store, accounts) = accounts();
    accounts
        .set_password("ann", PASSWORD.into(), Replace::No)
        .await
        .unwrap();
    let results = futures::future::join_all((0..200).map(|number| {
        let accounts = Arc::clone(&accounts);
        tokio::spawn(async move {
            sign_in(
                &accounts,
                "ann",
                if number % 2 == 0 { PASSWORD } else { "wrong" },
            )
            .await
        })
    }))
    .await;
    let (mut good, mut busy) = (0, 0);
    for result in results {
        match result.unwrap() {
            Ok(_) => good += 1,
            Err(IdentityError::Busy { retry_after }) => {
                assert!(retry_after >= Duration::from_secs(1));
                busy += 1;
            }
            Err(error) => assert_eq!(reason::<()>(Err(error)), WRONG),
        }
    }
    println!("200 sign-ins at once: {good} in, {busy} told to come back");
    assert!(good > 0 && busy > 0);
    assert!(
        sign_in(&accounts, "ann", PASSWORD).await.is_ok(),
        "and it recovers"
    );
}

/// Whoever hangs up while hashing leaves the bounds as they were.
#[tokio::test]
async fn callers_that_hang_up_do_not_leak_a_place() {
    let (_store, accounts) = accounts();
    accounts
        .set_password("ann", PASSWORD.into(), Replace::No)
        .await
        .unwrap();
    for _ in 0..10 {
        let mut attempt = Box::pin(sign_in(&accounts, "ann", "wrong"));
        let _ = futures::poll!(&mut attempt);
        drop(attempt);
        // The work itself ends by itself; wait for its place, not for a time.
        let deadline = tokio::time::timeout(Duration::from_secs(60), async {
            while !format!("{accounts:?}").contains("free: 2") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        deadline.await.expect("the place comes back");
    }
    assert!(sign_in(&accounts, "ann", PASSWORD).await.is_ok());
}

/// A32: the quickest of interleaved attempts. A hash left out would be a thousandth of the time; the wide bound
/// is for a busy machine.
#[tokio::test]
async fn a32_timing_an_unknown_name_takes_as_long() {
    let (_store, accounts) = accounts();
    accounts
        .set_password("ann", PASSWORD.into(), Replace::No)
        .await
        .unwrap();
    let names = ["ann", "bob", "no such name!"];
    let mut quickest = [Duration::MAX; 3];
    for round in 1..=60 {
        for (name, quickest) in names.iter().zip(&mut quickest) {
            *quickest = time(&accounts, name).await.min(*quickest);
        }
        let [known, unknown, impossible] = quickest.map(|time| time.as_secs_f64() * 1e3);
        let alike = [unknown, impossible]
            .into_iter()
            .all(|other| (0.2..5.0).contains(&(other / known)));
        // A busy machine needs more attempts until each was left in peace once; what is left out never takes as long.
        if round >= 15 && (alike || round == 60) {
            println!(
                "known {known:.1} ms, unknown {unknown:.1} ms, impossible {impossible:.1} ms in {round} rounds"
            );
            return assert!(alike, "{quickest:?}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "timing is what is measured")]
async fn time(accounts: &LocalAccounts, username: &str) -> Duration {
    let started = Instant::now();
    let _ = sign_in(accounts, username, "wrong password").await;
    started.elapsed()
}

#[tokio::test]
async fn local_accounts_ask_for_a_password_and_give_no_bearers() {
    let (_store, accounts) = accounts();
    let request = LoginRequest {
        browser: "b".into(),
        return_to: "/".to_owned(),
    };
    assert!(matches!(
        accounts.begin(request).await.unwrap(),
        LoginStep::Password
    ));
    let token = SecretString::from("x");
    let refused = accounts.verify(&token).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Unsupported { .. }));
    let answer = LoginAnswer::Callback {
        query: String::new(),
        browser: "b".into(),
    };
    assert!(matches!(
        accounts.finish(answer).await,
        Err(IdentityError::Unsupported { .. })
    ));
}
