//! Grants that work once, within minutes.

use openclaw_tenancy::access::Grant;
use openclaw_tenancy::clock::Timestamp;

use super::jwt::LEEWAY;

/// Whether `grant` was made by `now`, as far as the clocks of two replicas may be apart.
///
/// One that was not is from before the clock was set back, and would hold that much longer than its minutes (safety
/// row F25). A session is not asked this: nobody is signed out by a clock.
pub(crate) fn is_dated(grant: &Grant, now: Timestamp) -> bool {
    grant.created_at <= now.plus(LEEWAY)
}
