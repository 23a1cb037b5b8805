//! A26: nobody takes what others need.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openclaw_tenancy_http::access::limit::Rate;

use crate::support::{Connection, Instance, Outage, World, get};

#[tokio::test]
async fn a26_exhaustion_heads_are_bounded() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let ask = async |lines: String| {
        let mut connection = Connection::open(world.address).await;
        connection
            .send(format!(
                "GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n{lines}\r\n",
                tenant.host()
            ))
            .await;
        connection.answer().await.unwrap().status
    };
    // The instance of the test takes a hundred as well, ours among them.
    assert_eq!(ask("A: b\r\n".repeat(90)).await, 200);
    assert_eq!(ask("A: b\r\n".repeat(99)).await, 431);
    assert_eq!(ask("A: b\r\n".repeat(2000)).await, 431);
    assert_eq!(ask(format!("A: {}\r\n", "x".repeat(15_000))).await, 200);
    assert_eq!(ask(format!("A: {}\r\n", "x".repeat(16_384))).await, 431);
    assert_eq!(ask(format!("A: {}\r\n", "x".repeat(1_000_000))).await, 431);
}

#[tokio::test]
async fn a26_exhaustion_uploads_are_bounded() {
    let world = World::with(
        |config| config.limits.upstream.upload = 1000,
        |store, access| (store, access),
    )
    .await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let head = format!(
        "POST / HTTP/1.1\r\n{}\r\n{cookie}\r\nOrigin: {}\r\n",
        tenant.host(),
        tenant.origin()
    );
    for (request, expected) in [
        (
            format!("{head}Content-Length: 1000\r\n\r\n{}", "x".repeat(1000)),
            200,
        ),
        (
            format!("{head}Content-Length: 1001\r\n\r\n{}", "x".repeat(1001)),
            413,
        ),
        (format!("{head}Content-Length: 999999999999\r\n\r\nx"), 413),
        (
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n3e8\r\n{}\r\n0\r\n\r\n",
                "x".repeat(1000)
            ),
            200,
        ),
        (
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n",
                "x".repeat(1001)
            ),
            413,
        ),
        (
            format!("{head}Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n"),
            413,
        ),
    ] {
        let mut connection = Connection::open(world.address).await;
        connection.send(&request).await;
        assert_eq!(
            connection.answer().await.unwrap().status,
            expected,
            "{}",
            &request[..200.min(request.len())]
        );
    }
}

#[tokio::test]
async fn a26_exhaustion_slow_heads_and_bodies_are_ended() {
    let world = World::with(
        |config| {
            config.limits.patience.head = Duration::from_millis(300);
            config.limits.patience.idle = Duration::from_secs(3);
            config.limits.patience.stall = Duration::from_millis(300);
        },
        |store, access| (store, access),
    )
    .await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let full = format!("GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n", tenant.host());
    // Nothing at all.
    let mut silent = Connection::open(world.address).await;
    assert!(silent.answer().await.is_none());
    // A byte now and then does not prolong it.
    let mut dripping = Connection::open(world.address).await;
    let began = Instant::now();
    for byte in full.as_bytes() {
        dripping.send([*byte]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if began.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    assert_eq!(dripping.answer().await.unwrap().status, 408);
    // A body that stops.
    let mut stalled = Connection::open(world.address).await;
    let head = format!(
        "POST / HTTP/1.1\r\n{}\r\n{cookie}\r\nOrigin: {}\r\nContent-Length: 9\r\n\r\nx",
        tenant.host(),
        tenant.origin()
    );
    stalled.send(head).await;
    let answer = stalled.answer().await;
    assert!(answer.is_none_or(|answer| answer.status == 400));
    // Between requests there is more time than within one, and an end to it.
    let mut resting = Connection::open(world.address).await;
    for _ in 0..2 {
        resting.send(&full).await;
        assert_eq!(resting.answer().await.unwrap().status, 200);
    }
    let rests = Instant::now();
    assert!(resting.ends_within(Duration::from_secs(15)).await);
    // Less than its 3 s by what this machine took to hear the answer.
    let rested = rests.elapsed();
    assert!(rested > Duration::from_secs(1), "{rested:?}");
}

#[tokio::test]
async fn a26_exhaustion_an_instance_has_so_many_requests() {
    let world = World::with(
        |config| config.limits.upstream.requests = 2,
        |store, access| (store, access),
    )
    .await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::stream(tenant.ip()).await;
    let cookie = world.sign_in(&tenant).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = Connection::open(world.address).await;
        stream
            .send(format!(
                "GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n",
                tenant.host()
            ))
            .await;
        while !stream.line().await.unwrap().starts_with("data: 1") {}
        held.push(stream);
    }
    let busy = get(world.address, "/", &[&tenant.host(), &cookie]).await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("2")));
    held.pop();
    crate::support::eventually("a place given back", Duration::from_secs(5), || async {
        let mut stream = Connection::open(world.address).await;
        stream
            .send(format!(
                "GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n",
                tenant.host()
            ))
            .await;
        stream.line().await.is_some_and(|line| line.contains("200"))
    })
    .await;
}

/// Two hundred clients that drip: another's requests take no longer than twice as long. The test fails at five times
/// that. A busy machine needs more rounds until one was left in peace; whom the clients slow, they slow in each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a26_exhaustion_slow_clients_slow_nobody() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let request = format!("GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n", tenant.host());
    let p99 = async || {
        let mut connection = Connection::open(world.address).await;
        let mut times = Vec::new();
        for _ in 0..300 {
            let began = Instant::now();
            connection.send(&request).await;
            assert_eq!(connection.answer().await.unwrap().status, 200);
            times.push(began.elapsed());
        }
        times.sort();
        times[times.len() * 99 / 100]
    };
    let alone = p99().await;
    let mut slow = tokio::task::JoinSet::new();
    let (began, mut dripping) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..200 {
        let (address, began) = (world.address, began.clone());
        slow.spawn(async move {
            let mut connection = Connection::open(address).await;
            connection.send("G").await;
            began.send(()).unwrap();
            loop {
                connection.send("G").await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    for _ in 0..200 {
        dripping.recv().await.unwrap();
    }
    let bound = alone * 10 + Duration::from_millis(20);
    let mut beside = p99().await;
    for _ in 1..20 {
        if beside <= bound {
            break;
        }
        beside = beside.min(p99().await);
    }
    println!("p99 alone {alone:?}, beside 200 slow clients {beside:?}");
    assert!(beside <= bound, "{alone:?} -> {beside:?}");
}

/// Inventing cookies and codes costs reads, and no writes; so they are bounded, and whoever has good ones notices nothing.
#[tokio::test]
async fn a26_exhaustion_invented_cookies_and_codes_are_rationed() {
    let (down, takes) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let world = World::with(
        |config| config.limits.missed = Rate::new(3, Duration::from_secs(3600)),
        |store, access| {
            let access = Outage {
                inner: access,
                down: Arc::clone(&down),
                signs_out: false,
                takes: Arc::clone(&takes),
            };
            (store, Arc::new(access))
        },
    )
    .await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let ask = async |cookie: &str| {
        get(world.address, "/", &[&tenant.host(), cookie])
            .await
            .status
    };
    let invented = |number: usize| format!("Cookie: __Host-oct-instance={number:043}");
    assert_eq!(ask(&cookie).await, 200);
    for number in 0..3 {
        assert_eq!(ask(&invented(number)).await, 401);
    }
    assert_eq!(ask(&cookie).await, 200);
    // Whoever signs in now is known although nobody has been asked for their cookie before.
    let fresh = world.sign_in(&tenant).await;
    assert_eq!(ask(&fresh).await, 200);
    // The store would say that it does not answer.
    let unseen = world.sign_in(&tenant).await;
    down.store(true, Ordering::SeqCst);
    assert_eq!(ask(&invented(4)).await, 401);
    assert_eq!(ask(&unseen).await, 503);
    down.store(false, Ordering::SeqCst);

    let before = takes.load(Ordering::SeqCst);
    let pre = "p".repeat(43);
    for number in 0..3 {
        let answer = world
            .redeem(&tenant, &format!("{number:043}"), &pre, "/")
            .await;
        assert_eq!(answer.status, 400);
    }
    let refused = world.redeem(&tenant, "another", &pre, "/").await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("2"))
    );
    assert_eq!(takes.load(Ordering::SeqCst), before, "nothing is written");
    assert_eq!(ask(&cookie).await, 200);
}
