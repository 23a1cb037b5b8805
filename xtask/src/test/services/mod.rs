//! What the tests talk to. Whatever cannot be had is a failure here, never a skipped test later.

mod font;
mod node;
mod postgres;
mod python;
mod swap;

use anyhow::{Context, Result};

use crate::engine;
use crate::platform;
use crate::run;
use crate::term::Step;
use crate::{image, stand_in};
use postgres::Postgres;
use swap::Swap;

/// Running services and how the tests find them.
#[derive(Debug)]
pub(super) struct Services {
    variables: Vec<(&'static str, String)>,
    postgres: Postgres,
    swap: Swap,
}

impl Services {
    /// Installs what is missing and starts what has to run.
    pub(super) fn start() -> Result<Self> {
        let engine = engine::ensure()?;
        let image = image::ensure(&engine)?;
        let stand_in_program = stand_in::build()?;
        let stand_in = stand_in::ensure_image(&engine)?;
        let swap = Swap::ensure()?;
        let postgres = Postgres::start()?;
        let node = node::ensure()?;
        let python = python::ensure()?;
        platform::need(
            &[
                ("chromium", "chromium"),
                ("chromedriver", "chromium-driver"),
                ("nginx", "nginx"),
                ("curl", "curl"),
            ],
            "Testing in a browser and by the README's lines, and measuring beside nginx",
        )?;
        font::ensure()?;
        let pictures = platform::target_dir().join("pictures");
        std::fs::create_dir_all(&pictures)
            .with_context(|| format!("cannot make the folder {}", pictures.display()))?;
        let program = |name: &str| {
            let path =
                run::find(name).with_context(|| format!("{name} is installed and not found"))?;
            Ok::<_, anyhow::Error>(path.to_string_lossy().into_owned())
        };
        let variables = vec![
            // A test that cannot reach its service has to fail and not to pass by doing nothing.
            ("TENANCY_TEST_REQUIRE", "all".to_owned()),
            ("TENANCY_TEST_POSTGRES_URL", postgres.url()),
            ("TENANCY_TEST_DOCKER_HOST", engine.host().to_owned()),
            ("TENANCY_TEST_IMAGE", image),
            ("TENANCY_TEST_STAND_IN_IMAGE", stand_in),
            (
                "TENANCY_TEST_STAND_IN",
                stand_in_program.to_string_lossy().into_owned(),
            ),
            (
                "TENANCY_TEST_OIDC_PROVIDER_DIR",
                node.folder.to_string_lossy().into_owned(),
            ),
            (
                "TENANCY_TEST_OIDC_PYTHON",
                python.to_string_lossy().into_owned(),
            ),
            (
                "TENANCY_TEST_NODE",
                node.program.to_string_lossy().into_owned(),
            ),
            ("TENANCY_TEST_CHROMIUM", program("chromium")?),
            ("TENANCY_TEST_CHROMEDRIVER", program("chromedriver")?),
            (
                "TENANCY_TEST_PICTURES",
                pictures.to_string_lossy().into_owned(),
            ),
        ];
        Step::begin("Services").done("ready");
        Ok(Self {
            variables,
            postgres,
            swap,
        })
    }

    /// The environment of the tests.
    pub(super) fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }

    /// Ends what was started here. The engine stays: it is the machine's, and the next run's.
    pub(super) fn stop(self) {
        drop(self.postgres);
        drop(self.swap);
    }

    /// Keeps everything until this command is interrupted.
    pub(super) fn wait(mut self) -> Result<()> {
        self.postgres.wait()
    }
}
