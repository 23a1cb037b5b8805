//! A19: what an instance believes of who somebody is comes from the edge alone.

use openclaw_tenancy::instance::{PROXY_HEADER, USER_HEADER, user_name};

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
    let listener =
        tokio::net::TcpListener::bind((tenant.ip(), openclaw_tenancy::container::INSTANCE_PORT))
            .await
            .unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
