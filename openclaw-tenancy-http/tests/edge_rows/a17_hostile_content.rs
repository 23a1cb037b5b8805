//! A17: what an instance says for its host ends at its host.

use crate::support::{Instance, World, get};

async fn answer_of(headers: &[&str]) -> crate::support::Answer {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let script = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok");
    let _instance = Instance::raw(tenant.ip(), script).await;
    let cookie = world.sign_in(&tenant).await;
    get(world.address, "/", &[&tenant.host(), &cookie]).await
}

#[tokio::test]
async fn a17_hostile_content_cookies() {
    let kept = [
        "own=1; Path=/; HttpOnly",
        "__Host-theirs=1; Path=/; Secure",
        "domain=1",
        "a=Domain; Path=/x",
        "__Secure-oct-instance=1; Secure",
        "x=__Host-oct-instance",
    ];
    let dropped = [
        "a=1; Domain=inst.example",
        "a=1; domain=.inst.example; Path=/",
        "a=1;DOMAIN=console.example",
        "a=1; Domain",
        "a=1; Path=/;\tDomain =inst.example",
        "__Host-oct-instance=1; Path=/; Secure",
        "__Host-oct-session=1; Path=/; Secure",
        "__HOST-OCT-pre=1; Path=/; Secure",
        " __Host-oct-instance =1; Path=/; Secure",
        "=__Host-oct-instance=1; Path=/; Secure",
        "__Host-oct-instance",
        "__Host-oct-anything-new=1; Path=/; Secure",
    ];
    let lines: Vec<String> = kept
        .iter()
        .chain(&dropped)
        .map(|cookie| format!("Set-Cookie: {cookie}"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answer = answer_of(&lines).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.all("set-cookie"), kept);
}

#[tokio::test]
async fn a17_hostile_content_headers_that_reach_further() {
    let answer = answer_of(&[
        "Clear-Site-Data: \"*\"",
        "Service-Worker-Allowed: /",
        "Strict-Transport-Security: max-age=31536000; includeSubDomains; preload",
        "Public-Key-Pins: x",
        "Alt-Svc: h2=\"evil.example:443\"",
        "Surrogate-Control: max-age=9999",
        "X-Accel-Redirect: /etc/passwd",
        "X-Sendfile: /etc/passwd",
        "X-LIGHTTPD-Send-File: /etc/passwd",
        "X-LIGHTTPD-send-tempfile: /etc/passwd",
        "X-LiteSpeed-Location: /etc/passwd",
        "X-LiteSpeed-Cache-Control: public, max-age=9999",
        "Cloudflare-CDN-Cache-Control: max-age=9999",
        "Vercel-CDN-Cache-Control: max-age=9999",
        "Set-Cookie2: a=1; Domain=.inst.example",
        "NEL: {\"report_to\":\"x\",\"max_age\":9999}",
        "Report-To: {\"group\":\"x\",\"max_age\":9999}",
        "Reporting-Endpoints: x=\"https://evil.example/\"",
        "CDN-Cache-Control: max-age=9999",
        "Cache-Control: public, s-maxage=9999, max-age=5",
        "Connection: X-Listed",
        "X-Listed: y",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "Upgrade: h2c",
        "X-Own: kept",
        "Content-Security-Policy: default-src 'self'",
        "X-Request-Id: theirs",
    ])
    .await;
    for gone in [
        "clear-site-data",
        "service-worker-allowed",
        "strict-transport-security",
        "public-key-pins",
        "alt-svc",
        "surrogate-control",
        "x-accel-redirect",
        "x-sendfile",
        "x-lighttpd-send-file",
        "x-lighttpd-send-tempfile",
        "x-litespeed-location",
        "x-litespeed-cache-control",
        "cloudflare-cdn-cache-control",
        "vercel-cdn-cache-control",
        "set-cookie2",
        "nel",
        "report-to",
        "reporting-endpoints",
        "cdn-cache-control",
        "x-listed",
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
    ] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.header("cache-control"), Some("private, max-age=5"));
    assert_eq!(answer.header("x-own"), Some("kept"));
    assert_eq!(
        answer.header("content-security-policy"),
        Some("default-src 'self'")
    );
    assert_ne!(answer.header("x-request-id"), Some("theirs"));
}

#[tokio::test]
async fn a17_hostile_content_answers_that_are_none() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    for script in [
        &b"nonsense\r\n\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
    ] {
        let instance = Instance::raw(tenant.ip(), script).await;
        let answer = get(world.address, "/", &[&tenant.host(), &cookie]).await;
        let script = String::from_utf8_lossy(script);
        assert_eq!(answer.status, 502, "{script:?}");
        assert_eq!(
            answer.json()["type"],
            "urn:openclaw-tenancy:problem:instance-answer",
            "{script:?}"
        );
        // Nothing of where it is or what it said.
        let text = format!("{answer:?}");
        assert!(
            !text.contains("127.") && !text.contains("18789") && !text.contains("nonsense"),
            "{text}"
        );
        instance.kill().await;
    }
}

/// What comes after an answer is not the beginning of the next one.
#[tokio::test]
async fn a17_hostile_content_a_second_answer_is_not_the_next_ones() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let script = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo";
    let _instance = Instance::raw(tenant.ip(), script).await;
    for _ in 0..5 {
        assert_eq!(
            get(world.address, "/", &[&tenant.host(), &cookie])
                .await
                .body,
            "one"
        );
    }
}
