//! Who did what, for whoever has to find out later: log lines of a target of their own.

use openclaw_tenancy::id::AccountId;

use super::answer::REQUEST;

/// The target of every line.
const TARGET: &str = "openclaw_tenancy::audit";

/// Notes that `account` did `action` to `object`: an id or a validated name of ours, never an outsider's text.
pub(super) fn done(action: &'static str, account: AccountId, object: &str) {
    let request_id = request();
    tracing::info!(target: TARGET, request_id, action, %account, object, "done");
}

/// Notes that `account` was refused `action` on `object`.
pub(super) fn refused(action: &'static str, account: AccountId, object: &str) {
    let request_id = request();
    tracing::warn!(target: TARGET, request_id, action, %account, object, "refused");
}

/// The id of the request that is being answered, by which its other lines are found.
fn request() -> String {
    REQUEST
        .try_with(|request| request.0.clone())
        .unwrap_or_default()
}
