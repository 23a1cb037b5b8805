//! Where the servers of a test live, and the configuration that says so.

use std::path::Path;

use crate::given::given;
use crate::people::People;
use crate::server::free_port;

/// Where servers of a test live.
pub(crate) struct Place {
    pub(crate) engine: String,
    image: String,
    pub(crate) store: Option<String>,
    subnets: &'static str,
}

impl Place {
    /// On the engine of the environment, with a file for a database; `None` where the test may be skipped.
    pub(crate) fn given(subnets: &'static str) -> Option<Self> {
        Some(Self {
            engine: given("docker", "TENANCY_TEST_DOCKER_HOST")?,
            image: given("docker", "TENANCY_TEST_STAND_IN_IMAGE")?,
            store: None,
            subnets,
        })
    }
}

/// Writes the configuration of a server that will serve its API on `port`.
pub(crate) fn configure(data: &Path, place: &Place, port: u16, people: &People) {
    let edge = free_port();
    let Place {
        engine,
        image,
        store,
        subnets,
    } = place;
    let store = store
        .as_ref()
        .map(|url| format!("[store]\nurl = \"{url}\"\n"))
        .unwrap_or_default();
    let identity = people.section();
    let config = format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
[edge]
listen = "127.0.0.1:{edge}"
[metrics]
enabled = false
{store}
[[hosts]]
id = "local"
address = "{engine}"
[image]
reference = "{image}"
floor = "16 MiB"
[reconcile]
# Other tests on this engine have pools of their own.
subnet_pool = "{subnets}"
cpu_percent = 4000
[plans.free]
cpu = 0.1
memory = "32 MiB"
swap = "32 MiB"
{identity}"#
    );
    std::fs::write(data.join("config.toml"), config).unwrap();
}
