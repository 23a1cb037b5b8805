//! Who did what, for whoever has to find out later: log lines of a target of their own.

use std::net::IpAddr;

use openclaw_tenancy::id::AccountId;

use super::answer::REQUEST;
use super::state::ApiState;

/// The target of every line.
pub(crate) const TARGET: &str = "openclaw_tenancy::audit";

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

/// Notes that whoever is at `address` was refused a sign-in as `object`, with the account where it is known: a local
/// account's name or a provider's id, and never what was given for either.
///
/// An address has a line a minute; `times` says how many refusals it stands for, of whatever names they were.
pub(super) fn sign_in_refused(state: &ApiState, address: IpAddr, object: Option<&str>) {
    let refusals = &state.limits().refusals;
    let Some(times) = refusals.count(address) else {
        return;
    };
    let account = object.and_then(|name| refusals.account(name));
    let account = account.map(tracing::field::display);
    let (request_id, object) = (request(), object.unwrap_or("nobody"));
    let action = "sign-in";
    tracing::warn!(target: TARGET, request_id, action, account, object, %address, times, "refused");
}

/// Notes that whoever runs the server did `action` to `account` by a command.
#[cfg(feature = "server")]
pub(crate) fn by_command(action: &'static str, account: AccountId) {
    tracing::info!(target: TARGET, action, %account, by = "command line", "done");
}

/// The id of the request that is being answered, by which its other lines are found.
fn request() -> String {
    REQUEST
        .try_with(|request| request.0.clone())
        .unwrap_or_default()
}
