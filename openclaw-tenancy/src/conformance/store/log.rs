//! Events, and the numbers of changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::race::{CALLERS, race};
use super::StoreFixture;
use super::given::{T0, claim_one, delete, made, placed, ready_host, settle, settlement};
use crate::event::{Event, EventKind, NewEvent};
use crate::id::{Revision, TenantId};
use crate::store::rules::EVENTS_KEPT;
use crate::store::{Change, Settlement, TenantStore};
use crate::tenant::{Hold, HoldReason, Power};

/// Numbers grow, pages go on after a number, and one tenant's are only its own.
pub(super) async fn events_come_in_order_and_in_pages(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let mut tenants = Vec::new();
    for n in 0..2 {
        tenants.push(made(&*store).await.id);
        let claim = claim_one(&*store).await;
        let noted = Settlement {
            events: (0..3).map(|i| note(&format!("{n}/{i}"))).collect(),
            ..settlement(&claim)
        };
        settle(&*store, &claim, noted).await;
    }
    let all = read(&*store, None, 0, 100).await;
    assert!(all.is_sorted_by(|a, b| a.seq < b.seq), "{all:?}");
    let details: Vec<_> = all.iter().map(|e| e.event.detail.as_str()).collect();
    let expected = [
        "plan basic",
        "0/0",
        "0/1",
        "0/2",
        "plan basic",
        "1/0",
        "1/1",
        "1/2",
    ];
    assert_eq!(details, expected);
    assert!(all.iter().all(|event| event.at == T0));

    let second: Vec<_> = all
        .iter()
        .filter(|e| e.tenant == tenants[1])
        .cloned()
        .collect();
    assert_eq!(read(&*store, Some(tenants[1]), 0, 100).await, second);
    let mut paged = Vec::new();
    let mut after = 0;
    loop {
        let page = read(&*store, None, after, 3).await;
        let Some(last) = page.last() else { break };
        after = last.seq;
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let rest = read(&*store, Some(tenants[1]), second[1].seq, 1).await;
    assert_eq!(rest, second[2..3]);
    assert_eq!(read(&*store, None, u64::MAX >> 1, 10).await, []);
}

/// The store itself tells what was asked of it.
pub(super) async fn events_tell_what_was_asked_for(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let tenant = made(&*store).await;
    let claim = claim_one(&*store).await;
    let mut held = settlement(&claim);
    held.observed.hold = Some(Hold {
        reason: HoldReason::Conflict,
        message: "a foreign volume".to_owned(),
        since: T0,
    });
    settle(&*store, &claim, held).await;
    store.release(tenant.id, T0).await.expect("released");
    for change in [Change::Restart, Change::Power(Power::Suspended)] {
        let changed = store.change(tenant.id, None, change, T0).await;
        changed.expect("it changes");
    }
    let events = read(&*store, Some(tenant.id), 0, 10).await;
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.event.kind, event.event.detail.as_str()))
        .collect();
    let expected = [
        (EventKind::Requested, "plan basic"),
        (EventKind::Released, "a foreign volume"),
        (EventKind::Changed, "to be restarted"),
        (EventKind::Changed, "to be suspended"),
    ];
    assert_eq!(told, expected);
}

/// A crash loop does not fill the disk: the newest events of a tenant stay.
pub(super) async fn events_of_one_tenant_are_bounded(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let other = made(&*store).await.id;
    let claim = claim_one(&*store).await;
    settle(&*store, &claim, settlement(&claim)).await;
    let tenant = made(&*store).await.id;
    let mut written = 1;
    while written < EVENTS_KEPT + 50 {
        let claim = claim_one(&*store).await;
        let noted = Settlement {
            events: (written..written + 50)
                .map(|n| note(&n.to_string()))
                .collect(),
            next_due: Duration::ZERO,
            ..settlement(&claim)
        };
        settle(&*store, &claim, noted).await;
        written += 50;
    }
    let events = read(&*store, Some(tenant), 0, 10_000).await;
    assert_eq!(events.len(), EVENTS_KEPT as usize);
    let newest = events.last().map(|e| e.event.detail.clone());
    assert_eq!(newest, Some((written - 1).to_string()));
    let others = read(&*store, Some(other), 0, 10).await;
    assert_eq!(others.len(), 1, "another's stay");
}

/// Whatever is made, changed, placed, settled, released or removed is announced.
pub(super) async fn change_seq_grows_with_each_change(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let mut last = store.change_seq().await.expect("a number");
    let mut grew = async |what: &str| {
        let seq = fixture.replica().change_seq().await.expect("a number");
        assert!(last < seq, "{what}: {last} then {seq}");
        last = seq;
    };
    let host = ready_host(&*store, "h1").await;
    let (claim, _) = placed(&*store, &host).await;
    grew("made and placed").await;
    let tenant = claim.item.clone();
    let mut held = settlement(&claim);
    held.observed.hold = Some(Hold {
        reason: HoldReason::Conflict,
        message: "held".to_owned(),
        since: T0,
    });
    settle(&*store, &claim, held).await;
    grew("settled").await;
    store.release(tenant.id, T0).await.expect("released");
    grew("released").await;
    let restarted = store.change(tenant.id, None, Change::Restart, T0).await;
    restarted.expect("it changes");
    grew("changed").await;
    delete(&*store, &tenant).await;
    grew("removed").await;
}

/// Each tenant once with its newest state, those that are gone by id, in pages, until there is nothing more.
pub(super) async fn changed_since_tells_what_changed_and_what_is_gone(fixture: &dyn StoreFixture) {
    let store = fixture.store();
    let start = store.change_seq().await.expect("a number");
    let mut tenants = Vec::new();
    for _ in 0..5 {
        tenants.push(made(&*store).await);
    }
    let restarted = store.change(tenants[1].id, None, Change::Restart, T0).await;
    tenants[1] = restarted.expect("it changes");
    delete(&*store, &tenants[3]).await;

    let (mut seen, mut gone) = (BTreeMap::new(), Vec::new());
    let mut after = start;
    loop {
        let page = store.changed_since(after, 2).await.expect("a page");
        assert!(page.tenants.len() + page.gone.len() <= 2, "{page:?}");
        for tenant in page.tenants {
            let twice = seen.insert(tenant.id, tenant);
            assert_eq!(twice, None, "nothing changed in between");
        }
        gone.extend(page.gone);
        if page.next == after {
            break;
        }
        after = page.next;
    }
    assert_eq!(gone, [tenants[3].id]);
    let revisions: Vec<_> = seen.values().map(|t| (t.id, t.revision)).collect();
    let expected: Vec<_> = [0, 1, 2, 4]
        .map(|n| (tenants[n].id, tenants[n].revision))
        .into();
    assert_eq!(revisions, expected);
    assert_eq!(after, store.change_seq().await.expect("a number"));
    let none = store.changed_since(after, 10).await.expect("a page");
    assert_eq!(
        (none.tenants, none.gone, none.next),
        (vec![], vec![], after)
    );
}

/// A reader that follows the numbers while 32 writers write has at the end what there is.
pub(super) async fn changed_since_never_misses_a_change(fixture: &dyn StoreFixture) {
    const ROUNDS: u64 = 4;
    let stores = [fixture.store(), fixture.replica()];
    let reader = fixture.replica();
    let start = reader.change_seq().await.expect("a number");
    let (done, mut writing) = tokio::sync::oneshot::channel::<()>();
    let follower = tokio::spawn(async move {
        let mut seen: BTreeMap<TenantId, Revision> = BTreeMap::new();
        let (mut after, mut over) = (start, false);
        loop {
            // Asked before the read: what was written before this is in it.
            over |= writing.try_recv().is_ok();
            let page = reader.changed_since(after, 3).await.expect("a page");
            seen.extend(page.tenants.iter().map(|t| (t.id, t.revision)));
            if over && page.next == after {
                return seen;
            }
            after = page.next;
            // The writers share this thread where there is only one.
            tokio::task::yield_now().await;
        }
    });
    let written = race(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        async move {
            let tenant = made(&*store).await;
            for _ in 0..ROUNDS {
                let changed = store.change(tenant.id, None, Change::Restart, T0).await;
                changed.expect("it changes");
            }
            tenant.id
        }
    })
    .await;
    done.send(()).expect("the follower waits");
    let mut seen = follower.await.expect("the follower ends");
    assert_eq!(seen.len(), CALLERS as usize);
    for id in written {
        assert_eq!(seen.remove(&id), Some(Revision(1 + ROUNDS)), "{id}");
    }
}

fn note(detail: &str) -> NewEvent {
    NewEvent {
        kind: EventKind::Failed,
        detail: detail.to_owned(),
    }
}

async fn read(
    store: &dyn TenantStore,
    tenant: Option<TenantId>,
    after: u64,
    limit: u32,
) -> Vec<Event> {
    let events = store.events(tenant, after, limit).await;
    events.expect("events are read")
}
