//! The deployment of a server, by the files that the server keeps.

use std::path::Path;

use crate::docker::Docker;

impl Docker {
    /// The objects of the deployment whose server keeps its files in `data`, on the engine at `host`.
    pub(crate) fn of_server(host: &str, data: &Path) -> Self {
        let marker = std::fs::read_to_string(data.join("deployment")).expect("a server has run");
        let deployment = marker.split_whitespace().next().expect("an id");
        Self::new(host, deployment)
    }
}
