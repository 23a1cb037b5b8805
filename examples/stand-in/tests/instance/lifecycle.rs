//! Exit codes, phases, signals and the one writer of a volume.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::{Home, Reply, gateway};
use serde_json::{Value, json};

#[test]
fn a_missing_or_broken_configuration_ends_with_78() {
    let home = Home::new();
    fs::remove_file(home.state().join("openclaw.json")).unwrap();
    let (code, log) = home.run(&[]);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("Missing config"), "{log}");

    let home = Home::new();
    home.edit("{nope");
    let (code, log) = home.run(&[]);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("Failed to parse include file"), "{log}");
}

#[test]
fn a_token_beside_the_trusted_proxy_ends_with_1() {
    let (code, log) = Home::new().run(&[("OPENCLAW_GATEWAY_TOKEN", "a-shared-token")]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("mutually exclusive"), "{log}");
}

#[test]
fn an_unwritable_state_directory_ends_with_78() {
    let home = Home::new();
    fs::set_permissions(home.state(), fs::Permissions::from_mode(0o555)).unwrap();
    // Permissions do not bind the superuser, so there the directory is taken by a file.
    fs::write(home.state().join("stand-in"), "")
        .or_else(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => Ok(()),
            _ => Err(error),
        })
        .unwrap();
    let (code, log) = home.run(&[]);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("is not writable"), "{log}");
    fs::set_permissions(home.state(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_second_writer_ends_with_70_and_leaves_a_trace() {
    let home = Home::new();
    let mut first = home.start();
    first.ready();
    let (code, log) = home.run(&[("STAND_IN_NAME", "intruder")]);
    assert_eq!(code, Some(70), "{log}");
    assert!(log.contains("second writer on this volume"), "{log}");

    let seen = first.json("/_knob/second-writers")["secondWriters"].clone();
    assert_eq!(seen[0]["second writer"]["name"], "intruder");
    assert_eq!(seen[0]["holder"]["pid"], first.pid());
    // The refused start is no start.
    assert_eq!(first.json("/whoami")["volume"]["starts"], 1);

    // A kill gives the volume free at once.
    let status = Command::new("kill")
        .args(["-KILL", &first.pid().to_string()])
        .status();
    assert!(status.unwrap().success());
    first.wait();
    let next = home.start();
    next.ready();
    assert_eq!(next.json("/whoami")["volume"]["starts"], 2);
}

#[test]
fn the_volume_is_known_again_and_another_one_is_not() {
    let home = Home::new();
    let volume = |home: &Home| {
        let instance = home.start();
        instance.ready();
        instance.json("/whoami")["volume"]["volumeId"].clone()
    };
    let first = volume(&home);
    assert!(first.is_string());
    assert_eq!(volume(&home), first);
    assert_ne!(volume(&Home::new()), first);
}

#[test]
fn the_phases_are_starting_started_draining() {
    let home = Home::new();
    let mut instance = home.start_with(&[
        ("STAND_IN_STARTUP_DELAY_MS", "5000"),
        ("STAND_IN_DRAIN_MS", "5000"),
    ]);
    instance.address();
    let state = |path: &str| {
        let reply = instance.get(path);
        (
            reply.status,
            serde_json::from_slice::<Value>(&reply.body).unwrap(),
        )
    };
    assert_eq!(
        state("/startupz"),
        (503, json!({ "ok": false, "status": "starting" }))
    );
    assert_eq!(state("/readyz"), (503, json!({ "ready": false })));
    assert_eq!(
        state("/healthz"),
        (200, json!({ "ok": true, "status": "live" }))
    );
    instance.ready();
    assert_eq!(
        state("/startupz"),
        (200, json!({ "ok": true, "status": "started" }))
    );
    assert_eq!(state("/readyz"), (200, json!({ "ready": true })));
    instance.terminate();
    instance.logged("received SIGTERM");
    crate::support::eventually("draining", || (state("/startupz").0 == 503).then_some(()));
    assert_eq!(
        state("/startupz"),
        (503, json!({ "ok": false, "status": "draining" }))
    );
    assert_eq!(instance.wait().code(), Some(0));
}

#[test]
fn a_stop_before_the_port_opens_is_heard() {
    let home = Home::new();
    let mut instance = home.start_with(&[("STAND_IN_PORT_DELAY_MS", "60000")]);
    instance.logged("loading configuration");
    instance.terminate();
    assert_eq!(instance.wait().code(), Some(0));
}

#[test]
fn knobs_for_the_next_start_act_as_often_as_asked() {
    let home = Home::new();
    let mut instance = home.start();
    instance.ready();
    let set = instance.json("/_knob/next-start?starts=2&STAND_IN_EXIT_AT_START=9");
    assert_eq!(set["starts"], 2);
    assert_eq!(instance.get("/_knob/next-start?PATH=x").status, 400);
    instance.terminate();
    assert_eq!(instance.wait().code(), Some(0));
    assert_eq!(home.run(&[]).0, Some(9));
    assert_eq!(home.run(&[]).0, Some(9));
    home.start().ready();
}

#[test]
fn a_base_path_moves_the_page_but_not_the_probes() {
    let mut configured = gateway();
    configured["controlUi"]["basePath"] = json!("/t/t1");
    let home = Home::with(&configured);
    let instance = home.start();
    instance.ready();
    assert_eq!(instance.get("/healthz").status, 200);
    assert_eq!(instance.get("/").status, 404);
    let redirect = instance.get("/t/t1");
    assert_eq!(redirect.status, 302);
    assert!(
        redirect.head.contains("location: /t/t1/"),
        "{}",
        redirect.head
    );
    let page = instance.get("/t/t1/healthz");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("text/html"), "{}", page.head);
}

#[test]
fn thirty_two_silent_sockets_of_one_client_are_enough() {
    let home = Home::new();
    let instance = home.start();
    let address = instance.ready();
    let upgrade = |client: &str| {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nx-forwarded-for: {client}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        (stream, String::from_utf8_lossy(&status).into_owned())
    };
    let held: Vec<_> = (0..32).map(|_| upgrade("198.51.100.7")).collect();
    assert!(held.iter().all(|(_, status)| status == "HTTP/1.1 101"));
    assert_eq!(upgrade("198.51.100.7").1, "HTTP/1.1 503");
    assert_eq!(upgrade("198.51.100.8").1, "HTTP/1.1 101");
    drop(held);
    crate::support::eventually("a free place", || {
        (upgrade("198.51.100.7").1 == "HTTP/1.1 101").then_some(())
    });
}

#[test]
fn an_idle_connection_is_closed_as_node_closes_it() {
    use std::io::{Read as _, Write as _};
    let home = Home::new();
    let instance = home.start();
    let mut stream = std::net::TcpStream::connect(instance.ready()).unwrap();
    stream
        .set_read_timeout(Some(crate::support::DEADLINE))
        .unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    // Ends only when the instance ends the connection.
    stream.read_to_string(&mut text).unwrap();
    assert!(
        text.to_ascii_lowercase().contains("keep-alive: timeout=5"),
        "{text}"
    );
    assert_eq!(
        Reply::of(instance.address(), "GET", "/healthz", "", b"").status,
        200
    );
}
