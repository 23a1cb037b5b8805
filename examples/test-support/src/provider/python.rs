//! Providers that are Python packages.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::services;

/// Names the interpreter that finds the packages of `provider/requirements.txt`.
pub const PYTHON_VARIABLE: &str = "TENANCY_TEST_OIDC_PYTHON";

/// The interpreter that [`PYTHON_VARIABLE`] names; `None` where it is not set.
///
/// # Panics
/// When it is not set although `TENANCY_TEST_REQUIRE` lists `service` or `all`.
#[must_use]
pub fn python(service: &str) -> Option<PathBuf> {
    services::given(service, PYTHON_VARIABLE).map(PathBuf::from)
}

/// Runs the file `script` of the folder `provider/` with one argument.
pub(super) fn run(python: &Path, script: &str, argument: &str) -> Command {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/provider"));
    let mut command = Command::new(python);
    command
        // Its libraries' word to their own developers.
        .args(["-W", "ignore"])
        .arg(folder.join(script))
        .arg(argument)
        // Nothing is written among the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
