//! F21, A31 and the ways to an engine: versions, TLS, proxies, silence, answers without end.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::backend::{BackendError, ContainerBackend as _, Scope};
use openclaw_tenancy::container::Image;
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy_portainer::docker::{ConfigError, DockerBackend, Endpoint, Plaintext, Proxy};
use test_support::engine::{EngineVersion, Fault, Listen, Rule, ScriptedEngine, TestPki};

use super::{CALL, backend, tenancy};
use crate::common::{Tenancy, host, keys, plan, told};

#[tokio::test]
async fn every_supported_version_is_spoken() {
    for (version, spoken) in [
        (EngineVersion::V20_10, "1.41"),
        (EngineVersion::V26_1, "1.45"),
        (EngineVersion::V28_5, "1.51"),
        (EngineVersion::Future, "1.51"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let listen = Listen::Unix(directory.path().join("engine.sock"));
        let engine = ScriptedEngine::listening(version, listen).await.unwrap();
        let tenancy = tenancy(&engine);
        let id = tenancy.created(plan("free")).await;
        tenancy.start(&id).await.unwrap();
        let facts = tenancy.backend.host(&tenancy.host).await.unwrap();
        assert_eq!(facts.api_version, spoken, "{version:?}");
        assert!(
            engine
                .calls()
                .iter()
                .all(|call| call.version.as_deref() == Some(spoken)),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_named_with_what_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    let listen = Listen::Unix(directory.path().join("engine.sock"));
    let engine = ScriptedEngine::listening(EngineVersion::V19_03, listen)
        .await
        .unwrap();
    let refused = backend(&engine).host(&host()).await.unwrap_err();
    assert!(
        told(&refused).contains("1.40") && told(&refused).contains("20.10"),
        "{}",
        told(&refused)
    );
}

#[tokio::test]
async fn an_engine_exchanged_behind_its_address_is_agreed_with_anew() {
    let directory = tempfile::tempdir().unwrap();
    let listen = Listen::Unix(directory.path().join("engine.sock"));
    let engine = ScriptedEngine::listening(EngineVersion::V28_5, listen)
        .await
        .unwrap();
    let backend = backend(&engine);
    backend.list(&host(), Scope::All).await.unwrap();
    engine.world().set_version(EngineVersion::V20_10);
    let refused = backend.list(&host(), Scope::All).await.unwrap_err();
    assert!(
        matches!(refused, BackendError::Unreachable { .. }),
        "{refused:?}"
    );
    backend.list(&host(), Scope::All).await.unwrap();
    assert_eq!(
        engine.calls().last().unwrap().version.as_deref(),
        Some("1.41")
    );
}

#[tokio::test]
async fn an_engine_behind_a_proxy_is_reached_by_path_and_credential() {
    let engine = ScriptedEngine::start().await.unwrap();
    let digest = engine.world().add_image(super::IMAGE);
    engine.stand_behind("/api/endpoints/7/docker", "x-api-key", "canary-4f");
    let behind = |key| {
        let proxy = Proxy::new("/api/endpoints/7/docker/", [("x-api-key", key)]).unwrap();
        let endpoint = engine.address().parse().unwrap();
        DockerBackend::builder(keys(super::DEPLOYMENT))
            .host_behind(host(), endpoint, proxy)
            .build()
            .unwrap()
    };
    let image = Image {
        reference: super::IMAGE.to_owned(),
        digest: Some(digest),
    };
    let tenancy = Tenancy::new(
        Arc::new(behind("canary-4f")),
        super::DEPLOYMENT,
        image,
        super::SUBNET.parse().unwrap(),
    );
    let id = tenancy.created(plan("free")).await;
    tenancy.start(&id).await.unwrap();
    let log = tenancy
        .backend
        .logs(&tenancy.host, &id, Bytes(100))
        .await
        .unwrap();
    assert_eq!(log, "");
    assert!(
        engine
            .calls()
            .iter()
            .all(|call| call.version.as_deref() == Some("1.41"))
    );
    let refused = behind("wrong").host(&host()).await.unwrap_err();
    assert!(
        !format!("{refused:?} {}", told(&refused)).contains("canary"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn connections_are_kept() {
    let engine = ScriptedEngine::start().await.unwrap();
    let backend = backend(&engine);
    for _ in 0..50 {
        backend.host(&host()).await.unwrap();
    }
    assert!(
        engine.connections() <= 3,
        "{} connections for 50 looks",
        engine.connections()
    );
}

fn tls_backend(engine: &ScriptedEngine, ours: &TestPki, theirs: &TestPki) -> DockerBackend {
    let (cert, key) = ours.client().unwrap();
    let endpoint = Endpoint::Tls {
        host: "127.0.0.1".into(),
        port: engine.port().unwrap(),
        ca: theirs.ca(),
        cert,
        key,
        server_name: Some("engine.test".into()),
    };
    DockerBackend::builder(keys("tls"))
        .host(host(), endpoint)
        .call_limit(CALL)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a31_mutual_tls_is_verified_both_ways() {
    let (pki, foreign) = (TestPki::generate().unwrap(), TestPki::generate().unwrap());
    let config = pki.engine(&["engine.test"]).unwrap();
    let engine = ScriptedEngine::listening(EngineVersion::V28_5, Listen::Tls(0, config))
        .await
        .unwrap();
    tls_backend(&engine, &pki, &pki)
        .host(&host())
        .await
        .unwrap();

    let wrong_client = tls_backend(&engine, &foreign, &pki)
        .host(&host())
        .await
        .unwrap_err();
    let wrong_ca = tls_backend(&engine, &pki, &foreign)
        .host(&host())
        .await
        .unwrap_err();
    for refused in [wrong_client, wrong_ca] {
        assert!(
            told(&refused).contains("TLS was refused"),
            "{}",
            told(&refused)
        );
    }
    // The name in the certificate counts, not the address.
    let (cert, key) = pki.client().unwrap();
    let endpoint = Endpoint::Tls {
        host: "127.0.0.1".into(),
        port: engine.port().unwrap(),
        ca: pki.ca(),
        cert,
        key,
        server_name: None,
    };
    let unnamed = DockerBackend::builder(keys("tls"))
        .host(host(), endpoint)
        .build()
        .unwrap();
    let refused = unnamed.host(&host()).await.unwrap_err();
    assert!(
        told(&refused).contains("TLS was refused"),
        "{}",
        told(&refused)
    );
    assert!(
        engine
            .calls()
            .iter()
            .all(|call| call.path != "/containers/json")
    );
}

/// What no engine with its right certificate shows; `tests/real` has the rest of it.
#[tokio::test]
async fn a31_an_engine_out_of_date_and_one_without_tls_are_told_from_others() {
    let pki = TestPki::generate().unwrap();
    let expired = pki.expired_engine(&["engine.test"]).unwrap();
    let expired = ScriptedEngine::listening(EngineVersion::V28_5, Listen::Tls(0, expired))
        .await
        .unwrap();
    let without = ScriptedEngine::listening(EngineVersion::V28_5, Listen::Tcp(0))
        .await
        .unwrap();
    for (engine, words) in [
        (
            &expired,
            "the engine's certificate is out of date; renew it there",
        ),
        (&without, "speaks no TLS; start the engine with --tlsverify"),
    ] {
        let refused = tls_backend(engine, &pki, &pki).host(&host()).await;
        let refused = refused.unwrap_err();
        let text = told(&refused);
        assert!(
            matches!(refused, BackendError::Unreachable { .. }),
            "{text}"
        );
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn a31_plain_http_to_a_tls_port_is_no_engine() {
    let pki = TestPki::generate().unwrap();
    let config = pki.engine(&["engine.test"]).unwrap();
    let engine = ScriptedEngine::listening(EngineVersion::V28_5, Listen::Tls(0, config))
        .await
        .unwrap();
    let endpoint = engine.address().parse().unwrap();
    let plain = DockerBackend::builder(keys("tls"))
        .host(host(), endpoint)
        .call_limit(CALL)
        .build()
        .unwrap();
    let refused = plain.host(&host()).await.unwrap_err();
    assert!(
        matches!(refused, BackendError::Unreachable { .. }),
        "{refused:?}"
    );
}

#[test]
fn bad_configuration_names_the_host_the_field_and_the_fix() {
    let pki = TestPki::generate().unwrap();
    let (cert, key) = pki.client().unwrap();
    let tls = |ca: &std::path::Path, cert: &std::path::Path, key: &std::path::Path| Endpoint::Tls {
        host: "engine.test".into(),
        port: 2376,
        ca: ca.into(),
        cert: cert.into(),
        key: key.into(),
        server_name: None,
    };
    let missing = std::path::Path::new("no-such-file.pem");
    let open = Endpoint::Tcp {
        host: "192.0.2.1".into(),
        port: 2375,
        plaintext: Plaintext::LoopbackOnly,
    };
    for (endpoint, words) in [
        (tls(missing, &cert, &key), "`ca` (no-such-file.pem)"),
        (tls(&pki.ca(), missing, &key), "`cert`"),
        (tls(&pki.ca(), &key, &key), "holds no certificate"),
        (tls(&pki.ca(), &cert, &cert), "`key`"),
        (open, "mutual TLS"),
    ] {
        let refused = DockerBackend::builder(keys("tls"))
            .host(host(), endpoint)
            .build()
            .unwrap_err();
        let text = told(&refused);
        assert!(text.contains("`h1`") && text.contains(words), "{text}");
    }
    let twice = DockerBackend::builder(keys("tls"))
        .host(host(), Endpoint::local())
        .host(host(), Endpoint::local());
    assert!(matches!(twice.build(), Err(ConfigError::Duplicate { .. })));
}

#[tokio::test]
async fn f21_an_engine_that_accepts_and_never_answers_is_given_up_in_time() {
    let engine = ScriptedEngine::start().await.unwrap();
    let backend = backend(&engine);
    backend.host(&host()).await.unwrap();
    for path in ["/containers/json", "/volumes", "/networks"] {
        engine.on(Rule::call("GET", path).always().fault(Fault::Silence));
    }
    let begin = tokio::time::Instant::now();
    let refused = backend.list(&host(), Scope::All).await.unwrap_err();
    assert!(
        matches!(refused, BackendError::Unreachable { .. }),
        "{refused:?}"
    );
    let took = begin.elapsed();
    let late = Duration::from_millis(1200);
    assert!(CALL <= took && took < CALL + late, "{took:?}");
    engine.behave();
    backend.list(&host(), Scope::All).await.unwrap();
}

#[tokio::test]
async fn f21_an_engine_that_is_not_there_is_unreachable_at_once() {
    let engine = ScriptedEngine::start().await.unwrap();
    let backend = backend(&engine);
    engine.kill();
    let refused = backend.host(&host()).await.unwrap_err();
    assert!(
        told(&refused).contains("no connection"),
        "{}",
        told(&refused)
    );
}

#[tokio::test]
async fn a31_an_answer_without_end_is_cut_off() {
    let engine = ScriptedEngine::start().await.unwrap();
    let backend = backend(&engine);
    engine.on(Rule::call("GET", "/info").fault(Fault::Flood(64 << 20)));
    let refused = backend.host(&host()).await.unwrap_err();
    assert!(
        told(&refused).contains("larger than any honest one"),
        "{}",
        told(&refused)
    );
    backend.host(&host()).await.unwrap();
}

#[tokio::test]
async fn a31_redirects_and_pages_are_not_followed() {
    let engine = ScriptedEngine::start().await.unwrap();
    let backend = backend(&engine);
    backend.host(&host()).await.unwrap();
    for fault in [Fault::Html(200), Fault::Html(302), Fault::Html(502)] {
        engine.on(Rule::call("GET", "/info").fault(fault.clone()));
        assert!(backend.host(&host()).await.is_err(), "{fault:?}");
    }
    let asked = engine
        .calls()
        .iter()
        .filter(|call| call.path == "/info")
        .count();
    assert_eq!(asked, 4);
}
