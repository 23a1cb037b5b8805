//! A14: one normaliser decides whose instance a request is for.

use crate::support::{Connection, Instance, World, get};

async fn status(world: &World, request: &str) -> u16 {
    let mut connection = Connection::open(world.address).await;
    connection.send(request).await;
    connection.answer().await.expect("an answer").status
}

#[tokio::test]
async fn a14_host_confusion_spellings_of_one_host() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let port = world.address.port();
    for host in [
        "alpha.inst.example:8080".to_owned(),
        "alpha.inst.example".into(),
        format!("alpha.inst.example:{port}"),
        "ALPHA.Inst.Example:8080".into(),
        "alpha.inst.example.".into(),
        "alpha.inst.example.:8080".into(),
    ] {
        let answer = get(world.address, "/", &[&format!("Host: {host}"), &cookie]).await;
        assert_eq!(answer.status, 200, "{host}");
        // Whatever the spelling, the instance sees one.
        let headers = answer.json()["headers"].to_string();
        assert_eq!(
            headers.matches("alpha.inst.example:8080").count(),
            2,
            "{headers}"
        );
        assert!(!headers.contains("ALPHA"), "{headers}");
    }
}

#[tokio::test]
async fn a14_host_confusion_corpus() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let long = "a".repeat(64);
    let malformed = [
        "",
        " ",
        ".",
        "..",
        "alpha..inst.example",
        "alpha.inst.example..",
        ".inst.example",
        ".alpha.inst.example",
        "alpha.inst.example:",
        "alpha.inst.example:0",
        "alpha.inst.example:080",
        "alpha.inst.example:+8080",
        "alpha.inst.example:8080:8080",
        "alpha.inst.example:99999",
        "alpha.inst.example:80 80",
        "alpha.inst.example:x",
        "alpha.inst.example/",
        "alpha.inst.example/x",
        "alpha.inst.example?x",
        "alpha.inst.example\\",
        "user@alpha.inst.example",
        "alpha.inst.example@evil.example",
        "alpha.inst.example,beta.inst.example",
        "alpha.inst.example beta.inst.example",
        "alpha_x.inst.example",
        "alpha%2einst.example",
        "alpha%00.inst.example",
        "\"alpha.inst.example\"",
        "[alpha.inst.example]",
        "[::1",
        "[::1]x",
        "[::g]",
        "alp\u{e4}.inst.example",
        "alpha\u{3002}inst.example",
        "alpha.inst.example\t:8080",
        "alpha.inst.example;",
        "http://alpha.inst.example",
        "*",
        "alpha.inst.example#x",
        long.as_str(),
        "alpha.inst.example:8080.",
        "alpha.inst.example:-1",
    ];
    for host in malformed {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n\r\n");
        assert_eq!(status(&world, &request).await, 400, "{host:?}");
    }
    let foreign = [
        "inst.example",
        "inst.example:8080",
        "evil.example",
        "alpha.evil.example",
        "alphainst.example",
        "localhost",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:8080",
        "x.alpha.inst.example",
        "alpha.inst.example.evil.example",
        "alpha.inst.example:8081",
        "alpha.inst.example:443",
        "alpha.inst.exampl",
        "alpha.inst.example.com",
        "alpha",
        "example",
        "xn--alpha.example",
        "console.example",
        "alpha.inst-example",
    ];
    for host in foreign {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n\r\n");
        assert_eq!(status(&world, &request).await, 421, "{host:?}");
    }
}

#[tokio::test]
async fn a14_host_confusion_every_field_that_carries_a_name() {
    let world = World::new().await;
    let (alpha, beta) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let _alpha = Instance::echo(alpha.ip(), "alpha").await;
    let _beta = Instance::echo(beta.ip(), "beta").await;
    let cookie = world.sign_in(&alpha).await;
    let host = alpha.host();
    for (request, expected) in [
        (format!("GET / HTTP/1.1\r\n{cookie}\r\n\r\n"), 400),
        (
            format!("GET / HTTP/1.1\r\n{host}\r\n{host}\r\n{cookie}\r\n\r\n"),
            400,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\n{host}\r\n{}\r\n{cookie}\r\n\r\n",
                beta.host()
            ),
            400,
        ),
        (
            format!("GET http://alpha.inst.example:8080/ HTTP/1.1\r\n{host}\r\n{cookie}\r\n\r\n"),
            200,
        ),
        (
            format!("GET http://ALPHA.inst.example/ HTTP/1.1\r\n{host}\r\n{cookie}\r\n\r\n"),
            200,
        ),
        (
            format!("GET http://beta.inst.example:8080/ HTTP/1.1\r\n{host}\r\n{cookie}\r\n\r\n"),
            400,
        ),
        (
            format!("GET http://evil.example/ HTTP/1.1\r\n{host}\r\n{cookie}\r\n\r\n"),
            421,
        ),
        (
            format!(
                "GET http://alpha.inst.example/ HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n",
                beta.host()
            ),
            400,
        ),
        (
            format!("GET http://alpha.inst.example/ HTTP/1.1\r\n{cookie}\r\n\r\n"),
            400,
        ),
        (
            format!("GET ftp://alpha.inst.example/ HTTP/1.1\r\n{host}\r\n{cookie}\r\n\r\n"),
            400,
        ),
        (
            format!("GET http://x@alpha.inst.example/ HTTP/1.1\r\n{host}\r\n{cookie}\r\n\r\n"),
            400,
        ),
        (
            format!("GET //beta.inst.example/ HTTP/1.1\r\n{host}\r\n{cookie}\r\n\r\n"),
            200,
        ),
        (
            format!("CONNECT alpha.inst.example:8080 HTTP/1.1\r\n{host}\r\n{cookie}\r\n\r\n"),
            405,
        ),
        (
            format!("OPTIONS * HTTP/1.1\r\n{host}\r\n{cookie}\r\n\r\n"),
            400,
        ),
    ] {
        assert_eq!(status(&world, &request).await, expected, "{request}");
    }
    // What says of itself that it knows better is not asked.
    for name in [
        "X-Forwarded-Host",
        "X-Forwarded-Server",
        "X-Host",
        "X-Original-Host",
        "X-HTTP-Host-Override",
        "Forwarded",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X_Forwarded_Host",
        "Host_",
        ":authority",
    ] {
        let value = if name == "Forwarded" {
            "host=beta.inst.example:8080"
        } else {
            "beta.inst.example:8080"
        };
        let mut connection = Connection::open(world.address).await;
        connection
            .send(format!(
                "GET / HTTP/1.1\r\n{host}\r\n{cookie}\r\n{name}: {value}\r\n\r\n"
            ))
            .await;
        let answer = connection.answer().await.unwrap();
        if name.starts_with(':') {
            assert_eq!(answer.status, 400);
        } else {
            assert_eq!(answer.json()["instance"], "alpha", "{name}");
        }
    }
}

/// A label is looked up and nothing else: no id, no path, no pattern.
#[tokio::test]
async fn a14_host_confusion_a_label_is_never_an_id() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    for label in [
        tenant.id.to_string(),
        tenant.id.simple(),
        tenant.owner.simple(),
        "xn--alpha".into(),
        "-alpha".into(),
    ] {
        let host = format!("Host: {label}.inst.example:8080");
        let answer = get(
            world.address,
            "/",
            &[&host, &cookie, "Accept: application/json"],
        )
        .await;
        assert_eq!(answer.status, 401, "{label}");
    }
}

/// Whoever looks at the refusal reads why, in their language.
#[tokio::test]
async fn a14_host_confusion_is_told_in_both_languages() {
    let world = World::new().await;
    for (head, chinese, english) in [
        ("GET / HTTP/1.1\r\n", "缺少 Host", "Host is missing"),
        (
            "GET / HTTP/1.1\r\nHost: a.inst.example\r\nHost: b.inst.example\r\n",
            "Host 出现了多次",
            "Host is given more than once",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a..inst.example\r\n",
            "Host 不是主机名",
            "Host is not a host name",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.inst.example:+1\r\n",
            "Host 中的端口无效",
            "the port in Host is not a port",
        ),
        (
            "GET http://b.inst.example/ HTTP/1.1\r\nHost: a.inst.example\r\n",
            "请求目标与 Host 中的主机名不一致",
            "the request target and Host name different hosts",
        ),
        (
            "GET ftp://a.inst.example/ HTTP/1.1\r\nHost: a.inst.example\r\n",
            "请求目标的协议不是 http 或 https",
            "the request target has no scheme of the web",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.inst.example\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length 出现了多次",
            "Content-Length is given more than once",
        ),
    ] {
        for (language, reason, other) in [("zh-CN", chinese, english), ("en", english, chinese)] {
            for (accept, kind) in [
                ("text/html", "text/html; charset=utf-8"),
                ("application/json", "application/problem+json"),
            ] {
                let mut connection = Connection::open(world.address).await;
                connection
                    .send(format!(
                        "{head}Accept: {accept}\r\nAccept-Language: {language}\r\n\r\n"
                    ))
                    .await;
                let answer = connection.answer().await.expect("an answer");
                assert_eq!(answer.status, 400, "{head}");
                assert_eq!(answer.header("content-type"), Some(kind), "{head}");
                assert!(answer.body.contains(reason), "{head}: {}", answer.body);
                assert!(!answer.body.contains(other), "{head}: {}", answer.body);
            }
        }
    }
}
