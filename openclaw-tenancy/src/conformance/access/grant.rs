//! Grants: short-lived rights of whoever bears a secret.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::super::race::race;
use super::AccessFixture;
use crate::access::{GRANTS_KEPT, Grant, GrantKind, SecretHash};
use crate::clock::Timestamp;
use crate::id::AccountId;
use crate::store::StoreError;

const T0: Timestamp = Timestamp::from_seconds(1_790_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// A secret is used once; the first grant stays.
pub(super) async fn put_grant_refuses_a_secret_in_use(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let first = grant(GrantKind::Session, "s1");
    store.put_grant(first.clone()).await.expect("written");
    let second = Grant {
        data: "other".to_owned(),
        ..first.clone()
    };
    let answer = store.put_grant(second).await;
    let refused = matches!(answer, Err(StoreError::Conflict { .. }));
    assert!(refused, "{answer:?}");
    let read = store.grant(GrantKind::Session, first.secret, T0).await;
    assert_eq!(read.expect("an answer"), Some(first));
}

/// An account has [`GRANTS_KEPT`] of a kind: beyond them the oldest end, and nothing else does.
pub(super) async fn put_grant_keeps_the_newest_of_an_account_and_kind(fixture: &dyn AccessFixture) {
    const MORE: u32 = 3;
    let store = fixture.access();
    let at = |second: u64, grant: Grant| Grant {
        created_at: T0.plus(Duration::from_secs(second)),
        expires_at: T0.plus(MINUTE * 60),
        ..grant
    };
    let others = [
        at(0, grant(GrantKind::InstanceSession, "of another kind")),
        at(
            0,
            Grant {
                account: Some(AccountId::from_uuid(Uuid::from_u128(2))),
                ..grant(GrantKind::Session, "another's")
            },
        ),
        at(
            0,
            Grant {
                account: None,
                ..grant(GrantKind::Session, "nobody's")
            },
        ),
    ];
    let mine: Vec<Grant> = (1..=GRANTS_KEPT + MORE)
        .map(|n| at(n.into(), grant(GrantKind::Session, &format!("s{n}"))))
        .collect();
    for grant in others.iter().chain(&mine) {
        store.put_grant(grant.clone()).await.expect("written");
    }
    let is_there = async |grant: &Grant| {
        let read = store.grant(grant.kind, grant.secret, T0).await;
        read.expect("an answer").is_some()
    };
    for (n, grant) in (0..).zip(&mine) {
        assert_eq!(is_there(grant).await, n >= MORE, "number {n}");
    }
    for grant in &others {
        assert!(is_there(grant).await, "{grant:?}");
    }
    // A clock that is behind, as of another replica: what was just written is there.
    let late = at(0, grant(GrantKind::Session, "late"));
    store.put_grant(late.clone()).await.expect("written");
    assert!(is_there(&late).await);
    assert!(!is_there(&mine[MORE as usize]).await, "for the oldest");
}

/// Reading does not end it, on any replica, and every field is as written.
pub(super) async fn grant_is_read_any_number_of_times(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let grants = [
        grant(GrantKind::Session, "s1"),
        Grant {
            account: None,
            data: "{\"return_to\": \"/试\"}".to_owned(),
            ..grant(GrantKind::LoginState, "s2")
        },
    ];
    for grant in &grants {
        store.put_grant(grant.clone()).await.expect("written");
    }
    for _ in 0..2 {
        for grant in &grants {
            let read = fixture.replica().grant(grant.kind, grant.secret, T0).await;
            assert_eq!(read.expect("an answer").as_ref(), Some(grant));
        }
    }
    let absent = SecretHash::of("another");
    let read = store.grant(GrantKind::Session, absent, T0).await;
    assert_eq!(read.expect("an answer"), None);
}

/// From its end on it is as if it did not exist, for reads and for takes.
pub(super) async fn grant_ends_when_it_expires(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let grant = grant(GrantKind::HandOver, "s1");
    store.put_grant(grant.clone()).await.expect("written");
    let (kind, secret, end) = (grant.kind, grant.secret, grant.expires_at);
    let before = Timestamp::from_millis(end.as_millis() - 1);
    let read = store.grant(kind, secret, before).await;
    assert_eq!(read.expect("an answer"), Some(grant));
    for late in [end, end.plus(MINUTE)] {
        let read = store.grant(kind, secret, late).await;
        assert_eq!(read.expect("an answer"), None);
    }
    let taken = store.take_grant(kind, secret, end).await;
    assert_eq!(taken.expect("an answer"), None);
}

/// One secret, several kinds: each is a grant of its own.
pub(super) async fn grants_of_one_kind_never_stand_in_for_another(fixture: &dyn AccessFixture) {
    const KINDS: [GrantKind; 5] = [
        GrantKind::Session,
        GrantKind::LoginState,
        GrantKind::HandOver,
        GrantKind::InstanceSession,
        GrantKind::AdminClaim,
    ];
    let store = fixture.access();
    for (n, kind) in KINDS.into_iter().enumerate() {
        store.put_grant(grant(kind, "s1")).await.expect("written");
        for (m, other) in KINDS.into_iter().enumerate() {
            let read = store.grant(other, SecretHash::of("s1"), T0).await;
            let read = read.expect("an answer").map(|grant| grant.kind);
            assert_eq!(read, (m <= n).then_some(other));
        }
    }
    let secret = SecretHash::of("s1");
    let taken = store.take_grant(GrantKind::HandOver, secret, T0).await;
    assert_eq!(
        taken.expect("an answer").map(|g| g.kind),
        Some(GrantKind::HandOver)
    );
    let left = store.grant(GrantKind::Session, secret, T0).await;
    assert!(left.expect("an answer").is_some(), "the others stay");
}

/// The second take finds nothing.
pub(super) async fn take_grant_gives_it_once(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let grant = grant(GrantKind::HandOver, "s1");
    store.put_grant(grant.clone()).await.expect("written");
    let taken = store.take_grant(grant.kind, grant.secret, T0).await;
    assert_eq!(taken.expect("an answer"), Some(grant.clone()));
    let again = store.take_grant(grant.kind, grant.secret, T0).await;
    assert_eq!(again.expect("an answer"), None);
    let read = store.grant(grant.kind, grant.secret, T0).await;
    assert_eq!(read.expect("an answer"), None);
}

/// Of 32 takes at once on two replicas, one gets it.
pub(super) async fn concurrent_takes_give_it_once(fixture: &dyn AccessFixture) {
    let stores = [fixture.access(), fixture.replica()];
    let grant = grant(GrantKind::HandOver, "s1");
    stores[0].put_grant(grant.clone()).await.expect("written");
    let answers = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        let (kind, secret) = (grant.kind, grant.secret);
        async move { store.take_grant(kind, secret, T0).await }
    })
    .await;
    let taken: Vec<_> = answers
        .into_iter()
        .filter_map(|answer| answer.expect("an answer"))
        .collect();
    assert_eq!(taken, [grant]);
}

/// A logout everywhere ends this account's grants of the kind and tells how many; nobody else's.
pub(super) async fn revoke_grants_ends_those_of_the_kind_and_account(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    let other = AccountId::from_uuid(Uuid::from_u128(2));
    let grants = [
        grant(GrantKind::Session, "mine 1"),
        grant(GrantKind::Session, "mine 2"),
        grant(GrantKind::InstanceSession, "mine, of another kind"),
        Grant {
            account: Some(other),
            ..grant(GrantKind::Session, "another's")
        },
        Grant {
            account: None,
            ..grant(GrantKind::Session, "nobody's")
        },
    ];
    for grant in &grants {
        store.put_grant(grant.clone()).await.expect("written");
    }
    for expected in [2, 0] {
        let ended = store.revoke_grants(GrantKind::Session, me()).await;
        assert_eq!(ended.expect("an answer"), expected);
    }
    let mut left = Vec::new();
    for grant in &grants {
        let read = store.grant(grant.kind, grant.secret, T0).await;
        left.push(read.expect("an answer").is_some());
    }
    assert_eq!(left, [false, false, true, true, true]);
}

/// What has expired goes, at most the limit at once; what has not stays.
pub(super) async fn sweep_grants_removes_what_has_expired(fixture: &dyn AccessFixture) {
    let store = fixture.access();
    for n in 0..5 {
        let expires = Grant {
            expires_at: T0.plus(MINUTE),
            ..grant(GrantKind::LoginState, &format!("s{n}"))
        };
        store.put_grant(expires).await.expect("written");
    }
    let lasting = Grant {
        expires_at: T0.plus(MINUTE * 2),
        ..grant(GrantKind::Session, "lasting")
    };
    store.put_grant(lasting.clone()).await.expect("written");
    let now = T0.plus(MINUTE);
    for expected in [3, 2, 0] {
        let swept = store.sweep_grants(now, 3).await;
        assert_eq!(swept.expect("an answer"), expected);
    }
    let left = store.grant(lasting.kind, lasting.secret, now).await;
    assert_eq!(left.expect("an answer"), Some(lasting));
}

fn me() -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(1))
}

fn grant(kind: GrantKind, secret: &str) -> Grant {
    Grant {
        kind,
        secret: SecretHash::of(secret),
        account: Some(me()),
        data: "{}".to_owned(),
        created_at: T0,
        expires_at: T0.plus(MINUTE),
    }
}
