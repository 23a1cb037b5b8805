//! A host behind mutual TLS whose certificates do not fit: what an operator reads in `doctor` and in the list of hosts.

use std::path::PathBuf;

use test_support::engine::{EngineVersion, Listen, ScriptedEngine, TestPki};
use tokio::time::{sleep, timeout};

use crate::server::Server;
use crate::support::{PATIENCE, doctor, run, text};

/// The name in the engine's certificate.
const NAME: &str = "engine.test";

#[tokio::test]
async fn a31_a_tls_host_that_does_not_fit_is_told_with_the_cause_and_the_fix() {
    let (ours, foreign) = (
        TestPki::named("ours").unwrap(),
        TestPki::named("another").unwrap(),
    );
    let listen = Listen::Tls(0, ours.engine(&[NAME]).unwrap());
    let engine = ScriptedEngine::listening(EngineVersion::V28_5, listen)
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let port = engine.port().unwrap();
    let own = || ours.client().unwrap();

    let fits = environment(port, ours.ca(), own(), NAME);
    let checks = doctor(dir.path(), &borrowed(&fits), "engine tls").await;
    assert_eq!(checks[0]["outcome"], "ok", "{checks:?}");

    for (environment, cause, fix) in [
        (
            environment(port, ours.ca(), foreign.client().unwrap(), NAME),
            "the engine does not accept our client certificate",
            "--tlscacert",
        ),
        (
            environment(port, ours.ca(), own(), "other.test"),
            "the engine's certificate is for another name",
            "set server_name",
        ),
        (
            environment(port, foreign.ca(), own(), NAME),
            "the engine's certificate is not signed by the CA that is configured here",
            "configure the CA that signed it",
        ),
    ] {
        let environment = borrowed(&environment);
        let checks = doctor(dir.path(), &environment, "engine tls").await;
        assert_eq!(checks[0]["outcome"], "fail", "{checks:?}");
        let said = |key: &str| checks[0][key].as_str().unwrap_or_default();
        let found = said("found");
        assert!(
            found.contains(cause) && said("fix").contains(fix),
            "{checks:?}"
        );

        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path(), &environment).await;
        let token = run(data.path(), &["token"], &environment).await;
        let token = text(&token.stdout).trim().to_owned();
        let reason = async {
            loop {
                let (_, hosts) = server.get("/api/hosts", &token).await;
                let host = &hosts["hosts"][0];
                if host["state"] == "unreachable" {
                    return host["reason"].as_str().unwrap().to_owned();
                }
                sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let reason = timeout(PATIENCE, reason).await.expect("it is looked at");
        assert!(reason.contains(cause) && reason.contains(fix), "{reason}");
        assert_eq!(server.stop().await.0, Some(0));
    }
}

/// A configuration of one host, as variables.
fn environment(
    port: u16,
    ca: PathBuf,
    (cert, key): (PathBuf, PathBuf),
    name: &str,
) -> Vec<(&'static str, String)> {
    let path = |path: PathBuf| path.to_str().unwrap().to_owned();
    vec![
        ("OPENCLAW_TENANCY__HOSTS__0__ID", "tls".to_owned()),
        (
            "OPENCLAW_TENANCY__HOSTS__0__ADDRESS",
            format!("tls://127.0.0.1:{port}"),
        ),
        ("OPENCLAW_TENANCY__HOSTS__0__CA_FILE", path(ca)),
        ("OPENCLAW_TENANCY__HOSTS__0__CERT_FILE", path(cert)),
        ("OPENCLAW_TENANCY__HOSTS__0__KEY_FILE", path(key)),
        ("OPENCLAW_TENANCY__HOSTS__0__SERVER_NAME", name.to_owned()),
    ]
}

fn borrowed<'a>(environment: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}
