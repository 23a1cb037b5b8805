//! The ordinary way: sign-in, the page, a WebSocket, uploads.

use std::time::Duration;

use crate::support::{Connection, Instance, World, get};

#[tokio::test]
async fn a_browser_signs_in_once_and_reaches_its_instance() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let (code, pre) = world.hand_over(&tenant, |_| {}).await;
    let redeemed = world.redeem(&tenant, &code, &pre, "/deep/link%3Fx=1").await;
    assert_eq!(
        (redeemed.status, redeemed.header("location")),
        (303, Some("/deep/link?x=1"))
    );
    let session = redeemed.cookie("__Host-oct-instance").unwrap();
    let cookie = format!("Cookie: __Host-oct-instance={session}");
    let answer = get(world.address, "/deep/link?x=1", &[&tenant.host(), &cookie]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.json();
    assert_eq!(
        (&seen["instance"], &seen["target"]),
        (&"alpha".into(), &"/deep/link?x=1".into())
    );
}

#[tokio::test]
async fn a_websocket_goes_both_ways() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "hello").await;
    let cookie = world.sign_in(&tenant).await;
    let mut connection = Connection::open(world.address).await;
    connection
        .send(crate::a20_cross_site_websocket::upgrade(
            &tenant,
            &cookie,
            Some(&tenant.origin()),
        ))
        .await;
    assert_eq!(connection.answer().await.unwrap().status, 101);
    assert_eq!(connection.exactly(5).await, "hello");
    connection.send("ping").await;
    assert_eq!(connection.exactly(4).await, "ping");
}

#[tokio::test]
async fn bodies_stream_both_ways_and_connections_are_kept() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let mut connection = Connection::open(world.address).await;
    for length in [0, 1, 100_000, 3_000_000] {
        let head = format!(
            "POST /up HTTP/1.1\r\n{}\r\n{cookie}\r\nOrigin: {}\r\nContent-Length: {length}\r\n\r\n",
            tenant.host(),
            tenant.origin()
        );
        connection.send(head).await;
        connection.send("x".repeat(length)).await;
        assert_eq!(connection.answer().await.unwrap().json()["length"], length);
    }
    let chunked = format!(
        "POST /up HTTP/1.1\r\n{}\r\n{cookie}\r\nOrigin: {}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        tenant.host(),
        tenant.origin()
    );
    connection.send(chunked).await;
    assert_eq!(connection.answer().await.unwrap().json()["length"], 5);
    let connections = || {
        instance
            .connections
            .load(std::sync::atomic::Ordering::SeqCst)
    };
    assert_eq!(connections(), 5, "what may not be repeated has its own");
    let look = format!("GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n", tenant.host());
    for _ in 0..5 {
        connection.send(&look).await;
        assert_eq!(connection.answer().await.unwrap().status, 200);
    }
    assert_eq!(connections(), 5, "what may be repeated takes a kept one");
}

#[tokio::test]
async fn an_edge_that_ends_finishes_what_is_under_way() {
    let mut world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let mut busy = Connection::open(world.address).await;
    let head = format!(
        "POST / HTTP/1.1\r\n{}\r\n{cookie}\r\nOrigin: {}\r\nContent-Length: 4\r\n\r\nab",
        tenant.host(),
        tenant.origin()
    );
    busy.send(head).await;
    let mut tunnel = Connection::open(world.address).await;
    tunnel
        .send(crate::a20_cross_site_websocket::upgrade(
            &tenant,
            &cookie,
            Some(&tenant.origin()),
        ))
        .await;
    assert_eq!(tunnel.answer().await.unwrap().status, 101);
    let mut resting = Connection::open(world.address).await;
    resting
        .send(format!(
            "GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n",
            tenant.host()
        ))
        .await;
    assert_eq!(resting.answer().await.unwrap().status, 200);
    world.stop();
    assert!(
        tunnel.ends_within(Duration::from_secs(5)).await,
        "tunnels end at once"
    );
    assert!(
        resting.ends_within(Duration::from_secs(5)).await,
        "so does what rests"
    );
    busy.send("cd").await;
    assert_eq!(busy.answer().await.unwrap().json()["length"], 4);
    assert!(busy.ends_within(Duration::from_secs(5)).await);
    world.serving.await.unwrap().unwrap();
}

/// Who had asked before the end is answered, also where only the kernel knows of it yet; who says nothing holds nobody
/// up.
#[tokio::test]
async fn what_was_asked_before_the_end_is_answered() {
    use std::io::{Read as _, Write as _};

    let mut world = World::new().await;
    // The edge runs on this thread: until the end has begun it sees nothing of these.
    let connect = || std::net::TcpStream::connect(world.address).unwrap();
    let silent = connect();
    let asking: Vec<_> = (0..3).map(|_| connect()).collect();
    for mut stream in &asking {
        let get = b"GET / HTTP/1.1\r\nHost: nobody.inst.example:8080\r\n\r\n";
        stream.write_all(get).unwrap();
    }
    world.stop();
    world.serving.await.unwrap().unwrap();
    for mut stream in asking {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_websockets_stay_open_and_go_both_ways() {
    // All of one instance, which has fewer unless it is told otherwise.
    let world = World::with(
        |config| config.limits.upstream.requests = 1_000,
        |store, access| (store, access),
    )
    .await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "hello").await;
    let cookie = world.sign_in(&tenant).await;
    let request =
        crate::a20_cross_site_websocket::upgrade(&tenant, &cookie, Some(&tenant.origin()));
    let before = resident_kib();
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let opening = (0..100).map(|_| async {
            let mut socket = Connection::open(world.address).await;
            socket.send(&request).await;
            assert_eq!(socket.answer().await.unwrap().status, 101);
            assert_eq!(socket.exactly(5).await, "hello");
            socket
        });
        sockets.extend(futures::future::join_all(opening).await);
    }
    // Longer than it takes to ask again whether each may stay.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let both_ways = sockets.iter_mut().map(|socket| async {
        socket.send("ping").await;
        socket.exactly(4).await
    });
    let answers = futures::future::join_all(both_ways).await;
    assert!(answers.iter().all(|answer| answer == "ping"));
    let each = (resident_kib() - before) / 1000;
    println!("1,000 WebSockets open: {each} KiB each, edge, client and instance together");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
