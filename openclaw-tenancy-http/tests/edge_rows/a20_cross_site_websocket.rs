//! A20: a WebSocket is opened by the instance's own page, and ends with what allowed it.

use std::time::Duration;

use openclaw_tenancy::id::Generation;
use openclaw_tenancy::tenant::Power;

use crate::support::{Connection, Instance, Tenant, World, get};

/// The request of a browser that opens a WebSocket.
pub(crate) fn upgrade(tenant: &Tenant, cookie: &str, origin: Option<&str>) -> String {
    let origin = origin
        .map(|origin| format!("Origin: {origin}\r\n"))
        .unwrap_or_default();
    format!(
        "GET /ws HTTP/1.1\r\n{}\r\n{cookie}\r\n{origin}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        tenant.host()
    )
}

async fn open(world: &World, tenant: &Tenant, cookie: &str) -> Connection {
    let mut connection = Connection::open(world.address).await;
    connection
        .send(upgrade(tenant, cookie, Some(&tenant.origin())))
        .await;
    assert_eq!(connection.answer().await.unwrap().status, 101);
    assert_eq!(connection.exactly(5).await, "alpha");
    connection
}

#[tokio::test]
async fn a20_cross_site_websocket_needs_the_instances_own_origin() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let own = tenant.origin();
    let cases = [
        (Some(own.clone()), 101),
        (None, 403),
        (Some("null".into()), 403),
        (Some("http://evil.example".into()), 403),
        (Some("http://beta.inst.example:8080".into()), 403),
        (Some("http://inst.example:8080".into()), 403),
        (Some("http://console.example:3000".into()), 403),
        (Some("https://alpha.inst.example:8080".into()), 403),
        (Some("http://alpha.inst.example".into()), 403),
        (Some("http://alpha.inst.example:8081".into()), 403),
        (Some("http://alpha.inst.example:8080/".into()), 403),
        (Some(format!("{own}.evil.example")), 403),
        (Some(format!("http://evil.example/{own}")), 403),
        (Some(own.to_uppercase()), 403),
        (Some(format!("{own}, {own}")), 403),
        (Some(format!("{own}\r\nOrigin: {own}")), 403),
        (Some(format!("{own}\r\nOrigin: http://evil.example")), 403),
        (Some(String::new()), 403),
    ];
    for (origin, expected) in cases {
        let mut connection = Connection::open(world.address).await;
        connection
            .send(upgrade(&tenant, &cookie, origin.as_deref()))
            .await;
        assert_eq!(
            connection.answer().await.unwrap().status,
            expected,
            "{origin:?}"
        );
    }
}

/// The same sign-in as for any request, on every path.
#[tokio::test]
async fn a20_cross_site_websocket_needs_the_session_on_every_path() {
    let world = World::new().await;
    let (tenant, other) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let theirs = world.sign_in(&other).await;
    for cookie in [
        "X: y".to_owned(),
        theirs,
        format!("Cookie: __Host-oct-instance={}", "A".repeat(43)),
    ] {
        for path in [
            "/ws",
            "/",
            "/healthz",
            "/startupz",
            "/assets/x",
            "/a/../b",
            "/%2e%2e/",
            "/__openclaw-tenancy",
            "/__openclaw-tenancy/status",
        ] {
            let mut connection = Connection::open(world.address).await;
            let request = upgrade(&tenant, &cookie, Some(&tenant.origin())).replace("/ws", path);
            connection.send(&request).await;
            let status = connection.answer().await.unwrap().status;
            assert!(matches!(status, 401 | 404), "{status}: {request}");
        }
    }
}

#[tokio::test]
async fn a20_cross_site_websocket_must_be_one() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let good = upgrade(&tenant, &cookie, Some(&tenant.origin()));
    for (from, to) in [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 12"),
        ("Sec-WebSocket-Version: 13", "X: y"),
        (
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13",
        ),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X: y"),
        (
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Key: short",
        ),
        ("GET /ws HTTP/1.1", "POST /ws HTTP/1.1"),
        ("GET /ws HTTP/1.1", "GET /ws HTTP/1.0"),
        ("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"),
        (
            "Upgrade: websocket",
            "Upgrade: websocket\r\nContent-Length: 0",
        ),
    ] {
        let request = good.replace(from, to);
        assert_ne!(request, good);
        let mut connection = Connection::open(world.address).await;
        connection.send(&request).await;
        assert_eq!(connection.answer().await.unwrap().status, 400, "{request}");
    }
}

#[tokio::test]
async fn a20_cross_site_websocket_sign_out_closes_what_is_open() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(open(&world, &tenant, &cookie).await);
    }
    world.sign_out(tenant.owner).await;
    let ended = sockets
        .iter_mut()
        .map(|socket| socket.ends_within(Duration::from_secs(5)));
    assert_eq!(futures::future::join_all(ended).await, [true; 5]);
}

#[tokio::test]
async fn a20_cross_site_websocket_suspend_delete_and_remaking_close_what_is_open() {
    let world = World::new().await;
    for (number, end) in ["suspended", "deleted", "made anew"]
        .into_iter()
        .enumerate()
    {
        let tenant = world.ready(&format!("alpha{number}"), number as u32).await;
        let _instance = Instance::echo(tenant.ip(), "alpha").await;
        let cookie = world.sign_in(&tenant).await;
        let mut socket = open(&world, &tenant, &cookie).await;
        match end {
            "suspended" => world.power(&tenant, Power::Suspended).await,
            "deleted" => world.power(&tenant, Power::Deleted).await,
            _ => {
                world
                    .observe(&tenant, |observed| {
                        observed.locations[0].generation = Generation(7)
                    })
                    .await
            }
        }
        assert!(socket.ends_within(Duration::from_secs(5)).await, "{end}");
    }
}

#[tokio::test]
async fn a20_cross_site_websocket_event_streams_end_too() {
    let world = World::new().await;
    let (one, two) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let three = world.ready("gamma", 2).await;
    let mut instances = Vec::new();
    let mut streams = Vec::new();
    for tenant in [&one, &two, &three] {
        instances.push(Instance::stream(tenant.ip()).await);
        let cookie = world.sign_in(tenant).await;
        let mut stream = Connection::open(world.address).await;
        stream
            .send(format!(
                "GET /events HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n",
                tenant.host()
            ))
            .await;
        while !stream.line().await.unwrap().starts_with("data: 1") {}
        streams.push(stream);
    }
    world.sign_out(one.owner).await;
    world.power(&two, Power::Suspended).await;
    world.power(&three, Power::Deleted).await;
    let ended = streams
        .iter_mut()
        .map(|stream| stream.ends_within(Duration::from_secs(5)));
    assert_eq!(futures::future::join_all(ended).await, [true; 3]);
}

/// What the edge remembers of a session does not outlast a sign-out that it is told of; another's stays.
#[tokio::test]
async fn a20_cross_site_websocket_a_sign_out_in_this_process_holds_at_once() {
    let world = World::new().await;
    let (one, two) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let _one = Instance::echo(one.ip(), "alpha").await;
    let _two = Instance::echo(two.ip(), "beta").await;
    for _ in 0..20 {
        let (of_one, of_two) = (world.sign_in(&one).await, world.sign_in(&two).await);
        let status = async |tenant: &Tenant, cookie: &str| {
            get(world.address, "/", &[&tenant.host(), cookie])
                .await
                .status
        };
        assert_eq!(status(&one, &of_one).await, 200);
        assert_eq!(status(&two, &of_two).await, 200);
        world.sign_out(one.owner).await;
        world.edge.signed_out(one.owner);
        assert_eq!(status(&one, &of_one).await, 401);
        assert_eq!(status(&two, &of_two).await, 200);
    }
}

/// Another's sign-out closes nothing.
#[tokio::test]
async fn a20_cross_site_websocket_a_strangers_sign_out_closes_nothing() {
    let world = World::new().await;
    let (one, two) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let _one = Instance::echo(one.ip(), "alpha").await;
    let cookie = world.sign_in(&one).await;
    let mut socket = open(&world, &one, &cookie).await;
    world.sign_out(two.owner).await;
    world.power(&two, Power::Deleted).await;
    assert!(!socket.ends_within(Duration::from_secs(5)).await);
}
