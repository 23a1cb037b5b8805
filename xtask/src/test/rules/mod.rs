//! Rules of this repository that no compiler checks.

pub(super) mod dependencies;
pub(super) mod files;

use anyhow::{Result, bail};

/// No violation, or an error that lists all of them.
fn verdict(violations: &[String]) -> Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    bail!(
        "{} rules broken:\n  {}",
        violations.len(),
        violations.join("\n  ")
    )
}
