//! Who did what, for whoever has to find out later: log lines of a target of their own.

use openclaw_tenancy::id::AccountId;

/// The target of every line.
const TARGET: &str = "openclaw_tenancy::audit";

/// Notes that `account` did `action` to `object`: an id or a validated name of ours, never an outsider's text.
pub(super) fn done(action: &'static str, account: AccountId, object: &str) {
    tracing::info!(target: TARGET, action, %account, object, "done");
}

/// Notes that `account` was refused `action` on `object`.
pub(super) fn refused(action: &'static str, account: AccountId, object: &str) {
    tracing::warn!(target: TARGET, action, %account, object, "refused");
}
