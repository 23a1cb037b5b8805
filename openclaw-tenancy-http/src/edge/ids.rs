//! Names of requests, in the log and in answers.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use openclaw_tenancy::clock::Entropy;

/// Gives each request a name of its own: random for the process, then counted. They need not be secret, and a call
/// to the generator for each request would cost more than anything else about them.
#[derive(Debug)]
pub(super) struct RequestIds {
    process: String,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0_u8; 8];
        entropy.fill(&mut bytes);
        Self {
            process: hex::encode(bytes),
            next: AtomicU64::new(1),
        }
    }

    pub(super) fn next(&self) -> HeaderValue {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("{}-{count:x}", self.process))
            .unwrap_or_else(|_| HeaderValue::from(count))
    }
}
