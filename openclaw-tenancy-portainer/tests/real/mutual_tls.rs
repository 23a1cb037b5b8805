//! A31 on an engine with `--tlsverify` of the test's own: a whole life over mutual TLS, and who is turned away, in words
//! that say what is wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use openclaw_tenancy::backend::{BackendError, Scope, Signal};
use openclaw_tenancy::container::secret::Content;
use openclaw_tenancy::container::{
    DATA_PATH, EngineId, Image, Inventory, RunState, VolumeFile, VolumeRole,
};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy_portainer::docker::{DockerBackend, DockerBackendBuilder, Endpoint};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use test_support::engine::TestPki;
use test_support::ports::free_port;
use test_support::private_engine::{Ground, PrivateEngine};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::common::{Tenancy, host, keys, plan, told};
use crate::own::on_an_engine_of_its_own;
use crate::{PATIENCE, clean_up, until};

/// The name in the engine's certificate.
const NAME: &str = "engine.test";
/// Whoever is turned away is told so, and not that time is up.
const CALL: Duration = Duration::from_secs(20);
const DEPLOYMENT: &str = "tls";

/// An engine with the certificates that it was started with.
struct TlsEngine<'a> {
    engine: &'a PrivateEngine,
    port: u16,
    pki: &'a TestPki,
}

#[tokio::test]
async fn a31_mutual_tls_with_a_real_engine() {
    let (pki, port) = (TestPki::generate().unwrap(), free_port());
    let make = || tls_engine(&pki, port);
    on_an_engine_of_its_own(make, async |engine, image| {
        let tls = TlsEngine {
            engine,
            port,
            pki: &pki,
        };
        tls.wants_a_certificate().await;
        tls.turns_away().await;
        tls.serves_a_life(image).await;
    })
    .await;
}

fn tls_engine(pki: &TestPki, port: u16) -> PrivateEngine {
    let (cert, key) = pki.server(&[NAME]).unwrap();
    let ground = Ground {
        bridge: "octtls0",
        address: "10.235.255.9/29",
        // Networks of a run that was killed may still be there.
        networks: [10, 236, u8::try_from(std::process::id() % 250).unwrap()],
    };
    let options = format!(
        "-H tcp://127.0.0.1:{port} --tlsverify --tlscacert {} --tlscert {} --tlskey {}",
        pki.ca().display(),
        cert.display(),
        key.display()
    );
    PrivateEngine::new(ground, options)
}

impl TlsEngine<'_> {
    /// The way to it for who trusts `ca` and shows the files of `client`, when its name is `name`.
    fn endpoint(&self, ca: PathBuf, client: (PathBuf, PathBuf), name: Option<&str>) -> Endpoint {
        let (cert, key) = client;
        Endpoint::Tls {
            host: "127.0.0.1".into(),
            port: self.port,
            ca,
            cert,
            key,
            server_name: name.map(str::to_owned),
        }
    }

    /// The engine turns away who shows no certificate, and there is no backend that would show none.
    async fn wants_a_certificate(&self) {
        let seen = without_certificate(&self.pki.ca(), self.port).await;
        let seen = seen.unwrap_err().to_string();
        assert!(seen.contains("fatal alert"), "{seen}");

        let (_, key) = self.pki.client().unwrap();
        let empty = tempfile::NamedTempFile::new().unwrap();
        let files = (empty.path().to_owned(), key);
        let endpoint = self.endpoint(self.pki.ca(), files, Some(NAME));
        let refused = told(&backend(endpoint).build().unwrap_err());
        let words = format!("`cert` ({}) holds no certificate", empty.path().display());
        assert!(refused.contains(&words), "{refused}");
    }

    /// Each is told at once what is wrong and what mends it, and nothing is made for them.
    async fn turns_away(&self) {
        let ours = self.pki;
        let foreign = TestPki::named("another CA").unwrap();
        let anew = TestPki::generate().unwrap();
        let plain = format!("tcp://127.0.0.1:{}", self.port).parse().unwrap();
        let with = |ca: &TestPki, client| self.endpoint(ca.ca(), client, Some(NAME));
        let client = [
            "the engine does not accept our client certificate; use one in date",
            "--tlscacert",
        ];
        let issuer = [
            "not signed by the CA that is configured here",
            "configure the CA",
        ];
        let before = self.everything();
        for (who, endpoint, words) in [
            (
                "a client certificate of another CA",
                with(ours, foreign.client().unwrap()),
                client,
            ),
            (
                "a client certificate that has expired",
                with(ours, ours.expired_client().unwrap()),
                client,
            ),
            (
                "a certificate that is for a server",
                with(ours, ours.server(&[NAME]).unwrap()),
                client,
            ),
            (
                "an engine certificate of another CA",
                with(&foreign, ours.client().unwrap()),
                issuer,
            ),
            (
                "an engine certificate of the CA before it was made anew",
                with(&anew, ours.client().unwrap()),
                issuer,
            ),
            (
                "an engine certificate for another name",
                self.endpoint(ours.ca(), ours.client().unwrap(), None),
                ["is for another name; set server_name", NAME],
            ),
            (
                "plain HTTP",
                plain,
                ["it wants TLS and not plain HTTP", "a client certificate"],
            ),
        ] {
            let t = self.tenancy(endpoint, "nothing");
            let begun = tokio::time::Instant::now();
            let look = t.backend.host(&t.host).await.map(drop);
            let made = t.make(&t.volume(VolumeRole::Data)).await.map(drop);
            for refused in [look, made] {
                let refused = refused.unwrap_err();
                let text = told(&refused);
                assert!(
                    matches!(refused, BackendError::Unreachable { .. }),
                    "{who}: {refused:?}"
                );
                let said = words.iter().all(|word| text.contains(word));
                assert!(said, "{who}: {text}");
            }
            assert!(begun.elapsed() < CALL, "{who}: {:?}", begun.elapsed());
            assert_eq!(self.everything(), before, "{who}");
        }
    }

    /// Every kind of call that an instance's life takes.
    async fn serves_a_life(&self, reference: String) {
        let before = self.everything();
        let files = self.pki.client().unwrap();
        let endpoint = self.endpoint(self.pki.ca(), files, Some(NAME));
        let t = self.tenancy(endpoint, &reference);

        let facts = t.backend.host(&t.host).await.unwrap();
        let version = self
            .engine
            .docker(&["version", "--format", "{{.Server.Version}}"]);
        assert_eq!(facts.engine_version, version.trim());
        let list = || async { t.backend.list(&t.host, Scope::All).await.unwrap() };
        assert_eq!(list().await, Inventory::default());

        let id = t.created(plan("free")).await;
        let listed = list().await;
        let counts = (
            listed.containers.len(),
            listed.networks.len(),
            listed.volumes.len(),
        );
        assert_eq!(counts, (1, 1, 2), "{listed:?}");
        // Beside the backend, on the engine's socket.
        for (kind, made) in [("container", 1), ("network", 1), ("volume", 2)] {
            let of_tenants: Vec<usize> = self.engine.of_tenants(kind).into_values().collect();
            assert_eq!(of_tenants, [made], "{kind}");
        }

        let config =
            r#"{ "gateway": { "mode": "local", "auth": { "mode": "token", "token": "t" } } }"#;
        let file = VolumeFile {
            path: "openclaw.json".into(),
            content: Content(config.into()),
            owner: 1000,
            mode: 0o600,
        };
        let put = t.backend.put_files(&t.host, &id, DATA_PATH, vec![file]);
        put.await.unwrap();
        t.start(&id).await.unwrap();
        let seen = t.backend.inspect(&t.host, &id).await.unwrap().unwrap();
        assert!(matches!(seen.state, RunState::Running { .. }), "{seen:?}");
        assert_eq!(self.engine.running(), std::slice::from_ref(&id.0));
        // Without the file it ends at once.
        until_said(&t, &id, "http server listening").await;

        t.backend
            .signal(&t.host, &id, Signal::Terminate)
            .await
            .unwrap();
        let ended = until(&t, &id, |state| matches!(state, RunState::Exited { .. })).await;
        assert!(
            matches!(ended, RunState::Exited { code: 0, .. }),
            "{ended:?}"
        );
        until_said(&t, &id, "received SIGTERM").await;

        clean_up(&t).await;
        assert_eq!(t.backend.inspect(&t.host, &id).await.unwrap(), None);
        assert_eq!(self.everything(), before);
    }

    /// A tenant of the engine at `endpoint`, with the image that it has under this name.
    fn tenancy(&self, endpoint: Endpoint, reference: &str) -> Tenancy {
        let image = Image {
            reference: reference.to_owned(),
            digest: None,
        };
        let pool: Ipv4Net = self.engine.pool().parse().unwrap();
        let subnet = Ipv4Net::new(pool.network(), 29).unwrap();
        let backend = backend(endpoint).build().unwrap();
        Tenancy::new(Arc::new(backend), DEPLOYMENT, image, subnet)
    }

    /// The ids and names of whatever is on the engine.
    fn everything(&self) -> String {
        [
            &["ps", "--all", "--quiet"][..],
            &["volume", "ls", "--quiet"],
            &["network", "ls", "--quiet"],
        ]
        .map(|list| self.engine.docker(list))
        .concat()
    }
}

fn backend(endpoint: Endpoint) -> DockerBackendBuilder {
    DockerBackend::builder(keys(DEPLOYMENT))
        .host(host(), endpoint)
        .call_limit(CALL)
}

/// Looks until the container has said `words`.
async fn until_said(t: &Tenancy, id: &EngineId, words: &str) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let log = t.backend.logs(&t.host, id, Bytes::mib(1)).await.unwrap();
        if log.contains(words) {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the engine answers to who trusts it and shows no certificate.
async fn without_certificate(ca: &Path, port: u16) -> std::io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from(NAME).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut session = connector.connect(name, stream).await?;
    session.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    session.read_to_string(&mut answer).await?;
    Ok(answer)
}
