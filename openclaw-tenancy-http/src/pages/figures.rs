//! Amounts as people read them.

use openclaw_tenancy::plan::SandboxLimit;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};

use super::words::Words;

/// Processors: `0.5`, `2`.
pub(super) fn cpu(cpu: MilliCpus) -> String {
    let text = cpu.to_string();
    text.strip_suffix(" CPU").map(str::to_owned).unwrap_or(text)
}

/// Memory with the swap beside it: `512 MiB + 1 GiB swap` would be more than a card holds, so swap stays out.
pub(super) fn bytes(bytes: Bytes) -> String {
    bytes.to_string()
}

/// Sandboxes.
pub(super) fn sandboxes(limit: Option<SandboxLimit>, words: &Words) -> String {
    match limit {
        Some(SandboxLimit::AtMost(most)) => most.to_string(),
        Some(SandboxLimit::Unlimited) => words.unlimited.to_owned(),
        None => "–".to_owned(),
    }
}
