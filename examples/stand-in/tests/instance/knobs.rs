//! What exists in the stand-in only: knobs, echoes and hostile answers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;

use crate::support::{Home, Reply, gateway};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

#[test]
fn every_answer_names_the_instance() {
    let home = Home::new();
    let instance = home.start();
    instance.ready();
    for path in ["/healthz", "/", "/whoami", "/no.js"] {
        let reply = instance.get(path);
        assert!(
            reply.head.contains("x-openclaw-stand-in: a1"),
            "{}",
            reply.head
        );
    }
    assert_eq!(instance.json("/whoami")["name"], "a1");
}

#[test]
fn whoami_shows_the_request_as_it_arrived() {
    let home = Home::new();
    let instance = home.start();
    let headers = "x-forwarded-for: 198.51.100.7\r\nx-twice: 1\r\nx-twice: 2\r\nX_Claw_User: u-2\r\nx-claw-user: u-1\r\nx-claw-proxy: 1\r\nx-forwarded-proto: http\r\ntransfer-encoding: chunked\r\ntrailer: x-late\r\n";
    let body = b"5\r\nhello\r\n0\r\nx-late: yes\r\n\r\n";
    let reply = Reply::of(instance.ready(), "POST", "/whoami?a=b", headers, body);
    let seen: Value = serde_json::from_slice(&reply.body).unwrap();
    let request = &seen["request"];
    assert_eq!(request["method"], "POST");
    assert_eq!(request["uri"], "/whoami?a=b");
    assert_eq!(request["bodyBytes"], 5);
    assert_eq!(request["trailers"], json!([["x-late", "yes"]]));
    let headers = request["headers"].as_array().unwrap();
    for header in [["x-twice", "1"], ["x-twice", "2"], ["x_claw_user", "u-2"]] {
        assert!(headers.contains(&json!(header)), "{headers:?}");
    }
    assert_eq!(seen["client"], "198.51.100.7");
    assert_eq!(
        seen["identity"],
        json!({ "method": "trusted-proxy", "user": "u-1" })
    );
}

#[test]
fn echo_sends_back_or_makes_up() {
    let home = Home::new();
    let instance = home.start();
    let headers = "x-forwarded-for: 198.51.100.7\r\ncontent-length: 5\r\n";
    let reply = Reply::of(instance.ready(), "POST", "/echo", headers, b"hello");
    assert!(
        String::from_utf8_lossy(&reply.body).contains("hello"),
        "{reply:?}"
    );
    assert_eq!(instance.get("/echo?bytes=70000").body.len(), 70_000);
    assert_eq!(instance.get("/echo?bytes=much").status, 400);
}

#[tokio::test]
async fn text_is_echoed_after_hello() {
    let mut open = gateway();
    open["auth"] = json!({ "mode": "none" });
    open["controlUi"]["allowedOrigins"] = json!(["*"]);
    let home = Home::with(&open);
    let instance = home.start();
    let mut request = format!("ws://{}/", instance.ready())
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("x-forwarded-for", "198.51.100.7".parse().unwrap());
    let stream = tokio::net::TcpStream::connect(instance.address())
        .await
        .unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    let challenge = socket.next().await.unwrap().unwrap();
    assert!(challenge.to_text().unwrap().contains("connect.challenge"));
    let connect = json!({ "type": "req", "id": "1", "method": "connect", "params": {
        "minProtocol": 4, "maxProtocol": 4,
        "client": { "id": "test", "version": "1", "platform": "linux", "mode": "test" },
    }});
    socket
        .send(Message::text(connect.to_string()))
        .await
        .unwrap();
    let hello = socket.next().await.unwrap().unwrap();
    assert!(hello.to_text().unwrap().contains("hello-ok"), "{hello}");
    for text in [
        "x".repeat(200_000),
        "{not json".to_owned(),
        r#"{"a":1}"#.to_owned(),
    ] {
        socket.send(Message::text(text.clone())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    socket.send(Message::binary(vec![7; 1000])).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::binary(vec![7; 1000])
    );
}

#[test]
fn memory_is_really_taken_and_given_back() {
    let home = Home::new();
    let instance = home.start();
    instance.ready();
    let rss = || {
        let text = fs::read_to_string(format!("/proc/{}/status", instance.pid())).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap()
            .to_owned();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    };
    let before = rss();
    assert_eq!(instance.json("/_knob/allocate?mib=64")["heldMib"], 64);
    assert!(before + 60 <= rss(), "{before} -> {}", rss());
    assert_eq!(instance.json("/_knob/release")["releasedMib"], 64);
    assert!(rss() <= before + 30, "{before} -> {}", rss());
    assert_eq!(
        instance.json("/_knob/child-oom?mib=8"),
        json!({ "exitCode": 0, "signal": null })
    );
}

#[test]
fn burning_reports_the_time_that_was_given() {
    let home = Home::new();
    let instance = home.start();
    instance.ready();
    let burnt = instance.json("/_knob/burn?threads=1&ms=300");
    let (wall, cpu) = (
        burnt["wallMs"].as_u64().unwrap(),
        burnt["cpuMs"].as_u64().unwrap(),
    );
    assert!(300 <= wall, "{burnt}");
    // On a busy machine less is given, but never more than there was, save one tick.
    assert!(0 < cpu && cpu <= wall + 20, "{burnt}");
    assert_eq!(instance.json("/_knob/tasks?count=40")["started"], 40);
}

#[test]
fn crashes_end_as_asked() {
    let home = Home::new();
    for (query, code, signal) in [("code=41", Some(41), None), ("code=abort", None, Some(6))] {
        let mut instance = home.start();
        let address = instance.ready();
        // The connection breaks with the process, so no answer can be read. It stays open until then: a request whose
        // client is gone may be dropped before it is answered.
        let request = format!("GET /_knob/crash?{query} HTTP/1.1\r\nhost: a\r\n\r\n");
        use std::io::Write as _;
        let mut asking = std::net::TcpStream::connect(address).unwrap();
        asking.write_all(request.as_bytes()).unwrap();
        let status = instance.wait();
        drop(asking);
        assert_eq!((status.code(), status.signal()), (code, signal), "{query}");
    }
}

#[test]
fn a_hang_answers_nothing_until_it_ends() {
    let home = Home::new();
    let instance = home.start();
    let address = instance.ready();
    use std::io::{Read as _, Write as _};
    let mut hanging = std::net::TcpStream::connect(address).unwrap();
    hanging
        .write_all(b"GET /_knob/hang?ms=5000 HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    instance.logged("[knob] hang");
    let mut probing = std::net::TcpStream::connect(address).unwrap();
    probing
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
    probing
        .set_read_timeout(Some(std::time::Duration::from_millis(200)))
        .unwrap();
    let mut text = String::new();
    assert!(
        probing.read_to_string(&mut text).is_err(),
        "answered while hanging: {text}"
    );
    probing
        .set_read_timeout(Some(crate::support::DEADLINE))
        .unwrap();
    probing.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[test]
fn the_inside_is_shown() {
    let home = Home::new();
    let main = json!({
        "gateway": { "$include": "./manager/gateway.json" },
        "secrets": { "providers": {
            "good": { "source": "file", "path": home.state().join("good") },
            "open": { "source": "file", "path": home.state().join("open") },
            "absent": { "source": "file", "path": home.state().join("absent") },
        }},
    });
    crate::support::replace(&home.state().join("openclaw.json"), &main.to_string());
    for (name, mode) in [("good", 0o600), ("open", 0o644)] {
        fs::write(home.state().join(name), "secret").unwrap();
        fs::set_permissions(home.state().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let instance = home.start();
    instance.ready();
    let config = instance.json("/_knob/config");
    assert_eq!(config["merged"]["gateway"]["mode"], "local");
    let degraded = config["degradedSecrets"].as_array().unwrap();
    let names: Vec<_> = degraded.iter().map(|entry| &entry["provider"]).collect();
    assert_eq!(names, ["absent", "open"]);

    let file = instance.json(&format!(
        "/_knob/file?path={}",
        home.state().join("open").display()
    ));
    assert_eq!(
        (&file["mode"], &file["readable"]),
        (&json!("644"), &json!(true))
    );
    let limits = instance.json("/_knob/limits");
    assert!(
        limits["capEff"].is_string() && limits["swapTotal"].is_string(),
        "{limits}"
    );

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    assert_eq!(
        instance.json(&format!("/_knob/dial?to={to}"))["outcome"],
        "open"
    );
    drop(listener);
    assert_eq!(
        instance.json(&format!("/_knob/dial?to={to}"))["outcome"],
        "refused"
    );
    assert_eq!(instance.get("/_knob/dial?to=somewhere").status, 400);
}

/// An edit that comes while an earlier one is read is read as well.
#[test]
fn an_edit_during_a_reload_is_not_missed() {
    let home = Home::new();
    let main = json!({
        "gateway": { "$include": "./manager/gateway.json" },
        "messages": { "$include": "./manager/messages.json" },
    });
    crate::support::replace(&home.state().join("openclaw.json"), &main.to_string());
    // A pipe is read last and holds the reading up until somebody writes.
    let pipe = home.state().join("manager/messages.json");
    // Each reading has a pipe of its own, so that no two share what is written.
    let renew = {
        let (next, pipe) = (pipe.with_extension("next"), pipe.clone());
        move || {
            let made = std::process::Command::new("mkfifo").arg(&next).status();
            made.is_ok_and(|status| status.success()) && fs::rename(&next, &pipe).is_ok()
        }
    };
    assert!(renew());
    let with_user = |user: &str| {
        let mut edited = gateway();
        edited["auth"]["trustedProxy"]["allowUsers"] = json!([user]);
        edited.to_string()
    };
    let (first, second) = (with_user("u-2"), with_user("u-3"));
    let (file, first_edit) = (home.gateway_file(), first.clone());
    std::thread::spawn(move || {
        // Opening succeeds once the other end reads; what still waits for that at the end goes with this program.
        while let Ok(mut end) = fs::OpenOptions::new().write(true).open(&pipe) {
            if fs::read_to_string(&file).is_ok_and(|text| text == first_edit) {
                crate::support::replace(&file, &second);
            }
            use std::io::Write as _;
            if end.write_all(b"{}").is_err() || !renew() {
                break;
            }
        }
    });
    let instance = home.start();
    instance.ready();
    home.edit(&first);
    crate::support::eventually("the second edit", || {
        let config = instance.json("/_knob/config");
        let users = config["merged"].pointer("/gateway/auth/trustedProxy/allowUsers");
        (users == Some(&json!(["u-3"]))).then_some(())
    });
}

#[test]
fn under_the_name_of_cat_it_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let cat = folder.path().join("cat");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_openclaw-stand-in"), &cat).unwrap();
    let run = |path: &str| std::process::Command::new(&cat).arg(path).output().unwrap();
    let memory = run("/proc/meminfo");
    assert!(memory.status.success());
    assert!(String::from_utf8_lossy(&memory.stdout).contains("MemTotal:"));
    assert_eq!(run("/no/such/file").status.code(), Some(1));
}

#[test]
fn hostile_answers_are_hostile() {
    let home = Home::new();
    let instance = home.start();
    instance.ready();
    for (path, expected) in [
        (
            "cookie-domain?domain=example.test",
            "set-cookie: session=hostile; domain=example.test",
        ),
        (
            "cookie-host?name=__Host-api",
            "set-cookie: __host-api=hostile; path=/; secure",
        ),
        ("clear-site-data", "clear-site-data: \"*\""),
        ("service-worker", "service-worker-allowed: /"),
        ("hsts", "strict-transport-security: max-age=31536000"),
        (
            "redirect?to=https://evil.example/",
            "location: https://evil.example/",
        ),
        ("headers?x-a=1&x-b=2", "x-b: 2"),
        ("many-headers?count=90", "x-many-89: x"),
    ] {
        let reply = instance.get(&format!("/hostile/{path}"));
        assert!(reply.head.contains(expected), "{path}: {}", reply.head);
    }
    let all = instance.get("/hostile/all").head;
    assert_eq!(all.matches("set-cookie: ").count(), 2, "{all}");
    assert!(64 * 1024 < instance.get("/hostile/huge-header").head.len());
    let cut = instance.get("/hostile/cut?bytes=1000");
    assert!(
        cut.head.contains("content-length: 1000") && cut.body.len() < 1000,
        "{}",
        cut.head
    );
    assert_eq!(instance.get("/hostile/headers?bad%0aname=1").status, 400);
    assert_eq!(instance.get("/hostile/no-such").status, 404);
}
