//! A19: what an instance believes of who somebody is comes from the edge alone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openclaw_tenancy::container::INSTANCE_PORT;
use openclaw_tenancy::instance::{PROXY_HEADER, USER_HEADER, user_name};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Connection, Instance, World};

/// Names that some server takes for an identity, a scope or an address.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        USER_HEADER,
        PROXY_HEADER,
        "x-openclaw-scopes",
        "x-openclaw-anything",
        "x-claw-user",
        "x-claw-proxy",
        "x-claw-proxy-secret",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded-scheme",
        "x-forwarded-ssl",
        "x-forwarded",
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-access-jwt-assertion",
        "x-cluster-client-ip",
        "fastly-client-ip",
        "x-auth-request-user",
        "x-auth-user",
        "x-remote-user",
        "remote-user",
        "tailscale-user-login",
        "tailscale-user-name",
        "x-goog-iap-jwt-assertion",
        "x-goog-authenticated-user-email",
        "x-original-url",
        "x-original-host",
        "x-rewrite-url",
        "x-http-method-override",
        "x-http-method",
        "authorization",
        "proxy-authorization",
        "proxy-connection",
        "http2-settings",
        "expect",
        "proxy",
        "proxy-client-ip",
        "via",
        "client-ip",
        "x-originating-ip",
        "fly-client-ip",
        "do-connecting-ip",
        "x-nf-client-connection-ip",
        "x-azure-clientip",
        "x-azure-socketip",
        "x-appengine-user-ip",
        "x-envoy-external-address",
        "x-envoy-original-path",
        "x-vercel-forwarded-for",
        "wl-proxy-client-ip",
        "x-proxyuser-ip",
        "x-authenticated-user",
        "x-webauth-user",
        "x-amzn-oidc-data",
        "x-amzn-oidc-identity",
        "x-ms-client-principal-name",
        "x-pomerium-jwt-assertion",
        "x-authentik-username",
        "x-ssl-client-cert",
        "ssl-client-verify",
        "x-arr-clientcert",
        "x-user",
        "x-user-id",
        "x-userinfo",
        "x-email",
        "x-groups",
        "x-authelia-user",
        "x-vouch-user",
        "x-jwt-assertion",
        "oidc-claim-email",
        "oidc-access-token",
        "impersonate-user",
        "impersonate-extra-scopes",
        "x-host",
        "x-scheme",
        "x-url-scheme",
        "front-end-https",
        "x-method-override",
    ]
    .map(str::to_owned)
    .into();
    // Every spelling that a server may read as the same.
    for name in names.clone() {
        names.push(name.replace('-', "_"));
        names.push(name.replacen('-', "_", 1));
        names.push(name.replace('-', "."));
        names.push(name.to_ascii_uppercase());
        names.push(format!("{name}_"));
        names.push(format!("_{name}"));
    }
    names
}

#[tokio::test]
async fn a19_header_spoofing_corpus() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let names = names();
    assert!(names.len() > 200);
    let mut connection = Connection::open(world.address).await;
    for name in &names {
        // `Expect` is answered by us; no other value than this is one.
        let value = if name.eq_ignore_ascii_case("expect") {
            "100-continue"
        } else {
            "evil-canary"
        };
        let request = format!(
            "GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n{name}: {value}\r\n{name}: {value}\r\n\r\n",
            tenant.host()
        );
        connection.send(request).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let seen = answer.json()["headers"].to_string();
        assert!(!seen.contains(value), "{name} reached the instance: {seen}");
    }
    let plain = "GET / HTTP/1.1\r\n".to_owned()
        + &format!("{}\r\n{cookie}\r\nX-Own: kept\r\n\r\n", tenant.host());
    connection.send(plain).await;
    let answer = connection.answer().await.unwrap().json();
    let seen = |name: &str| -> Vec<String> {
        let all = answer["headers"].as_array().unwrap().iter();
        all.filter(|header| header[0] == name)
            .map(|header| header[1].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(seen(USER_HEADER), [user_name(tenant.owner)]);
    assert_eq!(seen(PROXY_HEADER).len(), 1);
    assert_eq!(seen("host"), ["alpha.inst.example:8080"]);
    assert_eq!(seen("x-forwarded-host"), ["alpha.inst.example:8080"]);
    assert_eq!(seen("x-forwarded-proto"), ["http"]);
    // OpenClaw takes no loopback address for a client.
    assert_eq!(seen("x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(seen("via"), ["1.1 openclaw-tenancy"]);
    assert_eq!(seen("x-own"), ["kept"]);
}

/// `Connection` takes headers away before ours are set, so it cannot take ours.
#[tokio::test]
async fn a19_header_spoofing_connection_cannot_remove_ours() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let mut connection = Connection::open(world.address).await;
    for listed in [
        format!("{USER_HEADER}, {PROXY_HEADER}, x-forwarded-for, host, x-forwarded-proto, x-own"),
        format!("close-not, {},x-own", USER_HEADER.to_uppercase()),
        format!("x-own\r\nConnection: {USER_HEADER}"),
    ] {
        let request = format!(
            "GET / HTTP/1.1\r\n{}\r\n{cookie}\r\nX-Own: gone\r\nTE: trailers\r\nConnection: {listed}\r\n\r\n",
            tenant.host()
        );
        connection.send(request).await;
        let answer = connection.answer().await.unwrap().json()["headers"].to_string();
        for name in [
            USER_HEADER,
            PROXY_HEADER,
            "\"host\"",
            "x-forwarded-for",
            "x-forwarded-proto",
        ] {
            assert!(answer.contains(name), "{name} is missing: {answer}");
        }
        assert!(
            !answer.contains("gone") && !answer.contains("trailers"),
            "{answer}"
        );
    }
}

/// A WebSocket's request is a request like any other.
#[tokio::test]
async fn a19_header_spoofing_on_the_way_to_a_websocket() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    // Answers without a 101, so that what it was asked can be read.
    let (heard, mut hear) = tokio::sync::mpsc::channel(1);
    let listener = tokio::net::TcpListener::bind((tenant.ip(), INSTANCE_PORT))
        .await
        .unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        heard
            .send(String::from_utf8(head).unwrap().to_ascii_lowercase())
            .await
            .unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
    });
    let cookie = world.sign_in(&tenant).await;
    let mut connection = Connection::open(world.address).await;
    let request =
        crate::a20_cross_site_websocket::upgrade(&tenant, &cookie, Some(&tenant.origin()));
    let spoofed = request.replacen(
        "\r\n\r\n",
        &format!("\r\n{USER_HEADER}: evil-canary\r\nx_openclaw_scopes: evil-canary\r\nX-OpenClaw-Scopes: evil-canary\r\n\r\n"),
        1,
    );
    connection.send(spoofed).await;
    assert_eq!(connection.answer().await.unwrap().status, 400);
    let head = hear.recv().await.unwrap();
    assert!(
        !head.contains("evil-canary") && !head.contains("oct-instance"),
        "{head}"
    );
    assert!(
        head.contains(&format!("{USER_HEADER}: {}", user_name(tenant.owner))),
        "{head}"
    );
    assert!(
        head.contains("\r\nupgrade: websocket\r\n") && head.contains("\r\nconnection: upgrade\r\n"),
        "{head}"
    );
}

/// Trailers come after everything was overwritten: a name that only the edge may say never reaches the instance so.
#[tokio::test]
async fn a19_header_spoofing_in_a_requests_trailers() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let chunked = |announced: &str, trailers: &str| {
        format!(
            "POST / HTTP/1.1\r\n{}\r\n{cookie}\r\nOrigin: {}\r\nTE: trailers\r\n{announced}\
             Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{trailers}\r\n",
            tenant.host(),
            tenant.origin()
        )
    };
    let trailer = format!("{USER_HEADER}: evil-canary\r\n");
    let instance = Instance::echo(tenant.ip(), "alpha").await;
    // Who reaches an instance past the edge can say so, and the instance would see it.
    let direct = SocketAddr::from((tenant.ip(), INSTANCE_PORT));
    let mut connection = Connection::open(direct).await;
    connection
        .send(chunked(&format!("Trailer: {USER_HEADER}\r\n"), &trailer))
        .await;
    let seen = connection.answer().await.unwrap().json();
    assert_eq!(seen["trailers"][0][0], USER_HEADER, "{seen}");
    // A body that ends without trailers arrives whole, with the edge's own word on who it is.
    let mut connection = Connection::open(world.address).await;
    connection.send(chunked("", "")).await;
    let seen = connection.answer().await.unwrap().json();
    assert_eq!(
        (&seen["length"], &seen["trailers"]),
        (&5.into(), &().into())
    );
    let user = serde_json::json!([USER_HEADER, user_name(tenant.owner)]);
    assert!(
        seen["headers"].as_array().unwrap().contains(&user),
        "{seen}"
    );
    assert!(!seen["headers"].to_string().contains("trailer"), "{seen}");
    instance.kill().await;

    // Every byte that reaches the instance, whatever it would make of them.
    let reached: Arc<Mutex<Vec<u8>>> = Arc::default();
    let bytes = Arc::clone(&reached);
    let _instance = Instance::start(tenant.ip(), move |mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut piece).await {
                bytes.lock().unwrap().extend(&piece[..read]);
            }
        }
    })
    .await;
    for name in names() {
        for announced in ["", &*format!("Trailer: {name}\r\n")] {
            for trailers in [
                format!("{name}: evil-canary\r\n"),
                format!("x-own: 1\r\n{name}:evil-canary\r\n{name}: evil-canary\r\n"),
            ] {
                let mut connection = Connection::open(world.address).await;
                connection.send(chunked(announced, &trailers)).await;
                let answer = connection.answer().await.unwrap();
                assert_eq!(answer.status, 400, "{name}: {answer:?}");
                // And nothing after them is read as a request.
                assert_eq!(connection.answer().await, None, "{name}");
            }
        }
    }
    assert!(!String::from_utf8_lossy(&reached.lock().unwrap()).contains("evil-canary"));
    let so_far = || String::from_utf8_lossy(&reached.lock().unwrap()).to_ascii_lowercase();
    // Also when the instance has the body already, and waits for its end.
    for name in [USER_HEADER, PROXY_HEADER, "x-forwarded-for"] {
        reached.lock().unwrap().clear();
        let request = chunked("", &format!("{name}: evil-canary\r\n"));
        let (begin, end) = request.split_at(request.find("0\r\nx-").unwrap());
        let mut connection = Connection::open(world.address).await;
        connection.send(begin).await;
        let arrives = async {
            while !so_far().contains("hello") {
                tokio::task::yield_now().await;
            }
        };
        let arrives = tokio::time::timeout(Duration::from_secs(20), arrives);
        arrives.await.expect("the body arrives");
        connection.send(end).await;
        let answer = connection.answer().await;
        assert_eq!(answer.map(|answer| answer.status), Some(400), "{name}");
        assert!(!so_far().contains("0\r\n\r\n"), "it has no end");
        assert!(!so_far().contains("evil-canary"), "{}", so_far());
    }
}

/// What an instance says after its answer's end is not the browser's either: a cookie there would pass every rule on
/// cookies by.
#[tokio::test]
async fn a19_header_spoofing_in_an_answers_trailers() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let _instance = Instance::raw(
        tenant.ip(),
        format!(
            "HTTP/1.1 200 OK\r\nTrailer: set-cookie, {USER_HEADER}\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nok\r\n0\r\nSet-Cookie: __Host-oct-session=evil-canary\r\nClear-Site-Data: \"evil-canary\"\r\n\
             {USER_HEADER}: evil-canary\r\nX-Own: evil-canary\r\n\r\n"
        ),
    )
    .await;
    let mut connection = Connection::open(world.address).await;
    let request = format!(
        "GET / HTTP/1.1\r\n{}\r\n{cookie}\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n",
        tenant.host()
    );
    connection.send(request).await;
    let mut all = String::new();
    connection.stream.read_to_string(&mut all).await.unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{all}");
    assert!(!head.to_ascii_lowercase().contains("trailer"), "{all}");
    assert_eq!(body, "2\r\nok\r\n0\r\n\r\n", "the end, and no more");
}
