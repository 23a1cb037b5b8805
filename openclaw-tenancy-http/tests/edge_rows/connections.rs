//! Connections to an instance that it closes under a request: as Node does with one that rests, also when the next
//! request is on its way already.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use crate::support::{Connection, Instance, Tenant, World, get};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// How an instance ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// In order, as if it had not seen the request yet.
    Close,
    /// By a reset: the request was there and was not read.
    Reset,
    /// In the middle of the answer's head.
    HalfHead,
}

/// The first lines of the requests that an instance heard.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    /// Reads a request to its end and answers its first line; `None` at the end of the connection.
    async fn request(&self, stream: &mut TcpStream) -> Option<String> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return None;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while bytes.len() < head + length {
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return None;
            }
        }
        let line = text.lines().next().unwrap().to_owned();
        self.0.lock().unwrap().push(line.clone());
        Some(line)
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn times(&self, line: &str) -> usize {
        self.lines().iter().filter(|heard| *heard == line).count()
    }
}

/// Answers `well` requests on each connection and ends it at the next one. Hears them all.
async fn ends_under_requests(address: Ipv4Addr, well: usize, end: End) -> (Instance, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let hearing = Arc::clone(&heard);
    let instance = Instance::start(address, move |mut stream| {
        let heard = Arc::clone(&hearing);
        async move {
            for _ in 0..well {
                if heard.request(&mut stream).await.is_none() {
                    return;
                }
                let _ = stream.write_all(ANSWER).await;
            }
            if heard.request(&mut stream).await.is_none() {
                return;
            }
            finish(stream, end).await;
        }
    })
    .await;
    (instance, heard)
}

async fn finish(mut stream: TcpStream, end: End) {
    match end {
        End::Close => {}
        End::Reset => stream.set_zero_linger().unwrap(),
        End::HalfHead => stream.write_all(b"HTTP/1.1 200 OK\r\ncont").await.unwrap(),
    }
}

fn request(method: &str, path: &str, tenant: &Tenant, cookie: &str, rest: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\n{}\r\nOrigin: {}\r\n{cookie}\r\n{rest}",
        tenant.host(),
        tenant.origin()
    )
}

const NO_BODY: &str = "\r\n";
const BODY: &str = "Content-Length: 4\r\n\r\nbody";

/// RFC 9110 §9.2.2: what may be repeated is, so nobody sees that a connection was closed.
#[tokio::test]
async fn f08_a_request_on_a_connection_that_ends_goes_once_more() {
    for end in [End::Close, End::Reset, End::HalfHead] {
        let world = World::new().await;
        let tenant = world.ready("alpha", 0).await;
        let cookie = world.sign_in(&tenant).await;
        let (_instance, heard) = ends_under_requests(tenant.ip(), 1, end).await;
        let mut browser = Connection::open(world.address).await;
        for method in ["GET", "OPTIONS", "DELETE", "PUT"] {
            for round in 0..3 {
                let request = request(method, "/asset.js", &tenant, &cookie, NO_BODY);
                browser.send(request).await;
                let answer = browser.answer().await.unwrap();
                assert_eq!(answer.status, 200, "{method} {round} {end:?}");
            }
        }
        // The first request found no connection; each other one was heard on a used one and on a fresh one.
        assert_eq!(heard.lines().len(), 1 + 2 * 11, "{end:?}");
    }
}

/// A repeat that fails is not repeated, though more used connections rest.
#[tokio::test]
async fn f08_a_request_is_never_sent_a_third_time() {
    const RESTING: usize = 4;
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let heard = Arc::new(Heard::default());
    let (hearing, all) = (Arc::clone(&heard), Arc::new(Barrier::new(RESTING)));
    // Answers each connection's `/first` once all of them have come, and ends at anything else.
    let _instance = Instance::start(tenant.ip(), move |mut stream| {
        let (heard, all) = (Arc::clone(&hearing), Arc::clone(&all));
        async move {
            while heard.request(&mut stream).await.as_deref() == Some("GET /first HTTP/1.1") {
                all.wait().await;
                let _ = stream.write_all(ANSWER).await;
            }
            finish(stream, End::Reset).await;
        }
    })
    .await;
    let mut browsers = Vec::new();
    for _ in 0..RESTING {
        let mut browser = Connection::open(world.address).await;
        browser
            .send(request("GET", "/first", &tenant, &cookie, NO_BODY))
            .await;
        browsers.push(browser);
    }
    for browser in &mut browsers {
        assert_eq!(browser.answer().await.unwrap().status, 200);
    }
    let asked = [&*tenant.host(), &cookie];
    assert_eq!(get(world.address, "/second", &asked).await.status, 502);
    assert_eq!(heard.times("GET /second HTTP/1.1"), 2);
}

/// What may not be repeated is on a fresh connection from the start, and is sent once.
#[tokio::test]
async fn f08_what_may_not_be_repeated_has_a_fresh_connection() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let (instance, heard) = ends_under_requests(tenant.ip(), 1, End::Reset).await;
    let mut browser = Connection::open(world.address).await;
    let cases = [
        ("POST", BODY),
        ("POST", NO_BODY),
        ("PATCH", BODY),
        // It may be repeated, but its body is gone.
        ("PUT", BODY),
        ("BREW", NO_BODY),
    ];
    for (method, rest) in cases {
        // There is a used connection, and it would end.
        for (method, rest) in [("GET", NO_BODY), (method, rest)] {
            browser
                .send(request(method, "/", &tenant, &cookie, rest))
                .await;
            assert_eq!(browser.answer().await.unwrap().status, 200, "{method}");
        }
    }
    for (method, times) in [("POST", 2), ("PATCH", 1), ("PUT", 1), ("BREW", 1)] {
        assert_eq!(heard.times(&format!("{method} / HTTP/1.1")), times);
    }
    instance.kill().await;
    let (_instance, heard) = ends_under_requests(tenant.ip(), 0, End::Reset).await;
    browser
        .send(request("POST", "/", &tenant, &cookie, BODY))
        .await;
    assert_eq!(browser.answer().await.unwrap().status, 502);
    assert_eq!(heard.lines(), ["POST / HTTP/1.1"]);
}

/// I9: by the time of a repeat the address may be another instance's.
#[tokio::test]
async fn i09_a_request_is_not_repeated_at_an_address_that_is_no_longer_the_instances() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let heard = Arc::new(Heard::default());
    let (hearing, moved) = (Arc::clone(&heard), Arc::new(Barrier::new(2)));
    let moving = Arc::clone(&moved);
    let instance = Instance::start(tenant.ip(), move |mut stream| {
        let (heard, moved) = (Arc::clone(&hearing), Arc::clone(&moving));
        async move {
            heard.request(&mut stream).await;
            let _ = stream.write_all(ANSWER).await;
            heard.request(&mut stream).await;
            moved.wait().await;
            moved.wait().await;
        }
    })
    .await;
    let mut browser = Connection::open(world.address).await;
    let request = request("GET", "/", &tenant, &cookie, NO_BODY);
    browser.send(&request).await;
    assert_eq!(browser.answer().await.unwrap().status, 200);
    browser.send(&request).await;
    moved.wait().await;
    let subnet = world.subnet(9);
    world
        .observe(&tenant, |observed| observed.locations[0].subnet = subnet)
        .await;
    moved.wait().await;
    // Where this took longer than the edge lets such a request go on, it is cut instead.
    let answer = browser.answer().await.map(|answer| answer.status);
    assert!(matches!(answer, Some(503) | None), "{answer:?}");
    assert_eq!(instance.connections.load(Ordering::SeqCst), 1);
    assert_eq!(heard.times("GET / HTTP/1.1"), 2);
}

/// An answer that is no HTTP is an answer: asking again would hide it.
#[tokio::test]
async fn f08_nonsense_is_not_asked_for_twice() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let heard = Arc::new(Heard::default());
    let hearing = Arc::clone(&heard);
    let _instance = Instance::start(tenant.ip(), move |mut stream| {
        let heard = Arc::clone(&hearing);
        async move {
            for answer in [ANSWER, b"nonsense\r\n\r\n"] {
                if heard.request(&mut stream).await.is_none() {
                    return;
                }
                let _ = stream.write_all(answer).await;
            }
        }
    })
    .await;
    let asked = [&*tenant.host(), &cookie];
    assert_eq!(get(world.address, "/1", &asked).await.status, 200);
    assert_eq!(get(world.address, "/2", &asked).await.status, 502);
    assert_eq!(heard.lines(), ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"]);
}

/// Connections that rest are the edge's to close, before Node would (5 s).
#[tokio::test]
async fn f08_a_connection_that_rests_is_closed_before_the_instance_would() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let (rested, mut rests) = tokio::sync::mpsc::unbounded_channel();
    let _instance = Instance::start(tenant.ip(), move |mut stream| {
        let rested = rested.clone();
        async move {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(ANSWER).await;
            let began = Instant::now();
            let end = stream.read(&mut head).await;
            let _ = rested.send((end.is_ok_and(|count| count == 0), began.elapsed()));
        }
    })
    .await;
    let answer = get(world.address, "/", &[&tenant.host(), &cookie]).await;
    assert_eq!(answer.status, 200);
    let (closed, after) = tokio::time::timeout(Duration::from_secs(20), rests.recv())
        .await
        .expect("it is closed")
        .unwrap();
    println!("closed after {after:.1?} of rest");
    assert!(closed, "in order");
    assert!(after < Duration::from_secs(4), "{after:?}");
}
