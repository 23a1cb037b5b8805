//! F16: the edge goes on while the database is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openclaw_tenancy::clock::SystemClock;
use openclaw_tenancy::memory::{Fault, Faults, Faulty};

use crate::support::{Connection, Instance, Outage, World, get};

#[tokio::test]
async fn f16_store_down_sessions_that_are_known_go_on() {
    let faults = Faults::new(Arc::new(SystemClock));
    let down = Arc::new(AtomicBool::new(false));
    let world = World::with(
        |_| {},
        |store, access| {
            let access = Outage {
                inner: access,
                down: Arc::clone(&down),
                signs_out: false,
                takes: Arc::default(),
            };
            (
                Arc::new(Faulty::new(store, faults.clone())),
                Arc::new(access),
            )
        },
    )
    .await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let unknown = world.sign_in(&tenant).await;
    assert_eq!(
        get(world.address, "/", &[&tenant.host(), &cookie])
            .await
            .status,
        200
    );
    let mut socket = Connection::open(world.address).await;
    socket
        .send(crate::a20_cross_site_websocket::upgrade(
            &tenant,
            &cookie,
            Some(&tenant.origin()),
        ))
        .await;
    assert_eq!(socket.answer().await.unwrap().status, 101);
    down.store(true, Ordering::SeqCst);
    (0..1000).for_each(|call| faults.at(faults.calls() + call, Fault::Fail));
    let (began, mut asked) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(6) {
        let asked_at = Instant::now();
        assert_eq!(
            get(world.address, "/", &[&tenant.host(), &cookie])
                .await
                .status,
            200
        );
        assert!(asked_at.elapsed() < Duration::from_secs(5));
        asked += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{asked} requests in 6 s without a store, none failed");
    // Who is not known cannot be let in, and is told to come back.
    let refused = get(world.address, "/", &[&tenant.host(), &unknown]).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("2"))
    );
    assert_eq!(socket.exactly(5).await, "alpha");
    socket.send("still").await;
    assert_eq!(socket.exactly(5).await, "still");
    down.store(false, Ordering::SeqCst);
    crate::support::eventually("the store is back", Duration::from_secs(5), || async {
        get(world.address, "/", &[&tenant.host(), &unknown])
            .await
            .status
            == 200
    })
    .await;
}

/// Whoever waits for an instance is told so by what is known, whether the store answers an error or nothing.
#[tokio::test]
async fn f16_store_down_an_instance_that_is_not_ready_still_says_so() {
    for fault in [Fault::Fail, Fault::HangBefore] {
        let faults = Faults::new(Arc::new(SystemClock));
        let world = World::with_faults(&faults).await;
        let tenant = world.ready("alpha", 0).await;
        let cookie = world.sign_in(&tenant).await;
        world.set_ready_unheard(&tenant, false).await;
        world.observe(&tenant, |_| {}).await;
        (0..1000).for_each(|call| faults.at(faults.calls() + call, fault));
        for _ in 0..3 {
            let asked_at = Instant::now();
            let answer = get(world.address, "/", &[&tenant.host(), &cookie]).await;
            assert_eq!(answer.status, 503, "{fault:?}");
            assert_eq!(
                answer.json()["type"],
                "urn:openclaw-tenancy:problem:instance-not-ready"
            );
            assert!(asked_at.elapsed() < Duration::from_secs(5), "{fault:?}");
        }
    }
}
