//! A18: one framing, or 400.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{Connection, Instance, World};

/// Requests that some parser reads as more or other than we may.
fn corpus(host: &str, origin: &str) -> Vec<String> {
    let head =
        |lines: &str| format!("POST / HTTP/1.1\r\n{host}\r\nOrigin: {origin}\r\n{lines}\r\n");
    let hidden = "GET /hidden HTTP/1.1\r\nHost: alpha.inst.example\r\n\r\n";
    let mut all = Vec::new();
    // A length beside a coding, in each order and spelling.
    for coding in [
        "Transfer-Encoding: chunked",
        "transfer-encoding:chunked",
        "TRANSFER-ENCODING: CHUNKED",
    ] {
        for length in ["Content-Length: 4", "content-length: 0", "Content-Length:4"] {
            all.push(format!(
                "{}0\r\n\r\n{hidden}",
                head(&format!("{coding}\r\n{length}\r\n"))
            ));
            all.push(format!(
                "{}0\r\n\r\n{hidden}",
                head(&format!("{length}\r\n{coding}\r\n"))
            ));
        }
    }
    // Codings other than `chunked` alone.
    for coding in [
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "xchunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunk\u{212a}ed",
        "chunked\u{b}",
        "chunked\u{c}",
        "",
        "x",
        "cow",
        "identity, chunked",
        "chunked identity",
        "'chunked'",
        "\tchunked,identity",
        "deflate,chunked",
    ] {
        all.push(format!(
            "{}0\r\n\r\n{hidden}",
            head(&format!("Transfer-Encoding: {coding}\r\n"))
        ));
        all.push(format!(
            "{}0\r\n\r\n{hidden}",
            head(&format!(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: {coding}\r\n"
            ))
        ));
        all.push(format!(
            "{}0\r\n\r\n{hidden}",
            head(&format!(
                "Transfer-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n"
            ))
        ));
    }
    // Several or odd lengths.
    for length in [
        "+4",
        "-4",
        "4 4",
        "4,4",
        "4, 4",
        "0x4",
        "04",
        "4.0",
        "4e0",
        "\u{664}",
        "18446744073709551616",
        "99999999999999999999999",
        "4\u{0}",
        "4\u{b}",
        "\"4\"",
        "",
        "4;",
        "four",
        "4_0",
        "00",
    ] {
        all.push(format!(
            "{}abcd{hidden}",
            head(&format!("Content-Length: {length}\r\n"))
        ));
    }
    for (one, two) in [("4", "4"), ("4", "5"), ("0", "4"), ("4", "")] {
        all.push(format!(
            "{}abcd{hidden}",
            head(&format!(
                "Content-Length: {one}\r\nContent-Length: {two}\r\n"
            ))
        ));
    }
    // Names that are none.
    for name in [
        "Content-Length ",
        "Transfer-Encoding ",
        "Content-Length\t",
        " Content-Length",
        "\tTransfer-Encoding",
        "Content Length",
        "",
        "Transfer-Encoding\u{0}",
        "Content-Length\u{b}",
        "Transf\u{e9}r",
        "(comment)",
        "X[0]",
        "{x}",
        "X/Y",
        "X@Y",
        "X,Y",
    ] {
        all.push(format!("{}abcd", head(&format!("{name}: 4\r\n"))));
        all.push(format!(
            "{}abcd",
            head(&format!("A: b\r\n{name}: chunked\r\n"))
        ));
    }
    // Folded lines, bare CR and LF, controls.
    for line in [
        "A: b\r\n c: d\r\n",
        "A: b\r\n\tc\r\n",
        "A: b\nC: d\r\n",
        "A: b\rC: d\r\n",
        "A: b\n\n",
        "A: b\r\r\n",
        "A: b\n\r\n",
        "A: \u{0}\r\n",
        "A: \u{1}\r\n",
        "A: \u{7f}\r\n",
        "A: b\u{0}\r\n",
        "no colon\r\n",
        "A: b\nTransfer-Encoding: chunked\r\n",
        "A: b\rTransfer-Encoding: chunked\r\n",
        "A: b\r\n\nTransfer-Encoding: chunked\r\n",
        "\r: x\r\n",
        ":\r\n",
        ": x\r\n",
    ] {
        all.push(format!("{}0\r\n\r\n{hidden}", head(line)));
    }
    // Request lines.
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET /",
        "GET",
        "GET / http/1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "get / HTTP/1.1",
        "G=T / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /#x HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /\u{0} HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "! / HTTP/1.1",
        "GET / HTTP/1.1\rX: y",
        "\r\nGET / HTTP/1.1",
        "\nGET / HTTP/1.1",
        "PRI * HTTP/2.0",
        "\u{16}\u{3}\u{1}",
        "GET / HTTP/1,1",
        "G\u{0}T / HTTP/1.1",
        "GETGETGETGETGETGETGETGETGETGETGETG / HTTP/1.1",
        "GET x HTTP/1.1",
        "GET \\ HTTP/1.1",
    ] {
        all.push(format!("{line}\r\n{host}\r\n\r\n{hidden}"));
    }
    // A coding that HTTP/1.0 does not have.
    all.push(format!(
        "POST / HTTP/1.0\r\n{host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    ));
    all
}

#[tokio::test]
async fn a18_smuggling_heads_get_400_and_the_connection_ends() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let before = instance.connections.load(Ordering::SeqCst);
    let all = corpus(&format!("{}\r\n{cookie}", tenant.host()), &tenant.origin());
    assert!(all.len() >= 180, "{}", all.len());
    for request in &all {
        let mut connection = Connection::open(world.address).await;
        connection.send(request).await;
        let answer = connection
            .answer()
            .await
            .unwrap_or_else(|| panic!("no answer to {request:?}"));
        assert_eq!(answer.status, 400, "{request:?}: {answer:?}");
        assert!(
            connection.answer().await.is_none(),
            "a second answer to {request:?}"
        );
    }
    assert_eq!(
        instance.connections.load(Ordering::SeqCst),
        before,
        "nothing of them reached the instance"
    );
}

/// The same heads, however the network cuts them.
#[tokio::test]
async fn a18_smuggling_cuts_change_nothing() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let host = format!(
        "{}\r\n{cookie}\r\nOrigin: {}",
        tenant.host(),
        tenant.origin()
    );
    let good = format!(
        "POST / HTTP/1.1\r\n{host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    );
    let two = format!(
        "POST / HTTP/1.1\r\n{host}\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n{host}\r\n\r\n"
    );
    let bad = format!("GET / HTTP/1.1\r\n{host}\r\n\r\nGET / HTTP/1.1\n{host}\r\n\r\n");
    for (request, statuses) in [
        (good, vec![200]),
        (two, vec![200, 200]),
        (bad, vec![200, 400]),
    ] {
        for step in [1, 2, 3, 7, 50] {
            let mut connection = Connection::open(world.address).await;
            for piece in request.as_bytes().chunks(step) {
                connection.send(piece).await;
                tokio::task::yield_now().await;
            }
            for status in &statuses {
                assert_eq!(
                    connection.answer().await.unwrap().status,
                    *status,
                    "{step}: {request:?}"
                );
            }
        }
    }
}

/// A body that is none: refused if nothing was answered yet, and never followed by another request.
#[tokio::test]
async fn a18_smuggling_bodies_end_the_connection() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let hidden = format!(
        "GET /hidden HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n",
        tenant.host()
    );
    for body in [
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "5;ext=1\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nx",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Claw-User: u-evil\r\n\r\n",
        "\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "g\r\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "0\n\r\n",
    ] {
        let mut connection = Connection::open(world.address).await;
        let head = format!(
            "POST / HTTP/1.1\r\n{}\r\n{cookie}\r\nOrigin: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
            tenant.host(),
            tenant.origin()
        );
        connection.send(format!("{head}{body}{hidden}")).await;
        let answer = connection.answer().await;
        assert!(
            answer.as_ref().is_some_and(|answer| answer.status == 400),
            "{body:?}: {answer:?}"
        );
        assert!(connection.answer().await.is_none(), "{body:?}");
    }
}

/// No other protocol by `Upgrade`, and none after an answer that is not 101.
#[tokio::test]
async fn a18_smuggling_no_h2c_and_no_tunnel_without_101() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let instance = Instance::raw(
        tenant.ip(),
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
    )
    .await;
    let mut connection = Connection::open(world.address).await;
    let mut request =
        crate::a20_cross_site_websocket::upgrade(&tenant, &cookie, Some(&tenant.origin()));
    request.push_str("GET /hidden HTTP/1.1\r\nHost: alpha.inst.example\r\n\r\n");
    connection.send(&request).await;
    let answer = connection.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (403, "no"));
    // What follows is a request of its own, without a session.
    let next = connection.answer().await;
    assert!(next.is_none_or(|next| next.status == 401));
    instance.kill().await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let mut connection = Connection::open(world.address).await;
    let head = format!(
        "GET / HTTP/1.1\r\n{}\r\n{cookie}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
        tenant.host()
    );
    connection.send(head).await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.status, 200);
    let headers = answer.json()["headers"].to_string();
    assert!(
        !headers.contains("h2c")
            && !headers.contains("http2-settings")
            && !headers.contains("upgrade"),
        "{headers}"
    );
    assert!(
        !connection.ends_within(Duration::from_millis(200)).await,
        "an ordinary connection goes on"
    );
}
