//! A server of one test's own on the real engine, with a provider of somebody else's making.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use futures::FutureExt as _;
use tempfile::TempDir;
use test_support::provider::program::ProviderProgram;
use test_support::provider::strict::{self, CLIENT_ID, CLIENT_SECRET};
use tokio::sync::Mutex;

use crate::browser::{Browser, Screen};
use crate::docker::Docker;
use crate::given::given;
use crate::server::{Server, free_port, last_words};
use crate::{nothing_left, pictures};

/// One at a time: two starts of `OpenClaw` on two processors take as long as one after the other, and whoever waits
/// in the browser meanwhile waits for both.
static TURN: Mutex<()> = Mutex::const_new(());

/// The parts that are not ours.
pub(crate) struct Parts {
    engine: String,
    image: String,
    oidc_provider: PathBuf,
    driver: String,
    chromium: String,
}

impl Parts {
    pub(crate) fn given() -> Option<Self> {
        Some(Self {
            engine: given("docker", "TENANCY_TEST_DOCKER_HOST")?,
            image: given("docker", "TENANCY_TEST_IMAGE")?,
            oidc_provider: given("oidc-provider", strict::DIR_VARIABLE)?.into(),
            driver: given("chromium", "TENANCY_TEST_CHROMEDRIVER")?,
            chromium: given("chromium", "TENANCY_TEST_CHROMIUM")?,
        })
    }
}

pub(crate) struct Deployment {
    pub(crate) public_url: String,
    pub(crate) docker: Docker,
    place: Place,
    server: Option<Server>,
}

/// What stays when the server is started anew.
struct Place {
    parts: Parts,
    ports: (u16, u16),
    /// The networks that no other test on this engine uses.
    pool: &'static str,
    provider: ProviderProgram,
    data: TempDir,
}

/// Does `act` on a deployment. Whatever becomes of it, no instance stays behind; after all went well none is left.
pub(crate) async fn on_a_deployment(
    parts: Parts,
    pool: &'static str,
    overlay: &str,
    act: impl AsyncFnOnce(&mut Deployment),
) {
    let _turn = TURN.lock().await;
    let mut deployment = Deployment::start(parts, pool, overlay).await;
    let outcome = AssertUnwindSafe(async {
        act(&mut deployment).await;
        nothing_left(&deployment.docker).await;
    })
    .catch_unwind()
    .await;
    if outcome.is_err() {
        let words = last_words(deployment.place.data.path());
        println!("the server's last lines:\n{words}");
    }
    if let Some(server) = deployment.server.take() {
        server.kill().await;
    }
    deployment.docker.clear().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Deployment {
    async fn start(parts: Parts, pool: &'static str, overlay: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ports = (free_port(), free_port());
        let public_url = format!("http://localhost:{}", ports.0);
        let callback = format!("{public_url}/api/auth/callback/company");
        let provider = strict::start(&parts.oidc_provider, &callback).await;
        let data = tempfile::tempdir().unwrap();
        let place = Place {
            parts,
            ports,
            pool,
            provider,
            data,
        };
        let server = place.start(overlay).await;
        Self {
            public_url,
            docker: Docker::of_server(&place.parts.engine, place.data.path()),
            place,
            server: Some(server),
        }
    }

    /// A browser of this test, which keeps its pictures in a folder of this name.
    pub(crate) async fn browser(&self, screen: Screen, pictures_in: &str) -> Browser {
        let Parts {
            driver, chromium, ..
        } = &self.place.parts;
        Browser::start(driver, chromium, screen, pictures().join(pictures_in)).await
    }

    /// Kills the server and starts it with this overlay.
    pub(crate) async fn restart(&mut self, overlay: &str) {
        if let Some(server) = self.server.take() {
            server.kill().await;
        }
        self.server = Some(self.place.start(overlay).await);
    }
}

impl Place {
    async fn start(&self, overlay: &str) -> Server {
        self.configure(overlay);
        let server = Server::start(self.data.path()).await;
        println!("server ready after {:.2?}", server.ready_after);
        server
    }

    fn configure(&self, overlay: &str) {
        let Self {
            parts: Parts { engine, image, .. },
            ports: (api, edge),
            pool,
            ..
        } = self;
        let issuer = self.provider.issuer();
        let config = format!(
            r#"
[server]
listen = "127.0.0.1:{api}"
[edge]
listen = "127.0.0.1:{edge}"
[metrics]
enabled = false
[[hosts]]
id = "local"
address = "{engine}"
[image]
reference = "{image}"
[reconcile]
subnet_pool = "{pool}"
# A change of the overlay is waited for.
resync = "5s"
[[identity.oidc]]
id = "company"
label = "Company account"
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
plain_http_loopback = true
{overlay}
"#
        );
        std::fs::write(self.data.path().join("config.toml"), config).unwrap();
    }
}
