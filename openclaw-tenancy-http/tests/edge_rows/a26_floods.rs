//! A26: an instance that sends as fast as it can takes nothing from others.
//!
//! Everything of the edge runs on the one thread of each test; the instance, and whoever downloads from it, run on
//! threads of their own, so that there is always more to read.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use openclaw_tenancy::container::INSTANCE_PORT;
use openclaw_tenancy::probe::{InstanceProbe as _, Readiness};
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy_http::edge::HttpProbe;
use tokio::sync::mpsc;

use crate::a20_cross_site_websocket::upgrade;
use crate::support::{Connection, Instance, World, get};

const EARLY: &str = "HTTP/1.1 103 Early Hints\r\n\r\n";
/// Many times what may come before an answer.
const MANY: usize = 2 * 1024 * 1024;

/// Answers each of so many connections with `head`, `piece` until there are `bytes` of it, and `tail`.
fn flood(
    ip: Ipv4Addr,
    connections: usize,
    (head, piece, bytes, tail): (&'static str, Vec<u8>, usize, &'static str),
) {
    let listener = TcpListener::bind((ip, INSTANCE_PORT)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let (mut stream, piece) = (stream.unwrap(), piece.clone());
            thread::spawn(move || {
                let mut asked = Vec::new();
                let mut byte = [0];
                while !asked.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte)?;
                    asked.push(byte[0]);
                }
                stream.write_all(head.as_bytes())?;
                let mut left = bytes;
                while left > 0 {
                    stream.write_all(&piece)?;
                    left = left.saturating_sub(piece.len());
                }
                stream.write_all(tail.as_bytes())
            });
        }
    });
}

fn early_hints(tail: &'static str) -> (&'static str, Vec<u8>, usize, &'static str) {
    ("", EARLY.repeat(1000).into_bytes(), MANY, tail)
}

#[tokio::test]
async fn a26_exhaustion_interim_answers_without_end_are_502() {
    let world = World::new().await;
    let (alpha, beta) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let _instance = Instance::echo(beta.ip(), "beta").await;
    // It would answer in the end: only because nobody reads that far there is no answer.
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    flood(alpha.ip(), 4, early_hints(answer));
    let (theirs, ours) = (world.sign_in(&alpha).await, world.sign_in(&beta).await);
    let flooded = async || {
        let answer = get(world.address, "/", &[&alpha.host(), &theirs]).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(
            answer.json()["type"],
            "urn:openclaw-tenancy:problem:instance-answer"
        );
    };
    let others = async {
        for _ in 0..20 {
            let answer = get(world.address, "/", &[&beta.host(), &ours]).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    };
    tokio::join!(flooded(), flooded(), flooded(), flooded(), others);
}

/// A few interim answers are none of this, however large: a head may follow them that is as long as it may be.
#[tokio::test]
async fn a26_exhaustion_a_few_interim_answers_harm_nothing() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let hints = format!("{}Link: </a>\r\n\r\n", &EARLY[..EARLY.len() - 2]).repeat(500);
    let long = format!("X-Long: {}\r\n", "x".repeat(500)).repeat(90);
    let body = "y".repeat(3_000_000);
    let script = format!(
        "{hints}HTTP/1.1 200 OK\r\n{long}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _instance = Instance::raw(tenant.ip(), script).await;
    let cookie = world.sign_in(&tenant).await;
    let answer = get(world.address, "/", &[&tenant.host(), &cookie]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), body.len());
}

#[tokio::test]
async fn a26_exhaustion_interim_answers_before_a_websocket_are_502() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    flood(
        tenant.ip(),
        1,
        early_hints(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
    );
    let cookie = world.sign_in(&tenant).await;
    let mut connection = Connection::open(world.address).await;
    connection
        .send(upgrade(&tenant, &cookie, Some(&tenant.origin())))
        .await;
    assert_eq!(connection.answer().await.unwrap().status, 502);
}

#[tokio::test]
async fn a26_exhaustion_interim_answers_to_a_probe_are_no_answer() {
    let world = World::new().await;
    let tenant = world.queued("alpha", 0).await;
    let started =
        "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{\"ok\":true,\"status\":\"started\"}";
    flood(tenant.ip(), 1, early_hints(started));
    let upstream = Upstream::Direct(SocketAddr::from((tenant.ip(), INSTANCE_PORT)));
    assert_eq!(HttpProbe.probe(&upstream).await, Readiness::Starting);
}

/// Whoever asked for a WebSocket and goes before there is one leaves nothing behind.
#[tokio::test]
async fn a26_exhaustion_a_websocket_that_nobody_waits_for_is_given_up() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let (heard, mut hear) = mpsc::unbounded_channel();
    let _instance = Instance::start(tenant.ip(), move |mut stream| {
        let heard = heard.clone();
        async move {
            use tokio::io::AsyncReadExt as _;
            let mut asked = [0; 4096];
            while let Ok(1..) = stream.read(&mut asked).await {
                heard.send("asked").unwrap();
            }
            heard.send("given up").unwrap();
        }
    })
    .await;
    let cookie = world.sign_in(&tenant).await;
    let mut connection = Connection::open(world.address).await;
    connection
        .send(upgrade(&tenant, &cookie, Some(&tenant.origin())))
        .await;
    assert_eq!(hear.recv().await, Some("asked"));
    drop(connection);
    let next = tokio::time::timeout(Duration::from_secs(10), hear.recv()).await;
    assert_eq!(next, Ok(Some("given up")));
}

/// While one downloads as fast as the edge can, another's request waits for a few turns of the download and no more:
/// counted in what the download moves during the middle one of the requests, in bytes, which is the same on a fast
/// machine and on a busy one: two turns of 64 KiB, or of 64 pieces.
async fn moved_for_each_request(requests: usize, head: &'static str, piece: Vec<u8>) -> u64 {
    let world = World::new().await;
    let (alpha, beta) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let _instance = Instance::echo(beta.ip(), "beta").await;
    flood(alpha.ip(), 1, (head, piece, usize::MAX, ""));
    let (theirs, ours) = (world.sign_in(&alpha).await, world.sign_in(&beta).await);
    let received = Arc::new(AtomicU64::new(0));
    let mut download = TcpStream::connect(world.address).unwrap();
    let request = format!("GET / HTTP/1.1\r\n{}\r\n{theirs}\r\n\r\n", alpha.host());
    download.write_all(request.as_bytes()).unwrap();
    let (mut reader, count) = (download.try_clone().unwrap(), Arc::clone(&received));
    let reading = thread::spawn(move || {
        let mut buffer = vec![0; 1024 * 1024];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            count.fetch_add(read as u64, Ordering::SeqCst);
        }
    });
    while received.load(Ordering::SeqCst) < 128 * 1024 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut moved = Vec::new();
    for _ in 0..requests {
        let before = received.load(Ordering::SeqCst);
        let answer = get(world.address, "/", &[&beta.host(), &ours]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        moved.push(received.load(Ordering::SeqCst) - before);
    }
    download.shutdown(std::net::Shutdown::Both).unwrap();
    reading.join().unwrap();
    assert!(
        moved.iter().any(|bytes| *bytes > 0),
        "the download goes on meanwhile"
    );
    println!("moved during each request: {moved:?}");
    moved.sort();
    moved[moved.len() / 2]
}

#[tokio::test]
async fn a26_exhaustion_fast_downloads_leave_turns_to_others() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n";
    let moved = moved_for_each_request(30, head, vec![b'x'; 256 * 1024]).await;
    assert!(moved < 400 * 1024, "{moved}");
}

#[tokio::test]
async fn a26_exhaustion_downloads_in_small_pieces_leave_turns_to_others() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let moved = moved_for_each_request(10, head, b"1\r\nx\r\n".repeat(10_000)).await;
    assert!(moved < 64 * 1024, "{moved}");
}
