//! A font for Chinese: without one a browser's pictures of the pages show boxes, as wide as no text is.

use std::process::Command;

use anyhow::Result;

use crate::{platform, run};

/// 1.6 MB, and it has every character that the pages use.
const PACKAGE: &str = "fonts-wqy-microhei";

const PURPOSE: &str = "Seeing the Chinese pages in a browser";

/// Makes sure that there is one.
pub(super) fn ensure() -> Result<()> {
    platform::need(&[("fc-list", "fontconfig")], PURPOSE)?;
    let found = run::output(Command::new("fc-list").args([":lang=zh-cn", "family"]))?;
    if found.trim().is_empty() {
        platform::install(&[PACKAGE], PURPOSE)?;
    }
    Ok(())
}
