//! `cargo xtask up --check --json` as a program reads it: one JSON document on standard output, and nothing else there.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum as _;
use serde::Deserialize;

use crate::image::Kind;

/// What was promised to whoever reads it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    ok: bool,
    image: Option<String>,
    steps: Vec<Taken>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    name: String,
    seconds: f64,
}

/// What a program that measures looks for.
const LOOKED_FOR: [&str; 3] = ["sign in", "click to connected", "delete to nothing left"];

/// Runs the check by this very program, and reads what it printed.
pub(super) fn perform(image: Kind) -> Result<()> {
    let kind = image.to_possible_value().context("a kind without a name")?;
    let run = Command::new("/proc/self/exe")
        .args(["up", "--check", "--json", "--image", kind.get_name()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start this program once more")?;
    ensure!(run.status.success(), "the check ended with {}", run.status);
    let told = summary(&run.stdout)?;
    ensure!(told.ok && told.image.is_some(), "it says {told:?}");
    Ok(())
}

/// The one document, with what is looked for in it.
fn summary(printed: &[u8]) -> Result<Summary> {
    let told: Summary = serde_json::from_slice(printed)
        .with_context(|| format!("not one document: {}", String::from_utf8_lossy(printed)))?;
    for name in LOOKED_FOR {
        let taken = told.steps.iter().find(|step| step.name == name);
        let taken = taken.with_context(|| format!("it does not tell of {name:?}"))?;
        ensure!(taken.seconds > 0.0, "{taken:?}");
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::summary;

    const WHOLE: &str = r#"{"ok":true,"image":"i","steps":[{"name":"sign in","seconds":0.1},
        {"name":"click to connected","seconds":1.5},{"name":"delete to nothing left","seconds":1.0}]}"#;

    #[test]
    fn a_line_beside_it_or_a_step_that_lacks_is_told() {
        assert!(summary(WHOLE.as_bytes()).is_ok());
        for broken in [
            format!("Ready\n{WHOLE}"),
            format!("{WHOLE}\n{WHOLE}"),
            WHOLE.replace("click to connected", "clicked"),
            WHOLE.replace("1.5", "0.0"),
        ] {
            assert!(summary(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
