//! What is common to the error enums: one per trait, each a list of decisions for the caller.
//!
//! `Display` never repeats the source and never holds a secret; [`chain`] writes the whole chain for a log.

use std::fmt::Write as _;
use std::time::Duration;

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No: the same call will fail again.
    Never,
    /// Yes, with the caller's own backoff.
    Backoff,
    /// Yes, but not before this has passed.
    After(Duration),
}

/// A boxed source of an error.
pub type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The error and every source of it, joined by `: `, for a log line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {source}");
        next = source.source();
    }
    text
}
